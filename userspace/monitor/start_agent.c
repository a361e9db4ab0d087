/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/start_agent.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/authority.h"
#include "monitor/run_plan.h"
#include "monitor/trust.h"
#include "monitor/unix_servers.h"

/* Where the configuration and its secrets usually are. */
#define CONFIG_FOLDER "/etc/wayleave"

static bool may_start(const struct config_agent *agent, uid_t caller)
{
	if (caller == 0)
		return true;
	for (size_t i = 0; i < agent->users.count; i++) {
		struct passwd *user = getpwnam(agent->users.items[i].text);

		if (user && user->pw_uid == caller)
			return true;
	}
	return false;
}

/* Without a name: the only one that the caller may start. */
static int find_agent(const struct config *c, const char *name, uid_t caller,
	const struct config_agent **ret, struct error *e)
{
	const struct config_agent *found = NULL;

	if (*name) {
		found = config_find_agent(c, name);
		if (!found || !may_start(found, caller))
			return error_set(e, -EPERM,
				found ? "you may not start agent \"%s\""
				      : "there is no agent \"%s\"",
				name);
		if (!found->cgroup.text)
			return error_set(e, -EINVAL,
				"agent \"%s\" is behind an interface: others start its processes, "
				"not "
				"wayleave run",
				name);
		*ret = found;
		return 0;
	}
	for (size_t i = 0; i < c->agent_count; i++) {
		if (!c->agents[i].cgroup.text || !may_start(&c->agents[i], caller))
			continue;
		if (found)
			return error_set(e, -EINVAL, "which agent? Name one with --agent");
		found = &c->agents[i];
	}
	if (!found)
		return error_set(e, -EPERM, "there is no agent that you may start");
	*ret = found;
	return 0;
}

/* --user: root may choose anybody, others only themselves. */
static int choose_user(const char *name, uid_t caller, struct arena *memory, struct run_plan *plan,
	struct error *e)
{
	struct passwd *user;
	int count = 0;
	gid_t *groups;

	if (!*name) {
		plan->flags |= RUN_PLAN_KEEP_USER;
		plan->user = plan->home = "";
		return 0;
	}
	user = getpwnam(name);
	if (!user)
		return error_set(e, -ENOENT, "there is no user \"%s\"", name);
	if (caller != 0 && caller != user->pw_uid)
		return error_set(e, -EPERM, "only root may run commands as another user");
	plan->uid = user->pw_uid;
	plan->gid = user->pw_gid;
	plan->user = (const char *)arena_copy(memory, slice_from_string(user->pw_name)).data;
	plan->home = (const char *)arena_copy(memory, slice_from_string(user->pw_dir)).data;
	getgrouplist(user->pw_name, user->pw_gid, NULL, &count);
	groups = arena_new_array(memory, (size_t)count + 1, sizeof(*groups));
	if (!groups || !plan->user || !plan->home ||
		getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		return error_set(e, -ENOMEM, "the user has too many groups");
	plan->groups = (const uint32_t *)groups;
	plan->group_count = (size_t)count;
	if (caller != 0)
		plan->flags |= RUN_PLAN_KEEP_USER;
	return 0;
}

/* The folder, not the file in it, so that a newer one appears to who runs already. */
static int show_trust(
	struct monitor *m, struct arena *memory, struct run_path *shown, struct run_plan *plan)
{
	const char *runtime_dir = m->config->runtime_dir.text;
	char *folder = memory_format("%s/" TRUST_FOLDER, runtime_dir);
	char *file = memory_format("%s/" TRUST_FILE, folder);
	struct slice place = arena_copy(memory, slice_from_string(folder));
	struct error e;

	plan->trust_file = (const char *)arena_copy(memory, slice_from_string(file)).data;
	free(folder);
	free(file);
	if (!place.data || !plan->trust_file)
		return -ENOMEM;
	/* Without it the command runs as well, and trusts what it did before. */
	if (trust_update(runtime_dir, authority_certificate(m->authority), &e) < 0) {
		log_error("%s", e.text);
		plan->trust_file = "";
		return 0;
	}
	shown[plan->shown_count++] =
		(struct run_path){(const char *)place.data, (const char *)place.data};
	return 0;
}

/* The files of CAs that its programs pin, with the host's. One that can't be shown so stays what it
 * is: they refuse the host's certificates. */
static int show_pinned(struct monitor *m, const struct config_agent *agent, struct arena *memory,
	struct run_path *shown, struct run_plan *plan)
{
	const char *runtime_dir = m->config->runtime_dir.text;
	int r = 0;

