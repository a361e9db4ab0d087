/* SPDX-License-Identifier: Apache-2.0
 *
 * authentication: from the StartupMessage to AuthenticationOk.
 *
 * Where both legs have TLS, SCRAM can't be relayed: its messages say what the client knows of
 * channel binding, and are signed; the agent is asked for its password in clear, inside TLS, and we
 * prove it to the server. Where the host has credentials (inject.c), the agent is asked for
 * nothing.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"

static const char mechanism[] = "SCRAM-SHA-256";
static const char mechanism_plus[] = "SCRAM-SHA-256-PLUS";

static bool offers(struct slice mechanisms, const char *name)
{
	struct slice offered;

	while (pg_get_string(&mechanisms, &offered) == 0 && offered.length) {
		if (slice_equal_string(offered, name))
			return true;
	}
	return false;
}

static int put_authentication(struct pg_engine *e, uint32_t code, struct slice rest)
{
	size_t mark;
	int r;

	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, 'R', &mark);
	if (r == 0)
		r = buffer_append_u32(&e->scratch, code);
	if (r == 0)
		r = buffer_append_slice(&e->scratch, rest);
	if (r < 0)
		return r;
	pg_end(&e->scratch, mark);
	return pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

/* --- an exchange of our own --- */

void pg_own_login_free(struct pg_own_login *own)
{
	if (!own)
		return;
	buffer_wipe(&own->password);
	memory_wipe(own, sizeof(*own));
	free(own);
}

static void free_job(struct protocol_job *base)
{
	pg_own_login_free(container_of(base, struct pg_own_login, job));
}

static void prove_run(struct protocol_job *base)
{
	struct pg_own_login *own = container_of(base, struct pg_own_login, job);
	struct scram_keys keys;

	own->result = scram_derive(&own->scram, buffer_slice(&own->password), &keys);
	if (own->result == 0)
		own->result = scram_prove(&own->scram, &keys, &own->proof);
	memory_wipe(&keys, sizeof(keys));
}

struct pg_own_login *pg_own_login(struct pg_engine *e)
{
	if (!e->own) {
		e->own = memory_new(sizeof(*e->own));
		e->own->job.run = prove_run;
		e->own->job.free = free_job;
		buffer_init(&e->own->password, LIMIT_AUTH_MESSAGE_BYTES);
	}
	return e->own;
}

/* False: the server offers nothing that we can do. */
static bool choose_binding(
	const struct pg_engine *e, struct slice mechanisms, enum scram_binding *ret)
{
	bool can_bind = e->server_tls && buffer_length(&e->end_point);

	if (can_bind && offers(mechanisms, mechanism_plus))
		*ret = SCRAM_BINDS;
	else if (offers(mechanisms, mechanism))
		*ret = can_bind ? SCRAM_COULD_BIND : SCRAM_BINDS_NOT;
	else
		return false;
	return true;
}

static int put_initial_response(
	struct buffer *b, const struct scram_exchange *scram, struct slice first)
{
	const char *name = scram->binding == SCRAM_BINDS ? mechanism_plus : mechanism;
	size_t mark;
	int r = pg_begin(b, 'p', &mark);

	if (r == 0)
		r = pg_put_string(b, slice_from_string(name));
	if (r == 0)
		r = buffer_append_u32(b, (uint32_t)first.length);
	if (r == 0)
		r = buffer_append_slice(b, first);
	if (r == 0)
		pg_end(b, mark);
	return r;
}

/* SASLInitialResponse with our client-first-message. */
static int send_scram_first(struct pg_engine *e)
{
	struct scram_exchange *scram = &e->own->scram;
	struct buffer first;
	int r;

	scram_begin(scram, e->base.host->nonce, e->own->binding, buffer_slice(&e->end_point));
	buffer_init(&first, SCRAM_MESSAGE_MOST);
	buffer_clear(&e->scratch);
	r = scram_put_first(scram, &first);
	if (r == 0)
		r = put_initial_response(&e->scratch, scram, buffer_slice(&first));
	buffer_done(&first);
	e->auth = PG_AUTH_SCRAM_FIRST;
	return r < 0 ? r : pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
}

int pg_authentication_scram(struct pg_engine *e, struct slice mechanisms)
{
	if (!choose_binding(e, mechanisms, &pg_own_login(e)->binding))
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server asks for a SASL mechanism other than SCRAM-SHA-256");
	return send_scram_first(e);
}

