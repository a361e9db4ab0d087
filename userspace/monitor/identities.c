/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/identities.h"

#include <errno.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "monitor/monitor.h"

#define ENTRY_MOST (64u << 10)
#define NO_SOURCE                                                                                  \
	"the token of this agent is missing: only commands that `wayleave run --token-file` "      \
	"starts have one"

/* --- entries --- */

struct identity *identities_find_agent(struct identities *all, uint32_t agent)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->items[i].agent == agent)
			return &all->items[i];
	}
	return NULL;
}

/* Where what is known of it stands: a run without a token is whom its agent is. */
static const struct identity *find_source(const struct identities *all, const struct identity *item)
{
	const struct identity *agent;

	if (item->run == 0 || item->own_token)
		return item;
	agent = identities_find_agent((struct identities *)all, item->agent);
	return agent ? agent : item;
}

/* What is known of it; its texts belong to `item` or its agent, and the array is for free(). */
static struct principal_entry read_entry(
	const struct identities *all, const struct identity *of, void **ret_memory)
{
	const struct identity *item = find_source(all, of);
	struct principal_entry entry = {
		.agent = item->agent,
		.state = item->issuer ? PRINCIPAL_AWAITED : PRINCIPAL_NONE,
		.principal = {.known = !item->issuer},
		.issuer = slice_from_string(item->issuer),
		.problem = slice_from_string(
			item->issuer ? "the token of this agent is being looked at" : ""),
	};
	struct principal_entry *decoded;
	size_t count;

	*ret_memory = NULL;
	if (item->issuer && buffer_length(&item->entry) &&
		principals_decode(buffer_slice(&item->entry), &decoded, &count) == 0) {
		*ret_memory = decoded;
		entry = decoded[0];
	}
	if (item->issuer && item->without_source) {
		entry.state = PRINCIPAL_REFUSED;
		entry.problem = slice_from_string(NO_SOURCE);
	}
	entry.suspended = item->suspended;
	entry.run = of->run;
	entry.principal.on_behalf_of = slice_from_string(of->on_behalf_of);
	return entry;
}

static void note(struct monitor *m, struct identity *item)
{
	struct buffer text;
	void *memory;
	struct principal_entry entry = read_entry(&m->identities, item, &memory);
	int r;

	buffer_init(&text, LIMIT_RECORD_NAME);
	if (item->run)
		buffer_append_format(&text, "run %lx of user %u: ", (unsigned long)item->run,
			(unsigned)item->starter);
	if (entry.state == PRINCIPAL_KNOWN) {
		r = buffer_append_format(&text,
			"principal %.*s of issuer %.*s; groups:", SLICE_PRINT(entry.principal.name),
			SLICE_PRINT(entry.issuer));
		for (size_t i = 0; r == 0 && i < entry.principal.group_count; i++)
			r = buffer_append_format(
				&text, " %.*s", SLICE_PRINT(entry.principal.groups[i]));
	} else {
		buffer_append_format(&text, "no principal: %.*s", SLICE_PRINT(entry.problem));
	}
	free(memory);
	if (!item->noted || !slice_equal_string(buffer_slice(&text), item->noted)) {
		free(item->noted);
		item->noted = memory_copy_text(text.data, buffer_length(&text));
		store_note(
			m->store, HOST_AGENT, slice_from_string(item->name), buffer_slice(&text));
		log_info("agent %s: %s", item->name, item->noted);
	}
	buffer_done(&text);
}

static void set_entry(struct monitor *m, struct identity *item, struct slice encoded)
{
	if (slice_equal(encoded, buffer_slice(&item->entry)))
		return;
	buffer_clear(&item->entry);
	buffer_append_slice(&item->entry, encoded);
	m->identities.changed = true;
	note(m, item);
}

/* What is about a token of before is too late. */
static void take_entry(struct monitor *m, struct identity *item,
	const struct principal_entry *entry, struct slice encoded)
{
	if (item->issuer && item->agent == entry->agent && item->run == entry->run &&
		item->serial == entry->serial)
		set_entry(m, item, encoded);
}

int identities_take(struct monitor *m, struct slice encoded)
{
	struct identities *all = &m->identities;
	struct principal_entry *entry;
	size_t count;
	int r = principals_decode(encoded, &entry, &count);

	if (r < 0)
		return r;
	r = count == 1 && entry->state != PRINCIPAL_NONE ? 0 : -EBADMSG;
	for (size_t i = 0; r == 0 && i < all->count; i++)
		take_entry(m, &all->items[i], entry, encoded);
	for (size_t i = 0; r == 0 && i < all->run_count; i++)
		take_entry(m, &all->runs[i], entry, encoded);
	free(entry);
	return r;
}

