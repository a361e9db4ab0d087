/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: commands that `wayleave run` started with a token of their own, or for a person who has
 * logged in. Each has a cgroup inside its agent's (capture/runs.h), by which workers tell its
 * connections from others of the agent's.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "capture/runs.h"
#include "monitor/monitor.h"

#define CHECK_TIME NANOSECONDS_PER_SECOND
/* Between the answer to the launcher and its entering the cgroup. */
#define ENTER_TIME (10 * NANOSECONDS_PER_SECOND)
/* In which the launcher's follower tells a daemon that has started anew what the token is. */
#define TOKEN_TIME (10 * NANOSECONDS_PER_SECOND)
/* Between two tokens of a run: each is the broker's work, and that of all workers. */
#define TOKEN_GAP (NANOSECONDS_PER_SECOND / 2)
#define ENTRY_MOST (64u << 10)

static char *copy_issuer(const struct monitor *m, uint32_t agent)
{
	const struct identity *own =
		identities_find_agent((struct identities *)&m->identities, agent);

	return own && own->issuer ? memory_copy_string(own->issuer) : NULL;
}

static const char *agent_name(const struct monitor *m, uint32_t agent)
{
	const struct identity *own =
		identities_find_agent((struct identities *)&m->identities, agent);

	return own ? own->name : "?";
}

static struct identity *add(struct monitor *m, const struct capture_run *from)
{
	struct identities *all = &m->identities;
	const struct identity *own = identities_find_agent(all, from->agent);
	struct identity *run;

	all->runs = memory_resize_array(all->runs, all->run_count + 1, sizeof(*all->runs));
	run = &all->runs[all->run_count++];
	*run = (struct identity){
		.agent = from->agent,
		.run = from->cgroup,
		.name = memory_copy_string(agent_name(m, from->agent)),
		.issuer = copy_issuer(m, from->agent),
		.suspended = own && own->suspended,
		.starter = from->starter,
		.own_token = from->own_token,
		.on_behalf_of = *from->on_behalf_of ? memory_copy_string(from->on_behalf_of) : NULL,
		.known_since = clock_monotonic(),
	};
	buffer_init(&run->token, LIMIT_TOKEN_BYTES);
	buffer_init(&run->entry, ENTRY_MOST);
	all->changed = true;
	return run;
}

void runs_load(struct monitor *m)
{
	struct capture_run *found;
	size_t count = capture_run_list(m->capture, &found);

	for (size_t i = 0; i < count; i++)
		add(m, &found[i])->was_populated = true;
	free(found);
}

void runs_configure(struct monitor *m)
{
	struct identities *all = &m->identities;

	for (size_t i = 0; i < all->run_count; i++) {
		struct identity *run = &all->runs[i];

		free(run->issuer);
		run->issuer = copy_issuer(m, run->agent);
	}
}

/* --- beginning --- */

/* Nobody takes all the room there is. */
static int check_room(const struct identities *all, uid_t starter, struct error *e)
{
	size_t count = 0;

	for (size_t i = 0; i < all->run_count; i++)
		count += all->runs[i].starter == starter;
	return all->run_count < LIMIT_RUNS && (starter == 0 || count < LIMIT_RUNS_OF_USER)
		? 0
		: error_set(e, -EAGAIN,
			  "too many commands run with a token or a person of their own");
}

