/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/logins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "monitor/monitor.h"

/* In which the broker says something of a login, or it never does. */
#define ASKED_TIME (120 * NANOSECONDS_PER_SECOND)

static void clear_texts(struct person_login *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(l->texts); i++) {
		free(l->texts[i]);
		l->texts[i] = NULL;
	}
}

static int tell_broker(struct monitor *m, const struct person_login *l, enum broker_message type)
{
	const struct broker_login head = {.id = l->id, .issuer = (uint32_t)l->issuer};

	return broker_process_tell_bytes(&m->openid, type, slice_of(&head, sizeof(head)));
}

static void note(struct monitor *m, const struct person_login *l, const char *what)
{
	char subject[32],
		*detail = memory_format("%s %s of issuer %s", what, l->texts[0],
			m->config->issuers[l->issuer].name.text);

	snprintf(subject, sizeof(subject), "user %u", (unsigned)l->uid);
	store_note(m->store, HOST_AGENT, slice_from_string(subject), slice_from_string(detail));
	log_info("%s: %s", subject, detail);
	free(detail);
}

static bool is_over(const struct person_login *l)
{
	return l->stage == BROKER_LOGIN_FAILED ||
		(l->stage == BROKER_LOGIN_KNOWN &&
			(clock_wall() >= l->until || clock_boot() >= l->ends));
}

/* Far ends are cut: what remains of them is added to a clock. */
static void measure(struct person_login *l, uint64_t until)
{
	uint64_t now = clock_wall(), left = until > now ? until - now : 0;

	l->until = until;
	l->ends = clock_boot() + (left < INT64_MAX ? left : INT64_MAX);
}

static struct person_login *find(const struct logins *all, uid_t uid)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->items[i].uid == uid)
			return &all->items[i];
	}
	return NULL;
}

static void remove_login(struct logins *all, struct person_login *l)
{
	clear_texts(l);
	*l = all->items[--all->count];
}

const char *logins_person(const struct monitor *m, uid_t uid)
{
	const struct person_login *l = find(&m->logins, uid);

	return l && l->stage == BROKER_LOGIN_KNOWN && !is_over(l) ? l->texts[0] : NULL;
}

/* --- what the broker says --- */

static int take_texts(
	const struct broker_login_state *head, struct slice rest, struct person_login *l)
{
	size_t total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(head->lengths); i++) {
		if (head->lengths[i] > LIMIT_TOKEN_NAME)
			return -EBADMSG;
		total += head->lengths[i];
	}
	if (total != rest.length || (total && memchr(rest.data, 0, total)))
		return -EBADMSG;
	clear_texts(l);
	for (size_t i = 0; i < ARRAY_SIZE(head->lengths); i++) {
		l->texts[i] = head->lengths[i] ? memory_copy_text(rest.data, head->lengths[i])
					       : memory_copy_string("");
		rest = slice_from(rest, head->lengths[i]);
	}
	return 0;
}

/* The same name may be somebody else's with another issuer. */
static void name_person(const struct config *c, struct person_login *l)
{
	size_t count = 0;
	char *name;

	for (size_t i = 0; i < c->issuer_count; i++)
		count += c->issuers[i].login != NULL;
	if (count < 2)
		return;
	name = memory_format("%s:%s", c->issuers[l->issuer].name.text, l->texts[0]);
	if (strlen(name) > LIMIT_TOKEN_NAME) {
		free(name);
		name = memory_copy_string("the name of this person is too long");
		l->stage = BROKER_LOGIN_FAILED;
	}
	free(l->texts[0]);
	l->texts[0] = name;
}

int logins_take(struct monitor *m, struct slice payload)
{
	struct broker_login_state head;
	struct person_login *l = NULL;
	bool fresh;
	int r;

	memcpy(&head, payload.data, sizeof(head));
	if (head.stage <= BROKER_LOGIN_ASKED || head.stage > BROKER_LOGIN_FAILED)
		return -EBADMSG;
	for (size_t i = 0; i < m->logins.count; i++) {
		if (m->logins.items[i].id == head.id)
			l = &m->logins.items[i];
	}
	/* Of one that was replaced meanwhile. */
	if (!l)
		return 0;
	fresh = l->stage != BROKER_LOGIN_KNOWN;
	r = take_texts(&head, slice_from(payload, sizeof(head)), l);
	if (r < 0) {
		remove_login(&m->logins, l);
		return r;
	}
	l->stage = head.stage;
	if (l->until != head.until)
		measure(l, head.until);
	if (l->stage == BROKER_LOGIN_KNOWN)
		name_person(m->config, l);
	if (l->stage == BROKER_LOGIN_KNOWN && fresh)
		note(m, l, "logged in as");
	return 0;
}

