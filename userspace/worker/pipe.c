/* SPDX-License-Identifier: Apache-2.0
 *
 * pipe: the six steps, in one place: read → frame → judge → mask → record → write. The engine
 * frames and writes; here its actions are judged and recorded. Nothing that is written here leaves
 * before the end of the turn, when what was recorded has reached the kernel (session_finish_turn).
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "worker/cancel.h"
#include "worker/ferry.h"
#include "worker/decide.h"
#include "worker/hold.h"
#include "worker/login.h"
#include "worker/reuse.h"
#include "worker/tunnel.h"
#include "worker/values.h"

/* --- what the engine sees of us --- */

static struct session *session_of_host(struct protocol_host *host)
{
	return container_of(host, struct session, host);
}

static int host_write(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct session *s = session_of_host(host);

	session_touch(s);
	return leg_write(&s->legs[to], bytes);
}

static int host_pass(struct protocol_host *host, enum side to, struct slice part_of_input)
{
	struct session *s = session_of_host(host);

	session_touch(s);
	if (!s->sharing)
		return leg_write(&s->legs[to], part_of_input);
	return leg_pass(&s->legs[to], &s->legs[side_other(to)], part_of_input);
}

static int host_write_secret(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct session *s = session_of_host(host);

	session_touch(s);
	return leg_write_secret(&s->legs[to], bytes);
}

static void host_shut(struct protocol_host *host, enum side to)
{
	struct session *s = session_of_host(host);

	leg_shut(&s->legs[to]);
	session_touch(s);
}

static void host_cut(struct protocol_host *host, enum side to)
{
	struct session *s = session_of_host(host);
	struct leg *leg = &s->legs[to];

	/* A server without TLS has no words for what an agent leaves unsaid in TLS. */
	if (to == SIDE_SERVER && !leg->tls && host->endings[SIDE_AGENT] == ENDING_CUT)
		leg_shut(leg);
	else
		leg_cut(leg);
	session_touch(s);
}

static void host_reset(struct protocol_host *host, const struct protocol_refusal *refusal)
{
	char text[SESSION_DETAIL_MOST];

	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(refusal->text));
	session_reset(session_of_host(host), refusal->reason, text);
}

static int host_place(struct protocol_host *host, struct slice name, uint16_t port, bool certified)
{
	struct session *s = session_of_host(host);
	int r = session_place(s, name, port, certified);

	/* The server may be asked before the agent's own handshake says it. */
	if (r == 0 && certified && !s->sni[0] && name.length < sizeof(s->sni))
		snprintf(s->sni, sizeof(s->sni), "%.*s", SLICE_PRINT(name));
	return r;
}

static int host_beyond(struct protocol_host *host, struct slice name, uint16_t port,
	enum reason *ret_reason, struct buffer *why)
{
	return tunnel_check(session_of_host(host), name, port, ret_reason, why);
}

static int host_carry(struct protocol_host *host, uint32_t lane, struct slice place)
{
	return inner_begin(session_of_host(host), lane, place);
}

static int host_tunnel(
	struct protocol_host *host, struct protocol_tunnel *t, struct slice name, uint16_t port)
{
	return ferry_begin(session_of_host(host), t, name, port);
}

static void host_begun(struct protocol_host *host, uint64_t action, bool begun)
{
	hold_begun(session_of_host(host), action, begun);
}

static bool host_wants_body(struct protocol_host *host, const struct action *action)
{
	return policy_wants_body(session_of_host(host)->scope, action);
}

static bool host_restricts(
	struct protocol_host *host, const struct action_pair *pair, const struct action_pair *other)
{
	return policy_restricts(session_of_host(host)->scope, pair, other);
}

static bool host_grants(struct protocol_host *host, const struct protocol_grant *grant)
{
	const struct grant_table *table = session_of_host(host)->worker->grants.table;

	return grant_table_has(table, grant->slot, grant->serial, clock_wall());
}

