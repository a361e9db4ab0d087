/* SPDX-License-Identifier: Apache-2.0
 *
 * openid: the broker for issuers of tokens. It is given the configuration, secrets and tokens; what
 * it says is kept: who agents are (identities.c), and the issuers' keys, as bytes that only another
 * broker reads.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "monitor/monitor.h"

#define FOLDER "issuers"
/* Keys are kept behind the time at which they were fetched. */
#define KEPT_MOST (LIMIT_DOCUMENT_BYTES + sizeof(uint64_t))

/* --- to the broker --- */

void openid_tell_token(struct monitor *m, const struct identity *item)
{
	struct broker_token head = {.agent = item->agent, .serial = item->serial, .run = item->run};
	struct buffer payload;

	if (!item->readable)
		return;
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	if (buffer_append(&payload, &head, sizeof(head)) == 0 &&
		buffer_append_slice(&payload, buffer_slice(&item->token)) == 0)
		broker_process_tell_bytes(&m->openid, BROKER_TOKEN, buffer_slice(&payload));
	buffer_wipe(&payload);
}

void openid_tell_end(struct monitor *m, const struct identity *run)
{
	const struct broker_token head = {
		.agent = run->agent, .serial = run->serial, .run = run->run};

	broker_process_tell_bytes(&m->openid, BROKER_END, slice_of(&head, sizeof(head)));
}

static char *kept_path(const struct monitor *m, size_t issuer)
{
	return memory_format("%s/" FOLDER "/%s.keys", m->config->state_dir.text,
		m->config->issuers[issuer].name.text);
}

static void tell_kept_keys(struct monitor *m, uint32_t issuer)
{
	struct broker_keys head = {.issuer = issuer};
	char *path = kept_path(m, issuer);
	struct buffer kept, payload;
	struct error e;

	buffer_init(&kept, KEPT_MOST);
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	if (access(path, F_OK) == 0 && file_read(path, &kept, &e) == 0 &&
		buffer_length(&kept) > sizeof(head.fetched)) {
		memcpy(&head.fetched, buffer_slice(&kept).data, sizeof(head.fetched));
		buffer_consume(&kept, sizeof(head.fetched));
		if (buffer_append(&payload, &head, sizeof(head)) == 0 &&
			buffer_append_slice(&payload, buffer_slice(&kept)) == 0)
			broker_process_tell_bytes(&m->openid, BROKER_KEYS, buffer_slice(&payload));
	}
	buffer_done(&kept);
	buffer_done(&payload);
	free(path);
}

/* One that knows nothing yet is told everything; of people who log in it can't be told. */
static void on_start(void *context)
{
	struct monitor *m = context;

	logins_forget(m, false);
	for (size_t i = 0; i < m->config->issuer_count; i++)
		tell_kept_keys(m, (uint32_t)i);
	for (size_t i = 0; i < m->identities.count; i++)
		openid_tell_token(m, &m->identities.items[i]);
	for (size_t i = 0; i < m->identities.run_count; i++)
		openid_tell_token(m, &m->identities.runs[i]);
}

/* --- from the broker --- */

static int on_principal(struct monitor *m, struct slice payload)
{
	return identities_take(m, payload);
}

static int on_keys(struct monitor *m, struct slice payload)
{
	struct broker_keys head;
	struct buffer kept;
	struct error e;
	char *path;
	int r;

	memcpy(&head, payload.data, sizeof(head));
	if (head.issuer >= m->config->issuer_count)
		return -EBADMSG;
	path = kept_path(m, head.issuer);
	buffer_init(&kept, KEPT_MOST);
	r = buffer_append(&kept, &head.fetched, sizeof(head.fetched));
	if (r == 0)
		r = buffer_append_slice(&kept, slice_from(payload, sizeof(head)));
	if (r == 0 && file_write(path, buffer_slice(&kept), 0600, &e) < 0)
		log_warning("the keys of an issuer can't be kept: %s", e.text);
	buffer_done(&kept);
	free(path);
	return r < 0 ? -EBADMSG : 0;
}

