/* SPDX-License-Identifier: Apache-2.0
 *
 * inject: logging in with the host's credentials. Whatever the agent presents is not looked at, and
 * it is asked for nothing: it gets the server's AuthenticationOk. The host keeps the secret, and
 * answers the server's demands by proofs.
 *
 * The server's own logs are told who the agent is, in application_name; to the agent it looks as if
 * they knew what it said alone. What it sets later is left as it is.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

#define NAME_MOST 63 /* NAMEDATALEN - 1: the server cuts what is longer */

/* As the server keeps it (check_application_name): cut, and printable ASCII alone. */
static char *clean_name(struct pg_engine *e, struct slice first, struct slice second)
{
	char *name = arena_new(&e->login_arena, NAME_MOST + 1);
	size_t n = 0;

	for (int part = 0; name && part < 2; part++) {
		struct slice text = part ? second : first;

		for (size_t i = 0; i < text.length && n < NAME_MOST; i++)
			name[n++] =
				text.data[i] < ' ' || text.data[i] > '~' ? '?' : (char)text.data[i];
		if (part == 0 && n && n < NAME_MOST && second.length)
			name[n++] = ' ';
	}
	return name;
}

/* The agent is to see what it said, its server's administrator who it is. */
static int make_names(struct pg_engine *e)
{
	struct slice own = e->startup.application;

	if (e->base.host->identity.length == 0)
		return 0;
	e->told_name = clean_name(e, e->base.host->identity, own);
	e->own_name = clean_name(e, own, SLICE_EMPTY);
	return e->told_name && e->own_name ? 0 : -E2BIG;
}

int pg_inject_startup(struct pg_engine *e, struct slice startup)
{
	const struct protocol_credentials *credentials = &e->base.host->credentials;
	struct slice application = e->startup.application;

	if (make_names(e) < 0)
		return -E2BIG;
	if (credentials->given) {
		e->startup.user = arena_copy(&e->login_arena, credentials->user);
		if (!e->startup.user.data)
			return -E2BIG;
		e->injects = true;
		e->auth = PG_AUTH_OURS;
	}
	if (e->told_name)
		application = slice_from_string(e->told_name);
	return pg_startup_put(
		startup, e->startup.user, e->startup.database, application, &e->startup_packet);
}

int pg_inject_on_name(struct pg_engine *e, struct slice name)
{
	int r;

	if (!e->told_name || !slice_equal_string(name, e->told_name))
		return 0;
	buffer_clear(&e->scratch);
	r = pg_status_put(&e->scratch, "application_name", e->own_name);
	if (r == 0)
		r = pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
	return r < 0 ? r : 1;
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