static struct protocol_catalog *host_catalog(
	struct protocol_host *host, struct slice database, struct slice encoding)
{
	struct session *s = session_of_host(host);

	return catalogs_find(
		&s->worker->catalogs, slice_from_string(s->upstream_name), database, encoding);
}

static int upstream_tls_of(const struct session *s)
{
	const struct policy *p = policy_scope_policy(s->scope);

	if (s->resource == POLICY_EGRESS)
		return UPSTREAM_TLS_AS_AGENT;
	switch (p->resources[s->resource].tls_upstream) {
	case TLS_UPSTREAM_OFF:
		return UPSTREAM_TLS_OFF;
	case TLS_UPSTREAM_AS_CLIENT:
		/* A certificate is presented in TLS. */
		return p->resources[s->resource].login == LOGIN_CERTIFICATE ? UPSTREAM_TLS_ON
									    : UPSTREAM_TLS_AS_AGENT;
	default:
		return UPSTREAM_TLS_ON;
	}
}

void pipe_set_scope(struct session *s)
{
	struct protocol_host *h = &s->host;
	const struct policy *p = policy_scope_policy(s->scope);

	h->audience = policy_scope_serial(s->scope);
	h->observes = p->mode == POLICY_OBSERVE;
	/* Where we only observe, too: what would have been decided is recorded. */
	h->needs_facts = policy_scope_needs(s->scope) != 0;
	h->judges_lines = policy_scope_names(s->scope, OPERATION_SSH_LINE);
	h->masks_contents = mask_rules_any_content(policy_scope_masks(s->scope));
	h->session_masks = h->observes ? NULL : policy_scope_masks(s->scope);
	h->upstream_tls = upstream_tls_of(s);
	login_prepare(s);
	reuse_prepare(s);
	h->unnamed = s->resource == POLICY_EGRESS;
	h->asks_first = h->unnamed && p->egress == EGRESS_REVIEW;
	h->tls_passthrough = !h->unnamed && p->resources[s->resource].tls_mode == TLS_PASSTHROUGH;
}

void pipe_set_endings(struct session *s)
{
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		const struct leg *leg = &s->legs[side];

		s->host.endings[side] = !leg->cut  ? ENDING_IN_ORDER
			: leg->broken || !leg->tls ? ENDING_BROKEN
						   : ENDING_CUT;
	}
}

void pipe_open(struct session *s, const struct protocol *protocol)
{
	struct protocol_host *h = &s->host;

	*h = (struct protocol_host){
		.write = host_write,
		.pass = host_pass,
		.write_secret = host_write_secret,
		.shut = host_shut,
		.cut = host_cut,
		.reset = host_reset,
		.catalog = host_catalog,
		.place = host_place,
		.beyond = host_beyond,
		.carry = host_carry,
		.tunnel = host_tunnel,
		.tunnel_write = ferry_write,
		.tunnel_end = ferry_end,
		.tunnel_drop = ferry_drop,
		.begun = host_begun,
		.wants_body = host_wants_body,
		.restricts = host_restricts,
		.grants = host_grants,
		.address = s->address,
		.texts = s->worker->texts,
		.detectors = s->worker->detectors,
		.hasher = s->worker->hasher,
	};
	random_fill(h->nonce, sizeof(h->nonce));
	pipe_set_scope(s);
	pipe_set_endings(s);
	s->engine = protocol->open(h);
	s->state = SESSION_OPEN;
}

/* --- record --- */

static void on_result(struct session *s, const struct protocol_result *result)
{
	struct record_result record = {
		.rows = result->rows,
		.bytes = result->bytes,
		.tag = result->tag,
		.error_code = result->error_code,
		.error_text = result->error_text,
	};

	recorder_result(s->worker->recorder, &s->record, result->action, &record);
	if (result->not_begun)
		hold_give_back(s, result->action);
	session_touch(s);
}