	for (size_t i = 0; r == 0 && i < agent->trust_files.count; i++) {
		const char *pinned = agent->trust_files.items[i].text;
		char *name = memory_format("%s-%zu.pem", agent->name.text, i);
		char *file = memory_format("%s/" TRUST_FOLDER "/%s", runtime_dir, name);
		const char *source = (const char *)arena_copy(memory, slice_from_string(file)).data;
		struct error e;

		if (!source)
			r = -ENOMEM;
		else if (trust_pin(runtime_dir, name, pinned, authority_certificate(m->authority),
				 &e) < 0)
			log_error("%s", e.text);
		else
			shown[plan->shown_count++] = (struct run_path){source, pinned};
		free(name);
		free(file);
	}
	return r;
}

/* The sockets of servers are hidden, and where connections to them are turned to is not. The
 * folder, so that the socket of the next daemon appears too. */
static int add_servers(struct monitor *m, struct arena *memory, const char **hidden, size_t *count,
	struct run_path *shown, struct run_plan *plan)
{
	char *folder = memory_format("%s/" UNIX_SERVERS_FOLDER, m->config->runtime_dir.text);
	const char *place = (const char *)arena_copy(memory, slice_from_string(folder)).data;

	free(folder);
	if (!place)
		return -ENOMEM;
	shown[plan->shown_count++] = (struct run_path){place, place};
	for (size_t i = 0; i < m->config->resource_count; i++) {
		const struct config_upstream *upstream = m->config->resources[i].upstream;

		if (!upstream)
			continue;
		hidden[*count] = unix_servers_cover(upstream->unix_path.text, memory);
		if (!hidden[(*count)++])
			return -ENOMEM;
	}
	return 0;
}

/* Sockets of those who start processes for others, and of databases that no resource names: hidden
 * (launcher/run_folders.c), but for these. */
static int show_sockets(const struct config_agent *agent, struct arena *memory,
	struct run_path *shown, struct run_plan *plan)
{
	for (size_t i = 0; i < agent->sockets.count; i++) {
		const char *wanted = agent->sockets.items[i].text, *path;
		int r = unix_servers_real(wanted, memory, &path);

		/* Whoever made the link, the agent in an earlier command perhaps, would choose what
		 * is shown. */
		if (r == -ELOOP)
			log_warning("agent %s: %s leads through a link that others than root can "
				    "change: it is not shown",
				agent->name.text, wanted);
		else if (r < 0)
			return r;
		else
			shown[plan->shown_count++] = (struct run_path){path, path};
	}
	return 0;
}

/* What the configuration says and where it keeps secrets. Whatever else could undo the capture is
 * the same for every agent and known to the launcher. */
static int fill_paths(struct monitor *m, const struct config_agent *agent, struct arena *memory,
	struct run_plan *plan)
{
	const struct config *c = m->config;
	const char *const fixed[] = {
		CONFIG_FOLDER, c->state_dir.text, c->runtime_dir.text, m->config_file};
	size_t most =
		ARRAY_SIZE(fixed) + c->policy_file_count + c->secret_file_count + c->resource_count;
	size_t count = 0;
	const char **hidden = arena_new_array(memory, most, sizeof(*hidden));
	struct run_path *shown = arena_new_array(
		memory, 4 + agent->trust_files.count + agent->sockets.count, sizeof(*shown));
	int r;

	if (!hidden || !shown)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		hidden[count++] = fixed[i];
	for (size_t i = 0; i < c->policy_file_count; i++)
		hidden[count++] = c->policy_files[i];
	for (size_t i = 0; i < c->secret_file_count; i++)
		hidden[count++] = c->secret_files[i];
	r = add_servers(m, memory, hidden, &count, shown, plan);
	if (r < 0)
		return r;
	plan->hidden = hidden;
	plan->hidden_count = count;
	shown[plan->shown_count++] = (struct run_path){m->control_path, m->control_path};
	if (m->known_hosts) {
		shown[plan->shown_count++] =
			(struct run_path){m->known_hosts, RUN_PLAN_KNOWN_HOSTS};
		if (agent->known_hosts.value == KNOWN_HOSTS_USER)
			plan->flags |= RUN_PLAN_USER_KNOWN_HOSTS;
	}
	plan->shown = shown;
	r = show_sockets(agent, memory, shown, plan);
	if (r == 0)
		r = show_trust(m, memory, shown, plan);
	return r < 0 ? r : show_pinned(m, agent, memory, shown, plan);
}

/* Where a login is by the keys of who connects. */
static bool logs_in_by_own_keys(const struct config *c)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		if (c->resources[i].credentials && c->resources[i].credentials->agent)
			return true;
	}
	return false;
}

