/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers by which it is seen that rules are not any more what was loaded.
 */
#include <stdio.h>
#include <xxhash.h>

#include "capture/guard_internal.h"

int guard_shape(const char *instance, uint64_t *ret, struct error *e)
{
	return guard_shape_of("inet", instance, ret, e);
}

int guard_shape_of(const char *family, const char *instance, uint64_t *ret, struct error *e)
{
	struct buffer text;
	char command[96];
	int r;

	snprintf(command, sizeof(command), "list table %s wayleave_%s\n", family, instance);
	buffer_init(&text, GUARD_TEXT_MOST);
	r = guard_run(command, &text, e);
	if (r == 0)
		*ret = XXH3_64bits(buffer_slice(&text).data, buffer_length(&text));
	buffer_done(&text);
	return r;
}

int guard_whole_shape(const struct guard *g, uint64_t *ret, struct error *e)
{
	uint64_t table, queue = 0;
	int r = guard_shape(g->instance, &table, e);

	if (r == 0 && guard_queues(g))
		r = guard_queue_shape(g, &queue, e);
	if (r == 0)
		*ret = table * 31 + queue;
	return r;
}

int guard_take_shape(
	const struct guard *g, struct guard_watch *watch, uint64_t *ret, struct error *e)
{
	(void)guard_watch_read(watch);
	return guard_whole_shape(g, ret, e);
}
