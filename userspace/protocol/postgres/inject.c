/* SPDX-License-Identifier: Apache-2.0
 *
 * inject: logging in with the host's credentials. Whatever the agent presents is not looked at, and
 * it is asked for nothing: it gets the server's AuthenticationOk. The host keeps the secret, and
 * answers the server's demands by proofs.
 *
 * The server's own logs are told who the agent is, in application_name; to the agent it looks as if
 * they knew what it said alone. What it sets later is told with who it is, too, before the agent
 * hears that its command is complete.
 */
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/lookup.h"

/* As the server keeps it (check_application_name): cut, and printable ASCII alone. */
static void clean_name(struct slice first, struct slice second, char ret[PG_NAME_SIZE])
{
	size_t n = 0;

	for (int part = 0; part < 2; part++) {
		struct slice text = part ? second : first;

		for (size_t i = 0; i < text.length && n < PG_NAME_SIZE - 1; i++)
			ret[n++] =
				text.data[i] < ' ' || text.data[i] > '~' ? '?' : (char)text.data[i];
		if (part == 0 && n && n < PG_NAME_SIZE - 1 && second.length)
			ret[n++] = ' ';
	}
	ret[n] = '\0';
}

static void keep_name(struct pg_identity *named)
{
	unsigned place = named->count++;

	/* The first one stays. */
	if (place >= PG_NAMES_KEPT)
		place = 1 + (place - 1) % (PG_NAMES_KEPT - 1);
	named->kept[place] = named->now;
}

/* The agent is to see what it said, its server's administrator who it is. */
static void make_names(struct pg_engine *e)
{
	struct slice own = e->startup.application;
	struct pg_identity *named;

	if (e->base.host->identity.length == 0)
		return;
	named = e->named = memory_new(sizeof(*named));
	clean_name(own, SLICE_EMPTY, named->now.own);
	clean_name(e->base.host->identity, own, named->now.told);
	keep_name(named);
}

int pg_inject_startup(struct pg_engine *e, struct slice startup)
{
	const struct protocol_credentials *credentials = &e->base.host->credentials;
	struct slice application = e->startup.application;

	make_names(e);
	if (credentials->given) {
		e->startup.user = arena_copy(&e->login_arena, credentials->user);
		if (!e->startup.user.data)
			return -E2BIG;
		e->injects = true;
		e->auth = PG_AUTH_OURS;
	}
	if (e->named)
		application = slice_from_string(e->named->now.told);
	return pg_startup_put(
		startup, e->startup.user, e->startup.database, application, &e->startup_packet);
}

static int tell_name(struct pg_engine *e)
{
	int r;

	buffer_clear(&e->scratch);
	r = pg_status_put(&e->scratch, "application_name", e->named->now.own);
	if (r == 0)
		r = pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
	return r < 0 ? r : 1;
}

/* Whether the server calls it as it was told to once. */
static bool find_name(struct pg_identity *named, struct slice told)
{
	for (unsigned i = 0; i < named->count && i < PG_NAMES_KEPT; i++) {
		if (!slice_equal_string(told, named->kept[i].told))
			continue;
		named->now = named->kept[i];
		return true;
	}
	return false;
}

int pg_inject_on_name(struct pg_engine *e, struct slice name)
{
	struct slice identity = e->base.host->identity;
	struct pg_identity *named = e->named;

	if (!named)
		return 0;
	/* Set by us: the agent knows what it called itself. */
	if (e->lookup && slice_equal_string(name, named->now.told))
		return 1;
	named->due = false;
	if (find_name(named, name)) {
		clean_name(identity, slice_from_string(named->now.own), named->now.told);
		/* Whom it acts for may have changed since. */
		named->due = !slice_equal_string(name, named->now.told);
		return tell_name(e);
	}
	clean_name(name, SLICE_EMPTY, named->now.own);
	clean_name(identity, name, named->now.told);
	named->due = true;
	return 0;
}

/* By a command that takes no snapshot, so that the agent's transaction is as it was. Within one,
 * for that alone: what the agent set in it, it may take back. */
static void put_command(const struct pg_engine *e, struct pg_identity *named)
{
	const char *scope = e->transaction == 'T' ? "LOCAL" : "SESSION";
	size_t n = (size_t)snprintf(
		named->text, sizeof(named->text), "SET %s application_name TO E'", scope);

	/* Read the same whatever the agent set about strings. */
	for (const char *c = named->now.told; *c; c++) {
		if (*c == '\'' || *c == '\\')
			named->text[n++] = *c;
		named->text[n++] = *c;
	}
	named->text[n++] = '\'';
	named->text[n] = '\0';
}

/* With another token it acts for somebody else. */
static void follow_identity(struct pg_engine *e, struct pg_identity *named)
{
	char told[PG_NAME_SIZE];

	clean_name(e->base.host->identity, slice_from_string(named->now.own), told);
	if (strcmp(told, named->now.told) == 0)
		return;
	memcpy(named->now.told, told, sizeof(told));
	named->due = true;
}

