/* SPDX-License-Identifier: Apache-2.0
 *
 * inject: logging in with the host's credentials. Whatever the agent presents is not looked at, and
 * it is asked for nothing: it gets the server's AuthenticationOk. The host keeps the secret, and
 * answers the server's demands by proofs.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

int pg_inject_startup(struct pg_engine *e, struct slice startup)
{
	const struct protocol_credentials *credentials = &e->base.host->credentials;
	int r = pg_startup_put(startup, credentials->user, e->startup.database, &e->startup_packet);

	if (r < 0)
		return r;
	e->startup.user = arena_copy(&e->login_arena, credentials->user);
	if (!e->startup.user.data)
		return -E2BIG;
	e->injects = true;
	e->auth = PG_AUTH_OURS;
	return 0;
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