/* What every command of the agent gets, however it comes into its cgroup. */
static int fill_plan(struct monitor *m, const struct config_agent *agent, struct arena *memory,
	struct run_plan *plan, struct error *e)
{
	int r;

	plan->flags |= RUN_PLAN_LANDLOCK;
	if (agent->io_uring.value == IO_URING_DENY)
		plan->flags |= RUN_PLAN_DENY_IO_URING;
	if (logs_in_by_own_keys(m->config))
		plan->flags |= RUN_PLAN_OWN_KEYS;
	plan->agent = agent->id;
	r = fill_paths(m, agent, memory, plan);
	if (r < 0)
		return error_set_errno(e, r, "the paths to hide");
	r = store_note(m->store, HOST_AGENT, slice_from_string(agent->name.text),
		slice_from_string("a command is started"));
	return r < 0 ? error_set_errno(e, r, "the start could not be recorded") : 0;
}

static int make_plan(struct monitor *m, uid_t caller, const struct run_request *request,
	struct arena *memory, struct run_plan *plan, struct error *e)
{
	const struct config_agent *agent = NULL;
	struct capture_place *place = arena_new(memory, sizeof(*place));
	int r = find_agent(m->config, request->agent, caller, &agent, e);
	const struct run_who who = {request->token, logins_person(m, caller)};
	bool apart = who.token || who.on_behalf_of;

	if (r == 0 && !place)
		r = error_set(e, -ENOMEM, "out of memory");
	if (r == 0)
		r = choose_user(request->user, caller, memory, plan, e);
	if (r == 0)
		r = apart ? runs_begin(m, agent, caller, &who, place, e)
			  : capture_prepare(m->capture, agent->id, place, e);
	if (r < 0)
		return r;
	plan->cgroup = place->cgroup;
	plan->cgroup_path = place->path;
	return fill_plan(m, agent, memory, plan, e);
}

static const struct config_agent *find_by_id(const struct config *c, uint32_t id)
{
	for (size_t i = 0; i < c->agent_count; i++) {
		if (c->agents[i].id == id)
			return &c->agents[i];
	}
	return NULL;
}

static int make_unit_plan(struct monitor *m, uint32_t id, const struct run_request *request,
	struct arena *memory, struct run_plan *plan, struct error *e)
{
	const struct config_agent *agent = find_by_id(m->config, id);
	int r;

	if (!agent)
		return error_set(e, -ENOENT, "the unit's agent is no longer configured");
	if (*request->agent && strcmp(request->agent, agent->name.text) != 0)
		return error_set(e, -EPERM, "the unit is in the cgroup of agent \"%s\", not \"%s\"",
			agent->name.text, request->agent);
	if (request->token)
		return error_set(e, -EINVAL,
			"a unit's token is its agent's: \"token_file\" in its \"identity\"");
	if (!start_pace_take(&m->unit_starts, id, clock_monotonic()))
		return error_set(e, -EAGAIN,
			"commands of units of agent \"%s\" were started too often",
			agent->name.text);
	r = choose_user(request->user, 0, memory, plan, e);
	return r < 0 ? r : fill_plan(m, agent, memory, plan, e);
}

/* How a plan is made for who asks: a user, or the agent of a unit. */
typedef int plan_maker(struct monitor *m, uint32_t who, const struct run_request *request,
	struct arena *memory, struct run_plan *plan, struct error *e);

static int start(struct monitor *m, plan_maker *make, uint32_t who, struct slice payload,
	struct buffer *ret, struct error *e)
{
	struct run_plan plan = {.cgroup_path = "/", .user = "", .home = "", .trust_file = ""};
	struct run_request request;
	struct arena memory;
	int r = run_request_decode(payload, &request);

	if (r < 0)
		return error_set(e, -EINVAL, "malformed request");
	arena_init(&memory, RUN_PLAN_MEMORY);
	r = make(m, who, &request, &memory, &plan, e);
	if (r == 0) {
		r = run_plan_encode(&plan, ret);
		if (r < 0)
			error_set_errno(e, r, "the plan");
	}
	arena_done(&memory);
	return r;
}

int start_agent(
	struct monitor *m, uid_t caller, struct slice payload, struct buffer *ret, struct error *e)
{
	return start(m, make_plan, caller, payload, ret, e);
}

int start_unit(struct monitor *m, uint32_t agent, struct slice payload, struct buffer *ret,
	struct error *e)
{
	return start(m, make_unit_plan, agent, payload, ret, e);
}