int pg_inject_rename(struct pg_engine *e)
{
	struct pg_identity *named = e->named;
	int r;

	if (!named)
		return PG_TAKEN;
	follow_identity(e, named);
	if (!named->due || e->transaction == 'E' || e->requests.count || e->unsynced ||
		e->skipping || e->lookup || e->preview || e->startup.replication)
		return PG_TAKEN;
	named->due = false;
	keep_name(named);
	put_command(e, named);
	r = pg_lookup_start(e, 1u << PG_LOOKUP_NAME);
	return r < 0 ? r : PG_WAITING;
}

void pg_inject_not_renamed(struct pg_engine *e)
{
	e->named->due = true;
	e->named->count--; /* it is kept when it is told */
}

static const char *method_name(uint32_t code)
{
	switch (code) {
	case PG_AUTH_GSS:
		return "GSSAPI";
	case PG_AUTH_SSPI:
		return "SSPI";
	default:
		return "a method that is not spoken here";
	}
}

int pg_inject_ask(struct pg_engine *e, enum proof_kind kind, struct slice challenge)
{
	struct protocol_event *event;

	pg_own_login(e)->asked = kind;
	e->auth = PG_AUTH_WORKING;
	event = pg_event(e, EVENT_PROOF);
	event->proof.kind = kind;
	event->proof.challenge = challenge;
	return 0;
}

static int ask_for_password(struct pg_engine *e)
{
	if (!e->server_verified && !e->base.host->credentials.allow_cleartext)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server asks for the password in clear, but is not verified by TLS "
			"(\"allow_cleartext\" would send it)");
	return pg_inject_ask(e, PROOF_PASSWORD, SLICE_EMPTY);
}

static int ask_for_md5(struct pg_engine *e, struct slice salt)
{
	if (salt.length != PG_MD5_SALT)
		return -EBADMSG;
	memcpy(pg_own_login(e)->salt, salt.data, PG_MD5_SALT);
	return pg_inject_ask(e, PROOF_POSTGRES_MD5, slice_of(e->own->salt, PG_MD5_SALT));
}

int pg_inject_demand(struct pg_engine *e, uint32_t code, struct slice rest)
{
	bool knows_password = e->base.host->credentials.password;

	if (code != PG_AUTH_PASSWORD && code != PG_AUTH_MD5 && code != PG_AUTH_SASL)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server asks for %s, which the resource's credentials can't answer",
			method_name(code));
	if (!knows_password)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server asks for a password, and the resource's credentials are a "
			"client certificate");
	if (e->base.host->credentials.proven_only && !e->server_verified)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the resource's password is not used on a connection that somebody else "
			"made, where TLS did not verify the server");
	if (code == PG_AUTH_PASSWORD)
		return ask_for_password(e);
	if (code == PG_AUTH_MD5)
		return ask_for_md5(e, rest);
	return pg_authentication_scram(e, rest);
}

/* PasswordMessage; nothing of it stays. */
static int send_password(struct pg_engine *e, struct slice text)
{
	struct protocol_host *host = e->base.host;
	size_t mark;
	int r;

	buffer_clear(&e->scratch);
	e->auth = PG_AUTH_ANSWERED;
	r = pg_begin(&e->scratch, 'p', &mark);
	if (r == 0)
		r = pg_put_string(&e->scratch, text);
	if (r == 0) {
		pg_end(&e->scratch, mark);
		r = host->write_secret(host, SIDE_SERVER, buffer_slice(&e->scratch));
	}
	buffer_wipe(&e->scratch);
	return r;
}

static int take_answer(struct pg_engine *e, struct slice answer)
{
	switch (e->own->asked) {
	case PROOF_PASSWORD:
		return answer.length > LIMIT_SECRET_BYTES ? -EINVAL : send_password(e, answer);
	case PROOF_POSTGRES_MD5:
		return answer.length != PG_MD5_ANSWER ? -EINVAL : send_password(e, answer);
	default:
		if (answer.length != sizeof(e->own->proof))
			return -EINVAL;
		memcpy(&e->own->proof, answer.data, sizeof(e->own->proof));
		return pg_authentication_proven(e);
	}
}

void pg_inject_proven(struct pg_engine *e, int error, struct slice answer)
{
	if (e->agent == PG_AGENT_DONE || !e->injects || e->auth != PG_AUTH_WORKING)
		return; /* the session ended meanwhile */
	if (error < 0)
		pg_fail(e, REASON_AUTHENTICATION, "%.*s", SLICE_PRINT(answer));
	else if (take_answer(e, answer) < 0)
		pg_fail(e, REASON_INTERNAL, "the proof of the password can't be used");
}

bool pg_inject_on_error(struct pg_engine *e, struct slice body)
{
	struct slice class = slice_head(pg_error_field(body, 'C'), 2);
	struct slice text = pg_error_field(body, 'M');

	/* SQLSTATE class 28: who logs in is not let in. */
	if (!e->injects || !slice_equal_string(class, "28"))
		return false;
	pg_fail(e, REASON_AUTHENTICATION, "the server refused the resource's credentials: %.*s",
		SLICE_PRINT(text));
	return true;
}