static int on_challenge(struct pg_engine *e, struct slice server_first)
{
	struct pg_own_login *own = e->own;
	int r = scram_take_challenge(&own->scram, server_first);

	if (r == -E2BIG)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server asks for more than %u iterations over the password",
			LIMIT_SCRAM_ITERATIONS);
	if (r < 0)
		return pg_fail(
			e, REASON_AUTHENTICATION, "the server's SCRAM challenge is malformed");
	if (e->injects)
		return pg_inject_ask(e, PROOF_SCRAM, slice_of(&own->scram, sizeof(own->scram)));
	e->auth = PG_AUTH_WORKING;
	pg_event(e, EVENT_JOB)->job = &own->job;
	return 0;
}

int pg_authentication_proven(struct pg_engine *e)
{
	size_t mark;
	int r;

	buffer_clear(&e->scratch);
	e->auth = PG_AUTH_SCRAM_FINAL;
	r = pg_begin(&e->scratch, 'p', &mark);
	if (r == 0)
		r = scram_put_final(&e->own->scram, &e->own->proof, &e->scratch);
	if (r < 0)
		return r;
	pg_end(&e->scratch, mark);
	return pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
}

void pg_authentication_job_done(struct pg_engine *e)
{
	buffer_wipe(&e->own->password);
	if (e->agent == PG_AGENT_DONE)
		return; /* the session ended meanwhile */
	if (e->own->result < 0 || pg_authentication_proven(e) < 0)
		pg_fail(e, REASON_INTERNAL, "the proof of the password could not be made");
}

static int on_own_exchange(struct pg_engine *e, uint32_t code, struct slice rest)
{
	if (e->auth == PG_AUTH_SCRAM_FIRST && code == PG_AUTH_SASL_CONTINUE)
		return on_challenge(e, rest);
	if (e->auth != PG_AUTH_SCRAM_FINAL || code != PG_AUTH_SASL_FINAL)
		return -EBADMSG;
	if (scram_check(&e->own->proof, rest) < 0)
		return pg_fail(e, REASON_AUTHENTICATION,
			"the server could not prove that it knows the password");
	e->auth = PG_AUTH_PROVEN;
	return 0;
}

/* --- the agent's password --- */

/* The agent's PasswordMessage, where it was we who asked. */
static int on_clear_password(struct pg_engine *e, struct slice body)
{
	struct slice password;
	int r;

	if (pg_get_string(&body, &password) < 0 || body.length)
		return -EBADMSG;
	r = buffer_append_slice(&e->own->password, password);
	return r < 0 ? r : send_scram_first(e);
}

int pg_authentication_agent(struct pg_engine *e, struct slice message, struct slice body)
{
	if (e->auth == PG_AUTH_RELAYED && e->auth_asked) {
		e->auth_asked = false;
		return pg_pass(e, SIDE_SERVER, message);
	}
	if (e->auth == PG_AUTH_ASKING)
		return on_clear_password(e, body);
	return -EBADMSG;
}

/* The server offers SASL to the agent. */
static int on_sasl(struct pg_engine *e, struct slice message, struct slice mechanisms)
{
	/* An agent in clear never binds channels, so it may be told of the plain mechanism alone.
	 */
	static const char only_plain[] = "SCRAM-SHA-256\0";

	if (!e->server_tls || !offers(mechanisms, mechanism))
		return pg_pass(e, SIDE_AGENT, message);
	if (!e->agent_tls)
		return put_authentication(
			e, PG_AUTH_SASL, slice_of(only_plain, sizeof(only_plain)));
	choose_binding(e, mechanisms, &pg_own_login(e)->binding);
	e->auth = PG_AUTH_ASKING;
	return put_authentication(e, PG_AUTH_PASSWORD, SLICE_EMPTY);
}

/* --- the server --- */

static int on_ok(struct pg_engine *e, struct slice message)
{
	/* Half an exchange proves nothing: the server must have shown its signature. */
	if (e->auth != PG_AUTH_RELAYED && e->auth != PG_AUTH_OURS && e->auth != PG_AUTH_ANSWERED &&
		e->auth != PG_AUTH_PROVEN)
		return -EBADMSG;
	pg_own_login_free(e->own);
	e->own = NULL;
	e->phase = PG_PHASE_STARTUP;
	return pg_pass(e, SIDE_AGENT, message);
}

int pg_authentication_server(struct pg_engine *e, struct slice message, struct slice body)
{
	uint32_t code;

	if (pg_get_u32(&body, &code) < 0)
		return -EBADMSG;
	if (code == PG_AUTH_OK)
		return on_ok(e, message);
	if (e->auth == PG_AUTH_OURS)
		return pg_inject_demand(e, code, body);
	if (e->auth != PG_AUTH_RELAYED)
		return on_own_exchange(e, code, body);
	/* What the agent sends before it is asked, as clients that need no password may, waits. */
	e->auth_asked = code != PG_AUTH_SASL_FINAL;
	if (code == PG_AUTH_SASL)
		return on_sasl(e, message, body);
	return pg_pass(e, SIDE_AGENT, message);
}