int runs_begin(struct monitor *m, const struct config_agent *agent, uid_t starter,
	const struct run_who *who, struct capture_place *ret, struct error *e)
{
	const char *token = who->token;
	struct capture_run what = {
		.agent = agent->id, .starter = starter, .own_token = token != NULL};
	struct identity *run;
	int r = check_room(&m->identities, starter, e);

	if (who->on_behalf_of)
		snprintf(what.on_behalf_of, sizeof(what.on_behalf_of), "%s", who->on_behalf_of);

	if (r == 0 && token && !agent->identity)
		r = error_set(e, -EINVAL,
			"agent \"%s\" has no identity, so no token: its configuration names no "
			"issuer",
			agent->name.text);
	if (r == 0 && token && strlen(token) > LIMIT_TOKEN_BYTES)
		r = error_set(e, -E2BIG, "the token is longer than %u bytes", LIMIT_TOKEN_BYTES);
	if (r == 0)
		r = capture_run_make(m->capture, &what, ret, e);
	if (r < 0)
		return r;
	run = add(m, &what);
	if (token)
		identity_take_token(m, run, slice_from_string(token));
	/* Before the launcher can start anything. */
	identities_tell(m);
	return 0;
}

/* --- a new token --- */

static struct identity *find(struct identities *all, uint64_t cgroup)
{
	for (size_t i = 0; i < all->run_count; i++) {
		if (all->runs[i].run == cgroup)
			return &all->runs[i];
	}
	return NULL;
}

int runs_on_token(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	struct control_token head;
	struct identity *run;
	struct slice token;
	uint64_t now;

	if (request.length < sizeof(head))
		return error_set(&ret->error, -EINVAL, "malformed request");
	memcpy(&head, request.data, sizeof(head));
	token = slice_from(request, sizeof(head));
	run = find(&m->identities, head.run);
	/* Whose it is, is nobody else's to know. */
	if (!run || !run->own_token || (who->uid != 0 && who->uid != run->starter))
		return error_set(&ret->error, -ENOENT, "there is no such run");
	if (token.length > LIMIT_TOKEN_BYTES)
		return error_set(&ret->error, -E2BIG, "it is too long for a token");
	now = clock_monotonic();
	if (run->told_at && now - run->told_at < TOKEN_GAP)
		return error_set(&ret->error, -EAGAIN, "a token of this run came just now");
	run->told_at = now;
	identity_take_token(m, run, token);
	return 0;
}

/* --- the end --- */

static void remove_at(struct monitor *m, size_t index)
{
	struct identities *all = &m->identities;
	struct identity *run = &all->runs[index];

	capture_run_remove(m->capture, run->run);
	openid_tell_end(m, run);
	identity_done(run);
	*run = all->runs[--all->run_count];
	all->changed = true;
}

/* What another process of the agent may still hold of its sockets is the agent's from then on, as
 * that process is. */
static bool has_ended(struct monitor *m, struct identity *run, uint64_t now)
{
	bool populated = false;
	int r = capture_run_is_populated(m->capture, run->run, &populated);

	if (r == -ENOENT)
		return true;
	run->was_populated |= populated;
	if (r < 0 || populated)
		return false;
	return run->was_populated || now > run->known_since + ENTER_TIME;
}

void runs_turn(struct monitor *m, uint64_t now)
{
	struct identities *all = &m->identities;

	if (now < all->next_run_check)
		return;
	all->next_run_check = now + CHECK_TIME;
	for (size_t i = all->run_count; i-- > 0;) {
		struct identity *run = &all->runs[i];

		if (has_ended(m, run, now))
			remove_at(m, i);
		else if (run->own_token && run->issuer && !run->readable &&
			now > run->known_since + TOKEN_TIME)
			identity_set_problem(m, run,
				"the daemon was started anew and nobody told it the token of this "
				"command: start the command again");
	}
}

void runs_describe(const struct identities *all, uint32_t agent, cJSON *ret_list)
{
	for (size_t i = 0; i < all->run_count; i++) {
		const struct identity *run = &all->runs[i];
		cJSON *json;

		if (run->agent != agent)
			continue;
		json = identity_describe(all, run);
		cJSON_AddItemToArray(ret_list, json);
		cJSON_AddNumberToObject(json, "cgroup", (double)run->run);
		cJSON_AddNumberToObject(json, "uid", run->starter);
		cJSON_AddBoolToObject(json, "own_token", run->own_token);
	}
}
