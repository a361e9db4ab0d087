/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/requests.h"

#include "base/limits.h"

#define REQUESTS_FIRST_CAPACITY 8

void pg_requests_init(struct pg_requests *q)
{
	*q = (struct pg_requests){0};
}

static void request_done(struct pg_request *request)
{
	pg_plan_put(request->plan);
	pg_masks_put(request->masks);
	pg_statement_put(request->statement);
	pg_portal_put(request->portal);
	free(request->name);
	free(request->refusal);
}

void pg_requests_done(struct pg_requests *q)
{
	while (q->count)
		pg_requests_pop(q);
	free(q->items);
	pg_requests_init(q);
}

static void requests_grow(struct pg_requests *q)
{
	size_t capacity = q->capacity ? q->capacity * 2 : REQUESTS_FIRST_CAPACITY;
	struct pg_request *items = memory_new_array(capacity, sizeof(*items));

	for (size_t i = 0; i < q->count; i++)
		items[i] = *pg_requests_at(q, i);
	free(q->items);
	q->items = items;
	q->first = 0;
	q->capacity = capacity;
}

struct pg_request *pg_requests_push(struct pg_requests *q, enum pg_request_kind kind)
{
	struct pg_request *request;

	if (q->count >= LIMIT_PIPELINE)
		return NULL;
	if (q->count == q->capacity)
		requests_grow(q);
	request = pg_requests_at(q, q->count++);
	*request = (struct pg_request){.kind = (uint8_t)kind};
	return request;
}

struct pg_request *pg_requests_at(struct pg_requests *q, size_t index)
{
	return &q->items[(q->first + index) & (q->capacity - 1)];
}

struct pg_request *pg_requests_head(struct pg_requests *q)
{
	return q->count ? &q->items[q->first] : NULL;
}

void pg_requests_pop(struct pg_requests *q)
{
	request_done(&q->items[q->first]);
	q->first = (q->first + 1) & (q->capacity - 1);
	q->count--;
}

void pg_requests_remove(struct pg_requests *q, size_t index)
{
	if (index == 0) {
		pg_requests_pop(q);
		return;
	}
	request_done(pg_requests_at(q, index));
	for (size_t i = index; i + 1 < q->count; i++)
		*pg_requests_at(q, i) = *pg_requests_at(q, i + 1);
	q->count--;
}