static int on_issuer(struct monitor *m, struct slice payload)
{
	struct slice why = slice_from(payload, sizeof(struct broker_issuer));
	struct broker_issuer head;
	struct issuer_state *state;
	struct buffer text;

	memcpy(&head, payload.data, sizeof(head));
	if (head.issuer >= m->issuer_count || why.length > BROKER_SENTENCE_MOST)
		return -EBADMSG;
	state = &m->issuers[head.issuer];
	buffer_init(&text, 4 * BROKER_SENTENCE_MOST);
	text_append_visible(&text, why);
	free(state->why);
	state->why = memory_copy_text(text.data, buffer_length(&text));
	buffer_done(&text);
	if (head.failing_since && !state->last.failing_since)
		log_warning("issuer %s: %s", m->config->issuers[head.issuer].name.text, state->why);
	else if (!head.failing_since && state->last.failing_since)
		log_info("issuer %s answers again", m->config->issuers[head.issuer].name.text);
	state->last = head;
	return 0;
}

static const struct row {
	int (*handle)(struct monitor *m, struct slice payload);
	size_t least;
} rows[] = {
	[BROKER_KEYS] = {on_keys, sizeof(struct broker_keys) + 1},
	[BROKER_PRINCIPAL] = {on_principal, 1},
	[BROKER_ISSUER] = {on_issuer, sizeof(struct broker_issuer)},
	[BROKER_LOGIN_STATE] = {logins_take, sizeof(struct broker_login_state)},
};

static void on_message(void *context, uint32_t type, struct slice payload)
{
	const struct row *row = type < ARRAY_SIZE(rows) ? &rows[type] : NULL;

	if (!row || !row->handle || payload.length < row->least ||
		row->handle(context, payload) < 0)
		log_error(
			"the broker for openid sent something that is no message (type %u)", type);
}

/* --- configuration --- */

static void add_text(cJSON *object, const char *name, const struct config_text *text)
{
	if (text->text)
		cJSON_AddStringToObject(object, name, text->text);
}

static cJSON *describe_issuer(const struct config_issuer *issuer)
{
	cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "algorithms");
	uint64_t age = issuer->keys_max_age.value / NANOSECONDS_PER_SECOND;

	add_text(json, "name", &issuer->name);
	add_text(json, "url", &issuer->url);
	add_text(json, "audience", &issuer->audience);
	add_text(json, "groups_claim", &issuer->groups_claim);
	add_text(json, "token_type", &issuer->token_type);
	for (size_t i = 0; i < issuer->algorithms.count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(issuer->algorithms.items[i].text));
	if (issuer->ca_text.length)
		cJSON_AddStringToObject(json, "ca", (const char *)issuer->ca_text.data);
	cJSON_AddNumberToObject(json, "keys_max_age", (double)age);
	return json;
}

static int add_secret(
	cJSON *object, const char *name, const struct config_text *path, struct error *e)
{
	struct buffer text;
	struct slice secret;
	int r;

	if (!path->text)
		return 0;
	buffer_init(&text, LIMIT_CONFIG_FILE_BYTES);
	r = file_read(path->text, &text, e);
	secret = buffer_slice(&text);
	while (secret.length && strchr(" \t\r\n", secret.data[secret.length - 1]))
		secret.length--;
	buffer_truncate(&text, secret.length);
	if (r == 0 && (secret.length == 0 || memchr(secret.data, 0, secret.length)))
		r = error_set(e, -EINVAL, "%s: not a text", path->text);
	if (r == 0)
		r = buffer_append_byte(&text, '\0');
	if (r == 0)
		cJSON_AddStringToObject(object, name, (const char *)buffer_slice(&text).data);
	buffer_wipe(&text);
	return r;
}

static int add_issuer(const struct config_issuer *issuer, cJSON *list, struct error *e)
{
	const struct config_login *login = issuer->login;
	cJSON *json = describe_issuer(issuer);

	cJSON_AddItemToArray(list, json);
	if (!login)
		return 0;
	add_text(json, "login_client", &login->client_id);
	add_text(json, "login_scope", &login->scope);
	return add_secret(json, "login_secret", &login->client_secret_file, e);
}

static size_t find_issuer(const struct config *c, const char *name)
{
	size_t i = 0;

	while (i < c->issuer_count && strcmp(c->issuers[i].name.text, name) != 0)
		i++;
	return i;
}