static void on_columns(struct session *s, const struct protocol_row *row)
{
	struct slice names[RECORDED_VALUES_MOST];
	size_t n =
		row->value_count < RECORDED_VALUES_MOST ? row->value_count : RECORDED_VALUES_MOST;

	for (size_t i = 0; i < n; i++)
		names[i] = row->values[i].data;
	recorder_columns(s->worker->recorder, &s->record, row->action, names, n);
}

static void on_row(struct session *s, const struct protocol_row *row)
{
	struct record_value values[RECORDED_VALUES_MOST];
	size_t n = values_to_record(row->values, row->value_count, values, RECORDED_VALUES_MOST);

	recorder_rows_begin(s->worker->recorder, &s->record, row->action);
	recorder_rows_add(s->worker->recorder, values, n);
	recorder_rows_end(s->worker->recorder);
}

static void on_data(struct session *s, const struct protocol_data *data)
{
	static const enum record_data kinds[] = {
		[DATA_INPUT] = RECORD_DATA_INPUT,
		[DATA_OUTPUT] = RECORD_DATA_OUTPUT,
		[DATA_ERROR] = RECORD_DATA_ERROR,
		[DATA_WINDOW] = RECORD_DATA_WINDOW,
	};

	recorder_data(s->worker->recorder, &s->record, data->action, kinds[data->kind], data->bytes,
		data->columns, data->rows);
	session_touch(s);
}

/* --- other events --- */

static void copy_text(char *to, size_t size, struct slice from)
{
	size_t n = from.length < size - 1 ? from.length : size - 1;

	if (n)
		memcpy(to, from.data, n);
	to[n] = '\0';
}

static void on_login(struct session *s, const struct protocol_event *event)
{
	struct slice key = event->login.cancel_key;

	copy_text(s->user, sizeof(s->user), event->login.user);
	copy_text(s->database, sizeof(s->database), event->login.database);
	copy_text(s->application, sizeof(s->application), event->login.application);
	s->deadline = 0;
	session_record_facts(s, false);
	if (key.length == 0 || buffer_append_slice(&s->cancel_key, key) < 0)
		return;
	table_insert(&s->worker->keys, &s->key_node, table_hash_slice(key));
}

static void on_job_done(struct job *job)
{
	struct session_job *item = container_of(job, struct session_job, job);
	struct session *s = item->session;
	struct protocol_job *work = item->work;

	free(item);
	s->outstanding--;
	work->running = false;
	if (work->abandoned) {
		work->free(work);
		return;
	}
	s->engine->protocol->job_done(s->engine, work);
	pipe_go_on(s);
}

static void run_job(struct job *job)
{
	struct protocol_job *work = container_of(job, struct session_job, job)->work;

	work->run(work);
}

static void on_job(struct session *s, struct protocol_job *work)
{
	struct session_job *item = memory_new(sizeof(*item));

	item->session = s;
	item->work = work;
	item->job.run = run_job;
	item->job.done = on_job_done;
	s->outstanding++;
	work->running = true;
	jobs_add(s->worker->jobs, &item->job);
}

static void agent_tls_done(struct leg *leg, int error, const char *text)
{
	struct protocol_tls_result result = {.error = error, .text = text};
	struct session *s = leg->owner;

	if (error < 0)
		session_record_note(s, REASON_AGENT_TLS, text);
	else
		result.alpn = tls_alpn(leg->tls);
	if (s->engine->protocol->tls_done)
		s->engine->protocol->tls_done(s->engine, SIDE_AGENT, &result);
	session_touch(s);
}

static void certificate_ready(void *context, const char *problem)
{
	struct session *s = context;

	s->waits_for_certificate = false;
	if (problem)
		tls_refuse(&s->legs[SIDE_AGENT], problem);
	else
		tls_resume(&s->legs[SIDE_AGENT]);
	session_touch(s);
	pipe_go_on(s);
	session_touch(s);
}