void identities_forget(struct monitor *m)
{
	for (size_t i = 0; i < m->identities.count; i++)
		buffer_clear(&m->identities.items[i].entry);
	for (size_t i = 0; i < m->identities.run_count; i++)
		buffer_clear(&m->identities.runs[i].entry);
	m->identities.changed = true;
}

/* --- workers --- */

static int encode_one(
	const struct identities *all, const struct identity *item, struct buffer *list)
{
	void *memory;
	struct principal_entry entry = read_entry(all, item, &memory);
	int r = 0;

	if (entry.state != PRINCIPAL_NONE || entry.suspended || entry.run)
		r = principals_encode(&entry, list);
	free(memory);
	return r;
}

/* What of an agent's runs matters to its flows: that some have another principal, as then nothing
 * passes, and that some are on somebody's behalf, as then nobody can be asked (worker/flow.c). */
static uint64_t look_at_runs(const struct identities *all, const struct principal_entry *own)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < all->run_count; i++) {
		struct principal_entry entry;
		void *memory;

		if (all->runs[i].agent != own->agent)
			continue;
		entry = read_entry(all, &all->runs[i], &memory);
		seen |= !principals_are_same(&entry, own);
		seen |= (uint64_t)(entry.principal.on_behalf_of.length != 0) << 1;
		free(memory);
	}
	return seen;
}

/* A number for what flows are judged by: whom agents act for, not until when nor by which token;
 * and for whom runs of theirs do. */
static uint64_t sum_of_flows(const struct identities *all)
{
	struct buffer list;
	uint64_t sum;
	int r = 0;

	buffer_init(&list, PRINCIPALS_BYTES_MOST);
	for (size_t i = 0; r == 0 && i < all->count; i++) {
		void *memory;
		struct principal_entry entry = read_entry(all, &all->items[i], &memory);

		entry.run = look_at_runs(all, &entry);
		entry.until = 0;
		entry.serial = 0;
		entry.problem = SLICE_EMPTY;
		r = principals_encode(&entry, &list);
		free(memory);
	}
	sum = XXH3_64bits(buffer_slice(&list).data, buffer_length(&list));
	buffer_done(&list);
	return sum;
}

static int encode_all(struct monitor *m)
{
	struct identities *all = &m->identities;
	struct buffer list;
	int fd = 0;

	buffer_init(&list, PRINCIPALS_BYTES_MOST);
	for (size_t i = 0; fd == 0 && i < all->count; i++)
		fd = encode_one(all, &all->items[i], &list);
	for (size_t i = 0; fd == 0 && i < all->run_count; i++)
		fd = encode_one(all, &all->runs[i], &list);
	if (fd == 0)
		fd = file_make_sealed("wayleave-principals", buffer_slice(&list));
	buffer_done(&list);
	if (fd < 0)
		log_error("the workers can't be told who agents are: %s", strerror(-fd));
	return fd;
}

void identities_send(struct monitor *m, struct monitor_worker *w)
{
	int fd = encode_all(m);

	if (fd < 0)
		return;
	workers_tell(w, MESSAGE_PRINCIPALS, SLICE_EMPTY, fd);
	close(fd);
}

void identities_tell(struct monitor *m)
{
	uint64_t sum = sum_of_flows(&m->identities);
	int fd = encode_all(m);

	if (fd < 0)
		return;
	m->identities.changed = false;
	for (unsigned i = 0; i < m->worker_count; i++)
		workers_tell(&m->workers[i], MESSAGE_PRINCIPALS, SLICE_EMPTY, fd);
	close(fd);
	if (m->serving && m->identities.told && sum != m->identities.told)
		settings_on_principals(m);
	m->identities.told = sum;
}

/* --- tokens --- */

void identity_set_problem(struct monitor *m, struct identity *item, const char *problem)
{
	const struct principal_entry entry = {
		.agent = item->agent,
		.run = item->run,
		.serial = item->serial,
		.state = PRINCIPAL_REFUSED,
		.issuer = slice_from_string(item->issuer),
		.problem = slice_head(slice_from_string(problem), PRINCIPALS_PROBLEM_MOST),
	};
	struct buffer encoded;

	buffer_init(&encoded, ENTRY_MOST);
	if (principals_encode(&entry, &encoded) == 0)
		set_entry(m, item, buffer_slice(&encoded));
	buffer_done(&encoded);
}

void identity_take_token(struct monitor *m, struct identity *item, struct slice token)
{
	if (item->readable && slice_equal(token, buffer_slice(&item->token)))
		return;
	item->readable = true;
	buffer_wipe(&item->token);
	buffer_append_slice(&item->token, token);
	item->serial = ++m->identities.last_serial;
	/* Until the broker has looked at it, what was known before holds, up to its end. */
	openid_tell_token(m, item);
}

