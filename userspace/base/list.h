/* SPDX-License-Identifier: Apache-2.0
 *
 * list: intrusive, circular, doubly linked. A member that is in no list points to itself.
 */
#ifndef WAYLEAVE_BASE_LIST_H
#define WAYLEAVE_BASE_LIST_H

#include <stdbool.h>

#include "base/memory.h"

struct list {
	struct list *next;
	struct list *previous;
};

#define LIST_INIT(name)                                                                            \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

static inline void list_init(struct list *l)
{
	l->next = l;
	l->previous = l;
}

static inline bool list_is_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_after(struct list *position, struct list *member)
{
	member->next = position->next;
	member->previous = position;
	position->next->previous = member;
	position->next = member;
}

static inline void list_append(struct list *head, struct list *member)
{
	list_insert_after(head->previous, member);
}

/* Also for a member that is in no list. */
static inline void list_remove(struct list *member)
{
	member->previous->next = member->next;
	member->next->previous = member->previous;
	list_init(member);
}

#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_for_each(position, head)                                                              \
	for (struct list *position = (head)->next; position != (head); position = position->next)
/* The loop body may remove `position`. */
#define list_for_each_safe(position, head)                                                         \
	for (struct list *position = (head)->next, *position##_next = position->next;              \
		position != (head); position = position##_next, position##_next = position->next)

#endif