static SSL_CTX *agent_certificate(struct leg *leg, const char *name)
{
	struct session *s = leg->owner;
	char host[HOST_NAME_MOST + 1];
	SSL_CTX *context;

	if (name) {
		snprintf(s->sni, sizeof(s->sni), "%s", name);
	} else if (s->beyond.length) {
		snprintf(host, sizeof(host), "%.*s", SLICE_PRINT(s->beyond));
		name = host;
	} else {
		name = place_text_of_address(s->origin.address, host, sizeof(host));
	}
	context = certificates_find(
		&s->worker->certificates, slice_from_string(name), certificate_ready, s);
	s->waits_for_certificate = !context;
	return context;
}

static const struct tls_events agent_tls_events = {
	.done = agent_tls_done, .certificate = agent_certificate};

static void on_tls(struct session *s, const struct protocol_tls *tls)
{
	if (tls->side == SIDE_SERVER) {
		upstream_start_tls(s, tls);
		return;
	}
	/* Not at once: the engine's input may lie in what becomes the handshake's. */
	s->agent_tls_wanted = true;
	s->agent_alpn = tls->alpn;
}

/* What came already and was not taken belongs to the handshake. */
static void start_agent_tls(struct session *s)
{
	struct buffer early = s->partial[SIDE_AGENT];
	struct leg *leg = &s->legs[SIDE_AGENT];

	s->agent_tls_wanted = false;
	buffer_init(&s->partial[SIDE_AGENT], early.limit);
	if (tls_accept(leg, &agent_tls_events, s->agent_alpn) < 0)
		session_reset(s, REASON_AGENT_TLS, "out of memory");
	else if (buffer_length(&early))
		tls_on_bytes(leg, buffer_slice(&early));
	buffer_done(&early);
}

static void connect_late(struct session *s, const struct protocol_connect *wanted)
{
	s->wanted = *wanted;
	upstream_connect(s);
}

static void on_close(struct session *s, const struct protocol_event *event)
{
	char text[SESSION_DETAIL_MOST];

	s->leaves_server = event->note.leaves_server;
	copy_text(text, sizeof(text), event->note.text);
	session_close(s, event->note.reason, text);
}

static void on_event(struct session *s, const struct protocol_event *event)
{
	switch (event->type) {
	case EVENT_ACTION:
		decide_action(s, &event->action);
		break;
	case EVENT_RESULT:
		on_result(s, &event->result);
		break;
	case EVENT_COLUMNS:
		on_columns(s, &event->row);
		break;
	case EVENT_ROW:
		on_row(s, &event->row);
		break;
	case EVENT_DATA:
		on_data(s, &event->data);
		break;
	case EVENT_NOTE:
		recorder_note(
			s->worker->recorder, &s->record, event->note.reason, event->note.text);
		break;
	case EVENT_LOGIN:
		on_login(s, event);
		break;
	case EVENT_TLS:
		on_tls(s, &event->tls);
		break;
	case EVENT_JOB:
		on_job(s, event->job);
		break;
	case EVENT_PROOF:
		login_prove(s, &event->proof);
		break;
	case EVENT_PIN:
		lookups_pin(s, event->pin);
		break;
	case EVENT_CANCEL:
		cancel_ask(s, event->cancel.key, event->cancel.message);
		break;
	case EVENT_CLOSE:
		on_close(s, event);
		break;
	case EVENT_DROPPED:
		hold_drop(s, event->dropped.lane, event->dropped.why);
		break;
	case EVENT_PREVIEW:
		hold_on_preview(s, event->preview.text, event->preview.problem);
		break;
	case EVENT_TUNNEL:
		tunnel_enter(s, event->tunnel.name, event->tunnel.port);
		break;
	case EVENT_CONNECT:
		if (s->flow)
			flow_on_approved(s);
		else if (s->engine->protocol->connects_late || session_is_delegated(s))
			connect_late(s, &event->connect);
		else
			detect_on_approved(s);
		break;
	}
}

