/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/who.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "policy/judge.h"

#define BROKEN "the monitor's list of principals can't be read, so nobody is known here"

static const struct principal nobody_known;

static int compare_entries(const void *a, const void *b)
{
	const struct principal_entry *x = a, *y = b;

	if (x->agent != y->agent)
		return x->agent < y->agent ? -1 : 1;
	return x->run < y->run ? -1 : x->run > y->run;
}

void who_init(struct who *w)
{
	*w = (struct who){.count = 0};
	buffer_init(&w->bytes, PRINCIPALS_BYTES_MOST);
}

void who_take(struct who *w, int fd)
{
	free(w->items);
	w->items = NULL;
	w->count = 0;
	buffer_clear(&w->bytes);
	w->broken = fd < 0 || file_read_shared(fd, &w->bytes) < 0 ||
		principals_decode(buffer_slice(&w->bytes), &w->items, &w->count) < 0;
	if (w->broken)
		log_error("%s", BROKEN);
	if (w->count)
		qsort(w->items, w->count, sizeof(*w->items), compare_entries);
}

static const struct principal_entry *find_entry(const struct who *w, uint32_t agent, uint64_t run)
{
	const struct principal_entry key = {.agent = agent, .run = run};

	return w->count ? bsearch(&key, w->items, w->count, sizeof(*w->items), compare_entries)
			: NULL;
}

/* A run's; else what holds for all of the agent. */
static const struct principal_entry *find(
	const struct who *w, const struct policy_agent *agent, uint64_t cgroup)
{
	const struct principal_entry *entry = find_entry(w, agent->id, cgroup);

	return entry ? entry : find_entry(w, agent->id, 0);
}

bool who_has_other_principals(const struct who *w, const struct policy_agent *agent)
{
	static const struct principal_entry none = {.state = PRINCIPAL_NONE};
	const struct principal_entry *own = find_entry(w, agent->id, 0);

	for (size_t i = 0; i < w->count; i++) {
		if (w->items[i].agent == agent->id && w->items[i].run &&
			!principals_are_same(&w->items[i], own ? own : &none))
			return true;
	}
	return false;
}

bool who_acts_for_people(const struct who *w, const struct policy_agent *agent)
{
	for (size_t i = 0; i < w->count; i++) {
		if (w->items[i].agent == agent->id && w->items[i].principal.on_behalf_of.length)
			return true;
	}
	return false;
}

bool who_is_known(const struct who *w, const struct policy_agent *agent, uint64_t cgroup)
{
	const struct principal_entry *entry = find(w, agent, cgroup);

	return !agent->identified || (entry && entry->state == PRINCIPAL_KNOWN);
}

const struct principal *who_principal(
	const struct who *w, const struct policy_agent *agent, uint64_t cgroup)
{
	const struct principal_entry *entry = find(w, agent, cgroup);

	if (!agent->identified)
		return entry && entry->state == PRINCIPAL_NONE ? &entry->principal
							       : &principal_none;
	return entry && entry->state == PRINCIPAL_KNOWN ? &entry->principal : &nobody_known;
}

const struct principal *who_principal_of_any(const struct who *w, const struct policy_agent *agent)
{
	const struct principal_entry *entry = find_entry(w, agent->id, 0);
	bool expired = agent->identified && entry && clock_wall() >= entry->until;

	return expired || who_has_other_principals(w, agent) ? &nobody_known
							     : who_principal(w, agent, 0);
}

bool who_is_suspended(const struct who *w, const struct policy_agent *agent, uint64_t cgroup)
{
	const struct principal_entry *entry = find(w, agent, cgroup);

	return w->broken || (entry && entry->suspended);
}

enum who_answer who_check(const struct who *w, const struct policy_agent *agent, uint64_t cgroup,
	bool observes, enum reason *ret_reason, struct buffer *ret_text)
{
	const struct principal_entry *entry = find(w, agent, cgroup);
	struct slice problem = slice_from_string("it is not known yet who this agent acts for");
	bool good = !agent->identified || observes;

	*ret_reason = REASON_IDENTITY;
	if (w->broken) {
		refusal_text(*ret_reason, slice_from_string(BROKEN), ret_text);
		return WHO_REFUSED;
	}
	if (entry && entry->suspended) {
		*ret_reason = REASON_SUSPENDED;
		refusal_text(*ret_reason, SLICE_EMPTY, ret_text);
		return WHO_REFUSED;
	}
	if (good)
		return WHO_GOOD;
	if (entry && entry->state == PRINCIPAL_KNOWN) {
		good = clock_wall() < entry->until;
		problem = slice_from_string("the token of this agent has expired");
	} else if (entry && entry->state != PRINCIPAL_NONE) {
		problem = entry->problem;
	}
	if (good)
		return WHO_GOOD;
	refusal_text(*ret_reason, problem, ret_text);
	return entry && entry->state == PRINCIPAL_REFUSED ? WHO_REFUSED : WHO_AWAITED;
}