void identities_turn(struct monitor *m, uint64_t now)
{
	struct identities *all = &m->identities;

	token_files_turn(m, now);
	runs_turn(m, now);
	if (all->changed)
		identities_tell(m);
}

/* --- the list, for people --- */

cJSON *identity_describe(const struct identities *all, const struct identity *item)
{
	cJSON *json = cJSON_CreateObject(), *groups;
	void *memory;
	struct principal_entry entry = read_entry(all, item, &memory);
	bool known = entry.state == PRINCIPAL_KNOWN;

	/* Workers see by the clock that a token has ended, before anybody tells them. */
	if (known && clock_wall() >= entry.until)
		entry.state = PRINCIPAL_ENDED;
	cJSON_AddStringToObject(json, "name", item->name);
	cJSON_AddStringToObject(json, "state", item->suspended ? "suspended" : "active");
	cJSON_AddStringToObject(json, "identity", principal_state_name(entry.state));
	json_add_text(json, "issuer", slice_from_string(item->issuer));
	json_add_text(json, "principal", entry.principal.name);
	json_add_text(json, "on_behalf_of", entry.principal.on_behalf_of);
	groups = cJSON_AddArrayToObject(json, "groups");
	for (size_t i = 0; i < entry.principal.group_count; i++)
		cJSON_AddItemToArray(groups, json_text(entry.principal.groups[i]));
	json_add_time(json, "expires", known ? entry.until : 0);
	json_add_text(json, "problem", entry.problem);
	free(memory);
	return json;
}

int identities_on_list(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	cJSON *list = cJSON_CreateArray();
	char *text;

	(void)who;
	(void)request;
	for (size_t i = 0; i < m->identities.count; i++) {
		const struct identity *item = &m->identities.items[i];
		cJSON *json = identity_describe(&m->identities, item);

		cJSON_AddItemToArray(list, json);
		runs_describe(&m->identities, item->agent, cJSON_AddArrayToObject(json, "runs"));
	}
	text = cJSON_PrintUnformatted(list);
	cJSON_Delete(list);
	if (!text)
		return -ENOMEM;
	ret->made = file_make_sealed("wayleave-agents", slice_from_string(text));
	free(text);
	return ret->made < 0 ? ret->made : 0;
}

/* --- configuration --- */

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void identity_done(struct identity *item)
{
	free(item->name);
	free(item->issuer);
	free(item->token_file);
	free(item->noted);
	free(item->on_behalf_of);
	buffer_wipe(&item->token);
	buffer_done(&item->entry);
}

static struct identity make_item(const struct identities *all, const struct config_agent *agent)
{
	const struct config_identity *from = agent->identity;
	struct identity item = {
		.agent = agent->id,
		.name = memory_copy_string(agent->name.text),
		.issuer = from ? memory_copy_string(from->issuer.text) : NULL,
		.token_file = from && from->token_file.text
			? memory_copy_string(from->token_file.text)
			: NULL,
		.without_source = from && !from->token_file.text && !from->client_id.text,
		.suspended = suspensions_has(&all->suspensions, agent->name.text),
	};

	buffer_init(&item.token, LIMIT_TOKEN_BYTES);
	buffer_init(&item.entry, ENTRY_MOST);
	return item;
}

/* What stays the same is still known. */
static void keep(struct identity *item, struct identity *old)
{
	struct identity before = *item;

	if (item->agent != old->agent || !same(item->issuer, old->issuer) ||
		!same(item->token_file, old->token_file) ||
		item->without_source != old->without_source)
		return;
	*item = *old;
	*old = before;
}

void identities_configure(struct monitor *m)
{
	const struct config *c = m->config;
	struct identities *all = &m->identities;
	struct identity *items = memory_new_array(c->agent_count, sizeof(*items));

	for (size_t i = 0; i < c->agent_count; i++) {
		items[i] = make_item(all, &c->agents[i]);
		for (size_t j = 0; j < all->count; j++)
			keep(&items[i], &all->items[j]);
	}
	for (size_t i = 0; i < all->count; i++)
		identity_done(&all->items[i]);
	free(all->items);
	all->items = items;
	all->count = c->agent_count;
	runs_configure(m);
	all->changed = true;
	token_files_configure(m);
}

int identities_open(struct monitor *m, struct error *e)
{
	int r = token_files_open(m, e);

	if (r == 0)
		r = suspensions_load(m, e);
	if (r == 0)
		identities_configure(m);
	return r;
}

void identities_close(struct monitor *m)
{
	struct identities *all = &m->identities;

	for (size_t i = 0; i < all->count; i++)
		identity_done(&all->items[i]);
	free(all->items);
	for (size_t i = 0; i < all->run_count; i++)
		identity_done(&all->runs[i]);
	free(all->runs);
	suspensions_done(&all->suspensions);
	*all = (struct identities){.count = 0};
}
