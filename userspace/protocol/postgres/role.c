/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/role.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "protocol/postgres/agent.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/private.h"

#define STATE_DIVISION_BY_ZERO "22012"
#define RETURNS_MOST 3 /* times that putting a role back is tried */

/* The replies to the statements of a request, one after the other. */
static const char set_replies[] = "3312C33", check_replies[] = "3312DC33";

/* --- whether --- */

static int cannot(struct protocol_refusal *ret, const char *why)
{
	*ret = (struct protocol_refusal){REASON_RUNS_AS, slice_from_string(why)};
	return -EPERM;
}

/* The role that the session has: as SQL writes it, of "CURRENT (LOGIN)" in e->role. Empty: that of
 * the login. */
static struct slice own_role(const struct pg_engine *e)
{
	struct slice both = slice_from_string(e->role), current;
	size_t n = 0;
	bool quoted = false;

	for (; n < both.length && (quoted || both.data[n] != ' '); n++)
		quoted ^= both.data[n] == '"';
	current = slice_head(both, n);
	/* What is left is " (LOGIN)". */
	if (both.length == 2 * n + 3 && memcmp(both.data + n + 2, both.data, n) == 0)
		return SLICE_EMPTY;
	return current;
}

int pg_role_check(struct pg_engine *e, struct protocol_refusal *ret)
{
	struct pg_pending *p = &e->pending;
	struct slice as = e->base.host->as;

	free(p->as);
	p->as = NULL;
	if (as.length == 0)
		return 0;
	if (!p->plan || !e->injects || e->startup.replication)
		return cannot(ret,
			"denied: only where the resource's credentials log in, statements can run "
			"as the role that their rule names");
	/* Between the Execute and the data there is no room for a message of ours. */
	if (p->by_portal && sql_text_command(p->plan->text, 0)->copy.from_client)
		return cannot(ret,
			"denied: COPY FROM STDIN can run as the role that its rule names by the "
			"simple protocol only");
	p->as = memory_copy_text(as.data, as.length);
	return 0;
}

/* --- what is sent --- */

static int put_identifier(struct buffer *b, const char *name)
{
	int r = buffer_append_byte(b, '"');

	for (; r == 0 && *name; name++) {
		if (*name == '"')
			r = buffer_append_byte(b, '"');
		if (r == 0)
			r = buffer_append_byte(b, (uint8_t)*name);
	}
	return r < 0 ? r : buffer_append_byte(b, '"');
}

/* Read the same whatever the agent set about strings. */
static int put_literal(struct buffer *b, struct slice text)
{
	int r = buffer_append_string(b, "E'");

	for (size_t i = 0; r == 0 && i < text.length; i++) {
		if (text.data[i] == '\'' || text.data[i] == '\\')
			r = buffer_append_byte(b, text.data[i]);
		if (r == 0)
			r = buffer_append_byte(b, text.data[i]);
	}
	return r < 0 ? r : buffer_append_byte(b, '\'');
}

/* Divides by zero where names are looked up elsewhere than `plan` has it. */
static int put_check_text(struct buffer *b, const struct pg_plan *plan)
{
	int r = buffer_append_string(b,
		"SELECT 1 OPERATOR(pg_catalog./) (pg_catalog.current_schemas(true)"
		"::pg_catalog.text[] OPERATOR(pg_catalog.=) ARRAY[");

	for (size_t i = 0; r == 0 && i < plan->path_count; i++) {
		if (i)
			r = buffer_append_byte(b, ',');
		if (r == 0)
			r = put_literal(b, plan->path[i]);
	}
	return r < 0 ? r : buffer_append_string(b, "]::pg_catalog.text[])::pg_catalog.int4");
}

/* What an error before may have left under the name goes first. */
static int put_statement(struct pg_engine *e, struct slice text)
{
	struct buffer *b = &e->scratch;
	char name[PG_PRIVATE_NAME_SIZE];
	char *copy = memory_copy_text(text.data, text.length);
	int r;

	pg_private_name(e->base.host->nonce, "role", 0, name);
	r = pg_private_put_close(b, 'P', name);
	if (r == 0)
		r = pg_private_put_close(b, 'S', name);
	if (r == 0)
		r = pg_private_put_query(b, name, copy);
	free(copy);
	return r;
}

static int put_set(struct pg_engine *e, const char *as)
{
	struct slice own = own_role(e);
	struct buffer text;
	int r;

	buffer_init(&text, 1024);
	r = buffer_append_string(&text, "SET ROLE ");
	if (r == 0 && as)
		r = put_identifier(&text, as);
	else if (r == 0 && own.length)
		r = buffer_append_slice(&text, own);
	else if (r == 0)
		r = buffer_append_string(&text, "NONE");
	if (r == 0)
		r = put_statement(e, buffer_slice(&text));
	buffer_done(&text);
	return r;
}