/* Handles all events; false: there was none. */
static bool handle_events(struct session *s)
{
	struct protocol_event event;
	bool any = false;

	while (s->engine && s->engine->protocol->next_event(s->engine, &event)) {
		on_event(s, &event);
		any = true;
	}
	return any;
}

/* --- read and frame --- */

/* What the protocol does not allow ends the session, or, where we only observe, our reading of it.
 */
static void on_violation(struct session *s, enum side side)
{
	const char *who = side == SIDE_AGENT ? "the agent sent a message that is not legal here"
					     : "the server broke the protocol";

	session_record_note(s, REASON_PROTOCOL_VIOLATION, who);
	if (!s->host.observes || s->engine->protocol->delegated) {
		session_abort(s, REASON_PROTOCOL_VIOLATION, "%s", who);
		return;
	}
	session_record_note(s, REASON_NONE, "relayed unread from here on");
	s->unread = true;
	s->engine->protocol->close(s->engine);
	s->engine = protocol_opaque.open(&s->host);
	if (s->upstream == UPSTREAM_CONNECTED)
		upstream_tell_engine(s);
}

/* Offers bytes to the engine for as long as it takes some; returns how many it took. */
static size_t offer(struct session *s, enum side side, struct slice in)
{
	size_t total = 0;

	while (s->state == SESSION_OPEN) {
		struct slice rest = slice_from(in, total);
		size_t taken = 0;
		int r;

		if (rest.length == 0 || !s->engine->protocol->wants(s->engine, side))
			break;
		r = s->engine->protocol->input(s->engine, side, rest, &taken);
		total += taken;
		if (r == -EBADMSG) {
			on_violation(s, side);
			taken = 1; /* another engine may take the rest */
		} else if (r < 0) {
			session_abort(s, REASON_INTERNAL, "%s", strerror(-r));
		}
		if (!handle_events(s) && taken == 0)
			break;
	}
	return total;
}

/* Feeds what was kept of this side; true: something was taken. */
static bool offer_partial(struct session *s, enum side side)
{
	struct buffer *partial = &s->partial[side];
	size_t taken;

	if (buffer_length(partial) == 0)
		return false;
	taken = offer(s, side, buffer_slice(partial));
	buffer_consume(partial, taken);
	if (taken && buffer_length(partial) == 0)
		buffer_done(partial); /* an idle session keeps no memory for it */
	return taken > 0;
}

static void keep(struct session *s, enum side side, struct slice bytes)
{
	if (buffer_append_slice(&s->partial[side], bytes) < 0)
		session_abort(s, REASON_LIMIT, "%s", "a message larger than what is kept of one");
}

/* Completes the message that was begun in an earlier block with no more than it needs, so that the
 * rest of this block can be passed on without a copy. */
static struct slice complete_partial(struct session *s, enum side side, struct slice bytes)
{
	struct buffer *partial = &s->partial[side];

	while (bytes.length && buffer_length(partial) && s->state == SESSION_OPEN) {
		size_t wanted = 0;

		if (s->engine->protocol->wants(s->engine, side))
			wanted = s->engine->protocol->needs(s->engine, side, buffer_slice(partial));
		if (wanted == 0 || wanted > bytes.length)
			wanted = bytes.length;
		keep(s, side, slice_head(bytes, wanted));
		bytes = slice_from(bytes, wanted);
		offer_partial(s, side);
	}
	return bytes;
}

