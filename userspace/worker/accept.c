/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "worker/session.h"

struct accept {
	struct list link; /* in worker.accepts */
	struct ring_operation operation;
	uint64_t network;
	int fd; /* own */
	bool leaving; /* closed when its operation ends */
};

static bool is_wanted(const struct worker *w, const struct accept *a)
{
	return w->accepting && !w->stopping && !w->draining && !a->leaving;
}

static void accept_free(struct accept *a)
{
	list_remove(&a->link);
	close(a->fd);
	free(a);
}

static void on_accept(struct ring_operation *operation, int result)
{
	struct accept *a = container_of(operation, struct accept, operation);
	struct worker *w = operation->owner;
	bool more = operation->more;

	if (result >= 0)
		session_accept(w, result);
	if (more)
		return;
	if (a->leaving)
		accept_free(a);
	/* Without descriptors it would fail again at once: who waits is served after the next tick.
	 */
	else if (is_wanted(w, a) && (result >= 0 || result == -ECONNABORTED))
		ring_accept(&w->ring, operation, a->fd);
}

static void go_on(struct worker *w, struct accept *a)
{
	if (is_wanted(w, a) && !a->operation.in_flight)
		ring_accept(&w->ring, &a->operation, a->fd);
}

void accept_add(struct worker *w, uint64_t network, int fd)
{
	struct accept *a = memory_new(sizeof(*a));

	a->operation.complete = on_accept;
	a->operation.owner = w;
	a->network = network;
	a->fd = fd;
	list_append(&w->accepts, &a->link);
	go_on(w, a);
}

void accept_remove(struct worker *w, uint64_t network)
{
	list_for_each_safe (position, &w->accepts) {
		struct accept *a = list_entry(position, struct accept, link);

		if (a->network != network || a->leaving)
			continue;
		a->leaving = true;
		if (a->operation.in_flight)
			ring_cancel(&w->ring, &a->operation);
		else
			accept_free(a);
	}
}

void accept_again(struct worker *w)
{
	list_for_each (position, &w->accepts)
		go_on(w, list_entry(position, struct accept, link));
}

void accept_stop(struct worker *w)
{
	list_for_each (position, &w->accepts)
		ring_cancel(&w->ring, &list_entry(position, struct accept, link)->operation);
}

bool accept_is_busy(const struct worker *w)
{
	list_for_each (position, &w->accepts) {
		if (list_entry(position, struct accept, link)->operation.in_flight)
			return true;
	}
	return false;
}