static int put_check(struct pg_engine *e, const struct pg_plan *plan)
{
	struct buffer text;
	int r;

	buffer_init(&text, LIMIT_SESSION_ARENA);
	r = put_check_text(&text, plan);
	if (r == 0)
		r = put_statement(e, buffer_slice(&text));
	buffer_done(&text);
	return r;
}

/* `as` NULL: the session's own role. `plan` NULL: names are not looked at. */
static int send(struct pg_engine *e, const char *as, const struct pg_plan *plan, uint64_t action)
{
	struct pg_request *q = pg_send_request(e, PG_REQUEST_ROLE);
	int r;

	if (!q)
		return PG_TAKEN;
	q->action = action;
	if (plan) {
		q->state = PG_STATE_INSUFFICIENT_PRIVILEGE;
		q->refusal = memory_format(
			"wayleave: denied: to %s, as which its rule would have it run, its names "
			"may mean something else: it has another search path",
			as);
	}
	buffer_clear(&e->scratch);
	r = put_set(e, as);
	if (r == 0 && plan)
		r = put_check(e, plan);
	if (r == 0)
		r = pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
	return r < 0 ? r : PG_TAKEN;
}

/* --- taking it, and putting it back --- */

/* `action`: what is recorded as let through, and now is not. */
static int refuse(struct pg_engine *e, uint64_t action, const char *why)
{
	struct pg_pending *p = &e->pending;

	p->let_through = true;
	p->action = action;
	free(p->refusal_text);
	p->refusal_text = memory_format("wayleave: denied: %s", why);
	p->refusal = (struct protocol_refusal){REASON_RUNS_AS, slice_from_string(p->refusal_text)};
	p->decision = PG_REFUSED;
	return PG_TAKEN;
}

static bool sets_role(const struct pg_plan *plan)
{
	for (size_t i = 0; i < plan->action.pair_count; i++) {
		if (plan->action.pairs[i].operation == OPERATION_SET_ROLE)
			return true;
	}
	return false;
}

void pg_role_on_effects(struct pg_engine *e, const struct pg_plan *plan, unsigned effects)
{
	/* Code that nobody knows could have set any. But nearly none does, and where the session
	 * had none, it is taken to have none. */
	bool may_set = effects & SQL_EFFECT_UNKNOWN && e->role && own_role(e).length;

	e->acting.moved |= may_set || (plan && sets_role(plan));
}

void pg_role_on_end(struct pg_engine *e)
{
	e->acting.moved = false;
}

/* Whether what the session had is to be had again only for as long as the transaction. */
static bool may_end_with_transaction(const struct pg_engine *e)
{
	return e->acting.moved ||
		(own_role(e).length &&
			e->transaction_effects & (SQL_EFFECT_NAMING | SQL_EFFECT_UNKNOWN));
}

void pg_role_check_portal(struct pg_engine *e, const struct pg_portal *portal)
{
	const char *bound = portal->as ? portal->as : "", *now = e->pending.as ? e->pending.as : "";

	if (strcmp(bound, now) != 0)
		refuse(e, e->pending.action,
			"it was bound as another role than the one that its rule names by now; it "
			"has to be bound again");
}

int pg_role_take(struct pg_engine *e, const char *as, const struct pg_plan *plan, uint64_t action)
{
	bool checks = plan && plan->path_count && sql_text_has_names(plan->text);
	int r;

	/* In a failed transaction it runs nothing. */
	if (!as || (e->transaction == 'E' && e->requests.count == 0))
		return PG_TAKEN;
	/* Which role is to be put back. */
	if (e->effects_in_flight) {
		r = pg_judge_drain(e);
		if (r != PG_TAKEN)
			return r;
	}
	if (e->naming_stale || !e->role) {
		r = pg_naming_refresh(e);
		if (r == PG_WAITING || (r < 0 && r != -EPERM))
			return r;
		if (r == -EPERM || !e->role)
			return refuse(
				e, action, "which role the session has could not be looked up");
	}
	if (may_end_with_transaction(e))
		return refuse(e, action,
			"it would run as another role inside a transaction that may have set one "
			"itself, which could not be put back as it was");
	return send(e, as, checks ? plan : NULL, action);
}

static void forget_portal(struct pg_engine *e)
{
	pg_portal_put(e->acting.portal);
	free(e->acting.name);
	e->acting.portal = NULL;
	e->acting.name = NULL;
}

void pg_role_bound(struct pg_engine *e, struct pg_portal *portal, struct slice name)
{
	forget_portal(e);
	e->acting.portal = pg_portal_get(portal);
	e->acting.name = memory_copy_text(name.data, name.length);
	e->acting.name_length = name.length;
}

void pg_role_queried(struct pg_engine *e)
{
	e->acting.query = PG_ACTING_RUNS;
	e->acting.returns = 0;
}

int pg_role_give_back(struct pg_engine *e)
{
	forget_portal(e);
	return send(e, NULL, NULL, 0);
}

/* --- what the agent sends meanwhile --- */

static bool is_named(const struct pg_engine *e, struct slice name)
{
	return slice_equal(name, slice_of(e->acting.name, e->acting.name_length));
}