void pipe_received(struct session *s, enum side side, struct slice bytes)
{
	size_t taken;

	if (s->state == SESSION_DETECTING) {
		keep(s, side, bytes);
		detect_on_bytes(s);
		return;
	}
	if (s->state != SESSION_OPEN)
		return;
	bytes = complete_partial(s, side, bytes);
	if (bytes.length) {
		s->sharing = true;
		taken = offer(s, side, bytes);
		s->sharing = false;
		bytes = slice_from(bytes, taken);
		if (bytes.length && (s->state == SESSION_OPEN || s->enters))
			keep(s, side, bytes);
		/* Behind the last answer: whoever came next would get the rest of it as theirs. */
		else if (bytes.length && side == SIDE_SERVER)
			s->leaves_server = false;
	}
	if (side == SIDE_AGENT)
		hold_on_bytes(s);
	pipe_go_on(s);
}

static bool is_shaking_hands(const struct leg *leg)
{
	return leg->tls && !leg->tls->established;
}

static bool passes_on(const struct session *s)
{
	const struct protocol *p = s->engine->protocol;

	return p->passes_on && p->passes_on(s->engine);
}

/* Receives from `side` where the engine can take more and the other side takes what comes of it. */
static void receive_more(struct session *s, enum side side)
{
	struct leg *leg = &s->legs[side];

	/* What comes of it goes to the other side, or back to the process that said it. */
	enum side to = s->engine->protocol->delegated ? side : side_other(side);

	if (leg_queued(&s->legs[to]) >= LEG_QUEUE_HIGH)
		return;
	/* Who does not read what it was answered is not answered any more. */
	if (side == SIDE_AGENT && leg_queued(leg) >= LEG_QUEUE_HIGH && !passes_on(s))
		return;
	/* A process of its own is held back where it reads (allowance.h). */
	if (!session_is_delegated(s) && share_waits(s))
		return;
	if (is_shaking_hands(leg) || s->engine->protocol->wants(s->engine, side) ||
		(side == SIDE_AGENT && hold_gathers(s)))
		leg_receive(leg);
	else
		leg_watch(leg);
}

/* Whether the engine is still to take what came of the side: not what it takes none of although it
 * could, as no more comes behind it, nor what was said in clear before TLS. */
static bool is_yet_to_be_taken(const struct session *s, enum side side)
{
	return buffer_length(&s->partial[side]) && !is_shaking_hands(&s->legs[side]) &&
		!s->engine->protocol->wants(s->engine, side);
}

/* A side's end, once all that it sent has been offered; false: it is not time. */
static bool offer_end(struct session *s, enum side side)
{
	if (!s->end_waits[side] || s->state != SESSION_OPEN || is_yet_to_be_taken(s, side))
		return false;
	s->end_waits[side] = false;
	s->engine->protocol->end(s->engine, side);
	return true;
}

void pipe_ended(struct session *s, enum side side)
{
	/* A server's end, too, may come with the last that it says, while the agent takes nothing.
	 */
	if (side == SIDE_AGENT ? s->engine->protocol->ends_behind : is_yet_to_be_taken(s, side))
		s->end_waits[side] = true;
	else
		s->engine->protocol->end(s->engine, side);
	pipe_go_on(s);
}

void pipe_go_on(struct session *s)
{
	bool progress = true;

	while ((progress || s->agent_tls_wanted) && s->state == SESSION_OPEN) {
		progress = handle_events(s);
		if (s->agent_tls_wanted)
			start_agent_tls(s);
		for (int side = SIDE_AGENT; side <= SIDE_SERVER && s->state == SESSION_OPEN; side++)
			progress |= offer_partial(s, (enum side)side);
		if (!progress)
			progress = offer_end(s, SIDE_AGENT) || offer_end(s, SIDE_SERVER);
	}
	if (s->enters) {
		tunnel_begin(s);
		return;
	}
	if (s->state == SESSION_DETECTING) {
		leg_receive(&s->legs[SIDE_AGENT]);
		leg_receive(&s->legs[SIDE_SERVER]);
	}
	if (s->state != SESSION_OPEN)
		return;
	receive_more(s, SIDE_AGENT);
	receive_more(s, SIDE_SERVER);
	if (session_is_delegated(s))
		allowance_turn(s);
	ferries_receive(s);
}
