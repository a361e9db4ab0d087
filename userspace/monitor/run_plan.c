/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/run_plan.h"

#include <errno.h>
#include <limits.h>

#include "base/bytes.h"
#include "base/memory.h"

int run_request_encode(const struct run_request *request, struct buffer *ret)
{
	const char *const texts[] = {request->agent, request->user, request->token};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts) && texts[i]; i++)
		r = buffer_append(ret, texts[i], strlen(texts[i]) + 1);
	return r;
}

int run_request_decode(struct slice payload, struct run_request *ret)
{
	const char *texts[3] = {NULL};
	size_t count = 0;

	while (payload.length) {
		const uint8_t *end = memchr(payload.data, 0, payload.length);

		if (!end || count == ARRAY_SIZE(texts))
			return -EBADMSG;
		texts[count++] = (const char *)payload.data;
		payload = slice_from(payload, (size_t)(end - payload.data) + 1);
	}
	if (count < 2)
		return -EBADMSG;
	*ret = (struct run_request){texts[0], texts[1], texts[2]};
	return 0;
}

/* Encoding: the first error stays, so that the callers can go on. */
struct writer {
	struct buffer *out;
	int result;
};

static void write_u32(struct writer *w, uint32_t value)
{
	if (w->result == 0)
		w->result = buffer_append_u32(w->out, value);
}

static void write_u64(struct writer *w, uint64_t value)
{
	if (w->result == 0)
		w->result = buffer_append_u64(w->out, value);
}

static void write_text(struct writer *w, const char *text)
{
	struct slice s = slice_from_string(text);

	if (w->result == 0 && s.length >= PATH_MAX)
		w->result = -EINVAL;
	write_u32(w, (uint32_t)s.length);
	if (w->result == 0)
		w->result = buffer_append_slice(w->out, s);
}

static void write_path(struct writer *w, const char *path)
{
	if (w->result == 0 && path[0] != '/')
		w->result = -EINVAL;
	write_text(w, path);
}

static void write_count(struct writer *w, size_t count, size_t most)
{
	if (w->result == 0 && count > most)
		w->result = -EINVAL;
	write_u32(w, (uint32_t)count);
}

static void write_paths(struct writer *w, const char *const *paths, size_t count)
{
	write_count(w, count, RUN_PLAN_PATHS_MOST);
	for (size_t i = 0; w->result == 0 && i < count; i++)
		write_path(w, paths[i]);
}

int run_plan_encode(const struct run_plan *plan, struct buffer *ret)
{
	struct writer w = {.out = ret, .result = plan->flags & ~RUN_PLAN_FLAGS ? -EINVAL : 0};

	write_u32(&w, RUN_PLAN_VERSION);
	write_u32(&w, plan->flags);
	write_u32(&w, plan->agent);
	write_u64(&w, plan->cgroup);
	write_u32(&w, plan->uid);
	write_u32(&w, plan->gid);
	write_path(&w, plan->cgroup_path);
	write_text(&w, plan->user);
	write_text(&w, plan->home);
	write_count(&w, plan->group_count, RUN_PLAN_GROUPS_MOST);
	for (size_t i = 0; w.result == 0 && i < plan->group_count; i++)
		write_u32(&w, plan->groups[i]);
	write_paths(&w, plan->hidden, plan->hidden_count);
	write_paths(&w, plan->read_only, plan->read_only_count);
	write_count(&w, plan->shown_count, RUN_PLAN_PATHS_MOST);
	for (size_t i = 0; w.result == 0 && i < plan->shown_count; i++) {
		write_path(&w, plan->shown[i].source);
		write_path(&w, plan->shown[i].target);
	}
	write_text(&w, plan->trust_file);
	return w.result;
}

/* Decoding, in the same manner: after an error everything reads as nothing. */
struct reader {
	struct slice rest;
	struct arena *memory;
	int result;
};

static const uint8_t *read_bytes(struct reader *r, size_t length)
{
	const uint8_t *bytes = r->rest.data;

	if (r->result == 0 && r->rest.length < length)
		r->result = -EBADMSG;
	if (r->result < 0)
		return NULL;
	r->rest = slice_from(r->rest, length);
	return bytes;
}