/* Describes or executes the portal that was bound as the role. */
static bool goes_on(const struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	uint8_t kind;

	switch (m->type) {
	case 'H':
		return true;
	case 'D':
		return pg_get_u8(&rest, &kind) == 0 && kind == 'P' &&
			pg_get_string(&rest, &name) == 0 && is_named(e, name);
	case 'E':
		/* Else it is judged again, and perhaps looked up. */
		return e->acting.portal->audience == e->base.host->audience &&
			e->acting.portal->meanings == e->meanings &&
			pg_extended_is_granted(e, e->acting.portal) &&
			pg_get_string(&rest, &name) == 0 && is_named(e, name);
	default:
		return false;
	}
}

/* While a Query runs as the role, nothing else reaches the server but its COPY data. */
static bool belongs_to_query(const struct pg_engine *e, uint8_t type)
{
	switch (type) {
	case 'd':
	case 'c':
	case 'f':
	case 'X':
		return true;
	case 'H':
	case 'S':
		return e->copying_in; /* which ignores them */
	default:
		return false;
	}
}

int pg_role_before(struct pg_engine *e, const struct pg_frame *m)
{
	if (e->acting.query != PG_ACTING_NOT && !belongs_to_query(e, m->type)) {
		e->wait = PG_WAIT_DRAIN;
		return PG_WAITING;
	}
	if (!e->acting.portal || goes_on(e, m))
		return PG_TAKEN;
	if (e->skipping || m->type == 'X') {
		/* Its transaction was, or will be, taken back. */
		forget_portal(e);
		return PG_TAKEN;
	}
	return pg_role_give_back(e);
}

/* --- what the server says --- */

bool pg_role_is_asked(const struct pg_engine *e)
{
	const struct pg_request *q = pg_requests_head((struct pg_requests *)&e->requests);

	return q && q->kind == PG_REQUEST_ROLE && pg_requests_sent(e);
}

int pg_role_on_reply(struct pg_engine *e, uint8_t type)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	size_t set = strlen(set_replies), all = set + (q->refusal ? strlen(check_replies) : 0);
	size_t n = q->command++; /* replies so far */

	if (type != (uint8_t)(n < set ? set_replies[n] : check_replies[n - set]))
		return -EBADMSG;
	if (n + 1 == all)
		pg_settle_head(e, true);
	return 0;
}

bool pg_role_is_elsewhere(const struct pg_request *q, struct slice code)
{
	return q->kind == PG_REQUEST_ROLE && q->command >= strlen(set_replies) &&
		slice_equal_string(code, STATE_DIVISION_BY_ZERO);
}

/* In a transaction it ends that, as any error; outside it is tried again. */
bool pg_role_hides_error(const struct pg_engine *e, const struct pg_request *q)
{
	return q->kind == PG_REQUEST_ROLE && e->acting.query == PG_ACTING_RETURNS &&
		e->transaction == 'I';
}

static int put_sync(struct pg_engine *e, bool private)
{
	static const uint8_t sync[] = {'S', 0, 0, 0, 4};
	struct pg_request *q = pg_send_request(e, PG_REQUEST_SYNC);

	if (!q)
		return 0;
	if (private)
		q->flags = PG_REQUEST_PRIVATE;
	return pg_write(e, SIDE_SERVER, slice_of(sync, sizeof(sync)));
}

int pg_role_on_skip(struct pg_engine *e)
{
	forget_portal(e);
	if (e->acting.query == PG_ACTING_RETURNS) {
		e->acting.failed = true;
		return 0;
	}
	if (e->acting.query != PG_ACTING_RUNS)
		return 0;
	/* The Query was skipped too; the agent waits for the ReadyForQuery that ends one. */
	e->acting.query = PG_ACTING_NOT;
	e->skipping = false;
	return put_sync(e, false);
}

static int return_role(struct pg_engine *e)
{
	int r;

	e->acting.query = PG_ACTING_RETURNS;
	e->acting.failed = false;
	r = pg_role_give_back(e);
	if (r == PG_TAKEN)
		r = put_sync(e, true);
	return r < 0 ? r : PG_WAITING;
}

int pg_role_on_ready(struct pg_engine *e, bool query, bool private)
{
	struct pg_acting *a = &e->acting;

	if (a->query == PG_ACTING_RUNS && query) {
		/* What ends the failed transaction takes the role back. */
		if (e->transaction != 'E' && !e->terminated)
			return return_role(e);
		a->query = PG_ACTING_NOT;
	} else if (a->query == PG_ACTING_RETURNS && private) {
		if (!a->failed || e->transaction == 'E') {
			a->query = PG_ACTING_NOT;
			return PG_TAKEN;
		}
		if (++a->returns < RETURNS_MOST)
			return return_role(e);
		pg_fail(e, REASON_INTERNAL, "the server did not put the session's role back");
		return PG_WAITING;
	}
	return private ? PG_WAITING : PG_TAKEN;
}

void pg_role_done(struct pg_engine *e)
{
	forget_portal(e);
}
