/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/principals.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"

#define ENTRIES_MOST (LIMIT_CONFIG_AGENTS + LIMIT_RUNS)

const char *principal_state_name(enum principal_state state)
{
	static const char *const names[PRINCIPAL_STATE_COUNT] = {
		[PRINCIPAL_NONE] = "none",
		[PRINCIPAL_AWAITED] = "awaited",
		[PRINCIPAL_KNOWN] = "known",
		[PRINCIPAL_ENDED] = "ended",
		[PRINCIPAL_REFUSED] = "refused",
	};

	return names[state];
}

/* --- writing --- */

static int put_text(struct buffer *b, struct slice text)
{
	int r = buffer_append_u32(b, (uint32_t)text.length);

	return r < 0 ? r : buffer_append_slice(b, text);
}

bool principals_are_same(const struct principal_entry *a, const struct principal_entry *b)
{
	const struct principal *p = &a->principal, *q = &b->principal;

	if (a->state != b->state || !slice_equal(p->name, q->name) ||
		p->group_count != q->group_count)
		return false;
	for (size_t i = 0; i < p->group_count; i++) {
		if (!slice_equal(p->groups[i], q->groups[i]))
			return false;
	}
	return true;
}

int principals_encode(const struct principal_entry *entry, struct buffer *ret)
{
	const struct principal *p = &entry->principal;
	size_t before = buffer_length(ret);
	int r = buffer_append_u32(ret, entry->agent);

	if (r == 0)
		r = buffer_append_u64(ret, entry->run);
	if (r == 0)
		r = buffer_append_u32(ret, entry->serial);
	if (r == 0)
		r = buffer_append_byte(ret, (uint8_t)entry->state);
	if (r == 0)
		r = buffer_append_byte(ret, entry->suspended);
	if (r == 0)
		r = buffer_append_u64(ret, entry->until);
	if (r == 0)
		r = put_text(ret, entry->issuer);
	if (r == 0)
		r = put_text(ret, entry->problem);
	if (r == 0)
		r = put_text(ret, p->name);
	if (r == 0)
		r = put_text(ret, p->on_behalf_of);
	if (r == 0)
		r = buffer_append_u32(ret, (uint32_t)p->group_count);
	for (size_t i = 0; r == 0 && i < p->group_count; i++)
		r = put_text(ret, p->groups[i]);
	if (r < 0)
		buffer_truncate(ret, before);
	return r;
}

/* --- reading: the first thing that is wrong makes all later reads empty --- */

struct reader {
	struct slice rest;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t length)
{
	const uint8_t *data = r->rest.data;

	if (r->bad || r->rest.length < length) {
		r->bad = true;
		return NULL;
	}
	r->rest = slice_from(r->rest, length);
	return data;
}

static uint32_t take_number(struct reader *r, uint32_t most)
{
	const uint8_t *data = take(r, sizeof(uint32_t));
	uint32_t value = data ? bytes_get_u32(data) : 0;

	r->bad |= value > most;
	return r->bad ? 0 : value;
}

static uint64_t take_long(struct reader *r)
{
	const uint8_t *data = take(r, sizeof(uint64_t));

	return data ? bytes_get_u64(data) : 0;
}

static unsigned take_byte(struct reader *r, unsigned most)
{
	const uint8_t *data = take(r, 1);
	unsigned value = data ? *data : 0;

	r->bad |= value > most;
	return r->bad ? 0 : value;
}

static struct slice take_text(struct reader *r, uint32_t most)
{
	size_t length = take_number(r, most);
	const uint8_t *data = take(r, length);

	return data ? slice_of(data, length) : SLICE_EMPTY;
}

/* `groups`: room for LIMIT_TOKEN_GROUPS. */
static void take_entry(struct reader *r, struct principal_entry *ret, struct slice *groups)
{
	ret->agent = take_number(r, UINT32_MAX);
	ret->run = take_long(r);
	ret->serial = take_number(r, UINT32_MAX);
	ret->state = (enum principal_state)take_byte(r, PRINCIPAL_STATE_COUNT - 1);
	ret->suspended = take_byte(r, 1);
	ret->until = take_long(r);
	ret->issuer = take_text(r, LIMIT_TOKEN_NAME);
	ret->problem = take_text(r, PRINCIPALS_PROBLEM_MOST);
	ret->principal.name = take_text(r, LIMIT_TOKEN_NAME);
	ret->principal.on_behalf_of = take_text(r, LIMIT_TOKEN_NAME);
	ret->principal.known = ret->state == PRINCIPAL_KNOWN || ret->state == PRINCIPAL_NONE;
	ret->principal.group_count = take_number(r, LIMIT_TOKEN_GROUPS);
	ret->principal.groups = groups;
	for (size_t i = 0; i < ret->principal.group_count; i++)
		groups[i] = take_text(r, LIMIT_TOKEN_NAME);
}

static size_t count_entries(struct slice bytes, size_t *ret_groups)
{
	struct slice groups[LIMIT_TOKEN_GROUPS];
	struct reader r = {.rest = bytes};
	struct principal_entry entry;
	size_t count = 0;

	*ret_groups = 0;
	while (r.rest.length && !r.bad && count <= ENTRIES_MOST) {
		take_entry(&r, &entry, groups);
		*ret_groups += entry.principal.group_count;
		count++;
	}
	return r.bad ? ENTRIES_MOST + 1 : count;
}

int principals_decode(struct slice bytes, struct principal_entry **ret, size_t *ret_count)
{
	struct slice room[LIMIT_TOKEN_GROUPS], *groups;
	struct reader r = {.rest = bytes};
	struct principal_entry *entries;
	size_t group_count, count = count_entries(bytes, &group_count);

	if (count > ENTRIES_MOST)
		return -EBADMSG;
	entries = memory_new(count * sizeof(*entries) + group_count * sizeof(*groups) + 1);
	groups = (struct slice *)(void *)(entries + count);
	for (size_t i = 0; i < count; i++) {
		size_t n;

		take_entry(&r, &entries[i], room);
		n = entries[i].principal.group_count;
		if (n)
			memcpy(groups, room, n * sizeof(*groups));
		entries[i].principal.groups = groups;
		groups += n;
	}
	*ret = entries;
	*ret_count = count;
	return 0;
}