static int add_agent(
	const struct config *c, const struct config_agent *agent, cJSON *list, struct error *e)
{
	const struct config_identity *identity = agent->identity;
	cJSON *json;
	int r;

	if (!identity)
		return 0;
	json = cJSON_CreateObject();
	cJSON_AddItemToArray(list, json);
	cJSON_AddNumberToObject(json, "id", agent->id);
	cJSON_AddNumberToObject(json, "issuer", (double)find_issuer(c, identity->issuer.text));
	add_text(json, "client", &identity->client);
	add_text(json, "subject", &identity->subject);
	add_text(json, "client_id", &identity->client_id);
	add_text(json, "scope", &identity->scope);
	r = add_secret(json, "secret", &identity->client_secret_file, e);
	return r < 0 ? r : add_secret(json, "key", &identity->private_key_file, e);
}

static void wipe_secrets(const cJSON *list)
{
	static const char *const names[] = {"secret", "key", "login_secret"};
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			const cJSON *secret = cJSON_GetObjectItemCaseSensitive(item, names[i]);

			if (secret)
				memory_wipe(secret->valuestring, strlen(secret->valuestring));
		}
	}
}

/* As broker/openid.c reads it. */
static int make_setup(struct monitor *m, struct broker_setup **ret, struct error *e)
{
	cJSON *json = cJSON_CreateObject(), *issuers = cJSON_AddArrayToObject(json, "issuers"),
	      *agents = cJSON_AddArrayToObject(json, "agents");
	struct broker_setup *setup = NULL;
	char *text = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->config->issuer_count; i++)
		r = add_issuer(&m->config->issuers[i], issuers, e);
	for (size_t i = 0; r == 0 && i < m->config->agent_count; i++)
		r = add_agent(m->config, &m->config->agents[i], agents, e);
	if (r == 0) {
		text = cJSON_PrintUnformatted(json);
		setup = broker_setup_new(BROKER_ROLE_OPENID);
		setup->uid = m->worker_uid;
		setup->gid = m->worker_gid;
		r = buffer_append_string(&setup->texts[BROKER_OPENID], text);
		memory_wipe(text, strlen(text));
		free(text);
	}
	wipe_secrets(issuers);
	wipe_secrets(agents);
	cJSON_Delete(json);
	if (r < 0)
		broker_setup_free(setup);
	else
		*ret = setup;
	return r;
}

static bool is_wanted(const struct config *c)
{
	bool wanted = false;

	for (size_t i = 0; i < c->agent_count; i++)
		wanted |= c->agents[i].identity != NULL;
	for (size_t i = 0; i < c->issuer_count; i++)
		wanted |= c->issuers[i].login != NULL;
	return wanted;
}

static void reset_issuers(struct monitor *m, size_t count)
{
	for (size_t i = 0; i < m->issuer_count; i++)
		free(m->issuers[i].why);
	free(m->issuers);
	m->issuers = memory_new_array(count, sizeof(*m->issuers));
	m->issuer_count = count;
}

int openid_configure(struct monitor *m, struct error *e)
{
	struct broker_setup *setup = NULL;
	const struct broker_setup *before = m->openid.setup;
	int r = is_wanted(m->config) ? make_setup(m, &setup, e) : 0;

	if (r < 0)
		return r;
	identities_configure(m);
	r = broker_process_set(&m->openid, setup, e);
	if (r == 0 && m->openid.setup != before) {
		/* Who somebody is by other rules is found out anew. */
		reset_issuers(m, m->config->issuer_count);
		logins_forget(m, true);
		identities_forget(m);
	}
	return r;
}

int openid_open(struct monitor *m, struct error *e)
{
	char *folder = memory_format("%s/" FOLDER, m->config->state_dir.text);
	int r = file_make_folders(folder, 0700, e);

	free(folder);
	broker_process_init(&m->openid, &m->loop);
	m->openid.on_start = on_start;
	m->openid.on_message = on_message;
	m->openid.context = m;
	return r < 0 ? r : identities_open(m, e);
}

void openid_close(struct monitor *m)
{
	if (m->openid.loop)
		broker_process_stop(&m->openid);
	identities_close(m);
	logins_close(m);
	reset_issuers(m, 0);
}