static uint32_t read_u32(struct reader *r)
{
	const uint8_t *bytes = read_bytes(r, 4);

	return bytes ? bytes_get_u32(bytes) : 0;
}

static uint64_t read_u64(struct reader *r)
{
	const uint8_t *bytes = read_bytes(r, 8);

	return bytes ? bytes_get_u64(bytes) : 0;
}

static const char *read_text(struct reader *r)
{
	uint32_t length = read_u32(r);
	const uint8_t *bytes = length < PATH_MAX ? read_bytes(r, length) : NULL;
	struct slice copy;

	if (r->result == 0 && (!bytes || (length && memchr(bytes, 0, length))))
		r->result = -EBADMSG;
	if (r->result < 0)
		return NULL;
	copy = arena_copy(r->memory, slice_of(bytes, length));
	if (!copy.data)
		r->result = -ENOMEM;
	return (const char *)copy.data;
}

static const char *read_path(struct reader *r)
{
	const char *path = read_text(r);

	if (r->result == 0 && path[0] != '/')
		r->result = -EBADMSG;
	return path;
}

/* Room for `count` things of `size` bytes; each takes at least 4 bytes of what is left, so that a
 * number can't ask for more memory than the message is worth. */
static void *read_array(struct reader *r, size_t most, size_t size, size_t *ret_count)
{
	uint32_t count = read_u32(r);
	void *array;

	if (r->result == 0 && (count > most || count > r->rest.length / 4))
		r->result = -EBADMSG;
	if (r->result < 0)
		return NULL;
	array = arena_new_array(r->memory, count ? count : 1, size);
	if (!array)
		r->result = -ENOMEM;
	else
		*ret_count = count;
	return array;
}

static const char *const *read_paths(struct reader *r, size_t *ret_count)
{
	size_t count = 0;
	const char **paths = read_array(r, RUN_PLAN_PATHS_MOST, sizeof(*paths), &count);

	for (size_t i = 0; r->result == 0 && i < count; i++)
		paths[i] = read_path(r);
	*ret_count = count;
	return paths;
}

static const uint32_t *read_groups(struct reader *r, size_t *ret_count)
{
	size_t count = 0;
	uint32_t *groups = read_array(r, RUN_PLAN_GROUPS_MOST, sizeof(*groups), &count);

	for (size_t i = 0; r->result == 0 && i < count; i++)
		groups[i] = read_u32(r);
	*ret_count = count;
	return groups;
}

static const struct run_path *read_shown(struct reader *r, size_t *ret_count)
{
	size_t count = 0;
	struct run_path *paths = read_array(r, RUN_PLAN_PATHS_MOST, sizeof(*paths), &count);

	for (size_t i = 0; r->result == 0 && i < count; i++) {
		paths[i].source = read_path(r);
		paths[i].target = read_path(r);
	}
	*ret_count = count;
	return paths;
}

int run_plan_decode(struct slice payload, struct arena *memory, struct run_plan *ret)
{
	struct reader r = {.rest = payload, .memory = memory};
	struct run_plan plan = {0};

	if (read_u32(&r) != RUN_PLAN_VERSION)
		return -EBADMSG;
	plan.flags = read_u32(&r);
	plan.agent = read_u32(&r);
	plan.cgroup = read_u64(&r);
	plan.uid = read_u32(&r);
	plan.gid = read_u32(&r);
	plan.cgroup_path = read_path(&r);
	plan.user = read_text(&r);
	plan.home = read_text(&r);
	plan.groups = read_groups(&r, &plan.group_count);
	plan.hidden = read_paths(&r, &plan.hidden_count);
	plan.read_only = read_paths(&r, &plan.read_only_count);
	plan.shown = read_shown(&r, &plan.shown_count);
	plan.trust_file = read_text(&r);
	if (r.result == 0 && (r.rest.length || plan.flags & ~RUN_PLAN_FLAGS))
		r.result = -EBADMSG;
	if (r.result == 0)
		*ret = plan;
	return r.result;
}