void logins_forget(struct monitor *m, bool all)
{
	for (size_t i = m->logins.count; i-- > 0;) {
		struct person_login *l = &m->logins.items[i];

		if (all || l->stage != BROKER_LOGIN_KNOWN)
			remove_login(&m->logins, l);
	}
}

void logins_close(struct monitor *m)
{
	logins_forget(m, true);
	free(m->logins.items);
	m->logins = (struct logins){.count = 0};
}

/* --- what people ask --- */

/* Without a name: the only one at which people can log in. */
static int find_issuer(const struct config *c, struct slice name, size_t *ret, struct error *e)
{
	size_t found = c->issuer_count, count = 0;

	for (size_t i = 0; i < c->issuer_count; i++) {
		if (!c->issuers[i].login ||
			(name.length && !slice_equal_string(name, c->issuers[i].name.text)))
			continue;
		found = i;
		count++;
	}
	if (count == 0)
		return error_set(e, -ENOENT, "there is no such issuer with \"login\"");
	if (count > 1)
		return error_set(e, -EINVAL, "which issuer? Name one with --issuer");
	*ret = found;
	return 0;
}

#define BROKER_BUSY "the broker for issuers can't be told just now"

static int make_room(struct logins *all, struct error *e)
{
	for (size_t i = all->count; i-- > 0;) {
		if (is_over(&all->items[i]))
			remove_login(all, &all->items[i]);
	}
	return all->count < LIMIT_LOGINS ? 0 : error_set(e, -EAGAIN, "too many people log in");
}

/* Each would be a transfer of the broker's: a user has one that begins, and no more. */
static int check_begun(const struct person_login *l, struct error *e)
{
	return l && l->stage == BROKER_LOGIN_ASKED && clock_monotonic() - l->asked_at < ASKED_TIME
		? error_set(e, -EAGAIN, "a login of this user begins just now")
		: 0;
}

/* The broker's part of it ends; one that does not run knows of none. */
static int end_login(struct monitor *m, struct person_login *l, struct error *e)
{
	int r = tell_broker(m, l, BROKER_LOGOUT);

	return r == 0 || r == -EPIPE ? 0 : error_set_errno(e, r, BROKER_BUSY);
}

int logins_on_begin(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	struct logins *all = &m->logins;
	struct person_login *l = find(all, who->uid);
	size_t issuer = 0;
	int r = find_issuer(m->config, request, &issuer, &ret->error);

	if (r == 0 && m->openid.pid == 0)
		r = error_set(&ret->error, -EAGAIN, "the broker for issuers does not run just now");
	if (r == 0)
		r = check_begun(l, &ret->error);
	if (r == 0 && l)
		r = end_login(m, l, &ret->error);
	if (r < 0)
		return r;
	if (l)
		remove_login(all, l);
	r = make_room(all, &ret->error);
	if (r < 0)
		return r;
	all->items = memory_resize_array(all->items, all->count + 1, sizeof(*all->items));
	l = &all->items[all->count++];
	*l = (struct person_login){.uid = who->uid,
		.id = ++all->last_id,
		.issuer = issuer,
		.asked_at = clock_monotonic()};
	r = tell_broker(m, l, BROKER_LOGIN);
	if (r < 0) {
		remove_login(all, l);
		return error_set_errno(&ret->error, r, BROKER_BUSY);
	}
	return 0;
}

int logins_on_state(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	static const char *const states[] = {"asked", "waiting", "known", "failed"};
	static const char *const names[][3] = {
		[BROKER_LOGIN_WAITING] = {"code", "address", "address_with_code"},
		[BROKER_LOGIN_KNOWN] = {"person"},
		[BROKER_LOGIN_FAILED] = {"problem"}};
	const struct person_login *l = find(&m->logins, who->uid);
	cJSON *json;
	char *text;
	int r;

	(void)request;
	if (!l || (l->stage == BROKER_LOGIN_KNOWN && is_over(l)))
		return error_set(&ret->error, -ENOENT, "nobody is logged in for this user");
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "state", states[l->stage]);
	cJSON_AddStringToObject(json, "issuer", m->config->issuers[l->issuer].name.text);
	for (size_t i = 0; i < ARRAY_SIZE(names[0]) && names[l->stage][i]; i++)
		json_add_text(json, names[l->stage][i], slice_from_string(l->texts[i]));
	json_add_time(json, "expires", l->until);
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	r = buffer_append_string(&ret->payload, text);
	free(text);
	return r;
}

int logins_on_end(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	struct person_login *l = find(&m->logins, who->uid);
	int r;

	(void)request;
	if (!l || is_over(l))
		return error_set(&ret->error, -ENOENT, "nobody is logged in for this user");
	r = check_begun(l, &ret->error);
	if (r == 0)
		r = end_login(m, l, &ret->error);
	if (r < 0)
		return r;
	if (l->stage == BROKER_LOGIN_KNOWN)
		note(m, l, "logged out, was");
	remove_login(&m->logins, l);
	return 0;
}
