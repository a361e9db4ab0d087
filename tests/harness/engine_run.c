/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/engine_run.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "masking/detector.h"
#include "masking/strategy.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/scram.h"
#include "protocol/protocols.h"
#include "protocol/sql/cache.h"
#include "protocol/sql/catalog.h"
#include "tests/unit/policy_test.h"

#define CACHE_BYTES (8u << 20)
#define OUTPUT_MOST (1u << 30)
#define ITERATIONS_MOST 4096u
#define TLS_RECORD_HANDSHAKE 0x16
#define PARTIAL_MOST (LIMIT_ROW_MASKED + (1u << 20)) /* as a worker's session keeps */

void engine_bench_init(struct engine_bench *b, const char *policy)
{
	static const uint8_t key[MASK_KEY_BYTES] = "a key that never changes";
	struct policy *p = policy_test_new(policy);
	struct policy_subject subject = {.agent = &p->agents[0],
		.principal = &principal_none,
		.protocol = p->resources[0].protocol};
	struct error e;

	memset(b, 0, sizeof(*b));
	b->scope = policy_scope_get(p, &subject);
	policy_put(p);
	b->detectors = detector_engine_new(&e);
	b->hasher = mask_hasher_new(key);
	if (!b->detectors || !b->hasher)
		abort();
}

char *engine_bench_read(const char *name)
{
	FILE *file = fopen(name, "re");
	char *text = memory_new(LIMIT_CONFIG_FILE_BYTES + 1);
	size_t n;

	if (!file) {
		perror(name);
		abort();
	}
	n = fread(text, 1, LIMIT_CONFIG_FILE_BYTES, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

void engine_bench_done(struct engine_bench *b)
{
	policy_scope_put(b->scope);
	detector_engine_free(b->detectors);
	mask_hasher_free(b->hasher);
	sql_catalog_put(b->names);
}

/* --- what the engine sees --- */

static struct engine_run *run_of(struct protocol_host *host)
{
	return container_of(host, struct engine_run, host);
}

static int host_write(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct engine_run *run = run_of(host);

	if (run->watch && run->watch->wrote)
		run->watch->wrote(run->watch, run, to, bytes);
	return buffer_append_slice(&run->sent[to], bytes);
}

static void host_shut(struct protocol_host *host, enum side to)
{
	buffer_append_format(
		&run_of(host)->events, "! shut %s\n", to == SIDE_AGENT ? "agent" : "server");
}

static void host_cut(struct protocol_host *host, enum side to)
{
	buffer_append_format(
		&run_of(host)->events, "! cut %s\n", to == SIDE_AGENT ? "agent" : "server");
}

static void host_reset(struct protocol_host *host, const struct protocol_refusal *refusal)
{
	struct engine_run *run = run_of(host);

	buffer_append_format(&run->events, "! reset %.*s\n", SLICE_PRINT(refusal->text));
	run->closed = true;
}

static int host_beyond(struct protocol_host *host, struct slice name, uint16_t port,
	enum reason *ret_reason, struct buffer *why)
{
	const char *denied = run_of(host)->bench->denied_beyond;

	(void)port;
	if (!denied || !slice_equal_string(name, denied))
		return 0;
	*ret_reason = REASON_EGRESS;
	buffer_append_string(why, "denied: nobody goes there");
	return -EPERM;
}

static int host_tunnel(
	struct protocol_host *host, struct protocol_tunnel *t, struct slice name, uint16_t port)
{
	struct engine_run *run = run_of(host);
	struct engine_tunnel *tunnel;

	if (run->no_tunnels || run->tunnel_count == ENGINE_TUNNELS_MOST)
		return -EMFILE;
	tunnel = &run->tunnels[run->tunnel_count++];
	tunnel->engine = t;
	t->carrier = tunnel;
	for (int from = SIDE_AGENT; from <= SIDE_SERVER; from++)
		buffer_init(&tunnel->said[from], OUTPUT_MOST);
	buffer_append_format(&run->events, "! tunnel %zu to %.*s %u\n", run->tunnel_count - 1,
		SLICE_PRINT(name), port);
	return 0;
}

static int host_tunnel_write(struct protocol_tunnel *t, enum side from, struct slice bytes)
{
	struct engine_tunnel *tunnel = t->carrier;

	if (tunnel->ended[from])
		abort(); /* it said that there is no more */
	tunnel->untaken[from] += bytes.length;
	return buffer_append_slice(&tunnel->said[from], bytes);
}

static void host_tunnel_end(struct protocol_tunnel *t, enum side from, bool reset)
{
	struct engine_tunnel *tunnel = t->carrier;

	if (tunnel->reset[from] || (tunnel->ended[from] && !reset))
		abort();
	tunnel->ended[from] = true;
	tunnel->reset[from] = reset;
}

static void host_tunnel_drop(struct protocol_tunnel *t)
{
	struct engine_tunnel *tunnel = t->carrier;

	if (!tunnel)
		return;
	t->carrier = NULL;
	tunnel->engine = NULL;
}

static bool host_wants_body(struct protocol_host *host, const struct action *action)
{
	return policy_wants_body(run_of(host)->bench->scope, action);
}

static bool host_restricts(
	struct protocol_host *host, const struct action_pair *pair, const struct action_pair *other)
{
	return policy_restricts(run_of(host)->bench->scope, pair, other);
}

static bool host_grants(struct protocol_host *host, const struct protocol_grant *grant)
{
	const struct engine_run *run = run_of(host);

	return run->bench->restless ? run->actions % 2 : run->grant.serial == grant->serial;
}

static struct protocol_catalog *host_catalog(
	struct protocol_host *host, struct slice database, struct slice encoding)
{
	(void)database;
	(void)encoding;
	return &run_of(host)->catalog;
}

/* --- events --- */

static void put_text(struct buffer *b, struct slice text)
{
	buffer_append_byte(b, '"');
	for (size_t i = 0; i < text.length; i++) {
		uint8_t c = text.data[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			buffer_append_format(b, "\\x%02x", c);
		else
			buffer_append_byte(b, c);
	}
	buffer_append_byte(b, '"');
}

static void put_pairs(struct buffer *b, const struct action *action)
{
	for (size_t i = 0; i < action->pair_count; i++) {
		const struct action_pair *pair = &action->pairs[i];

		buffer_append_format(b, "%s%s%s", i ? ", " : " ", operation_name(pair->operation),
			pair->everything ? "!" : "");
		if (pair->state != OBJECT_NONE)
			buffer_append_format(b, " %s%.*s", pair->state == OBJECT_UNKNOWN ? "?" : "",
				SLICE_PRINT(pair->object));
	}
}

static void put_values(struct buffer *b, const struct protocol_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buffer_append_byte(b, ' ');
		if (!values[i].data.data)
			buffer_append_string(b, "null");
		else
			put_text(b, values[i].data);
	}
}

static void put_action(struct buffer *b, const struct protocol_action_event *event, uint64_t number,
	const struct protocol_refusal *refusal)
{
	static const char *const phases[] = {"prepared", "probed", "run"};

	buffer_append_format(b, "! action %llu %s %s", (unsigned long long)number,
		phases[event->phase], refusal->reason == REASON_NONE ? "released" : "refused");
	if (event->text_action)
		buffer_append_format(b, " of %llu", (unsigned long long)event->text_action);
	if (event->action->unknown)
		buffer_append_format(b, " unknown %u", event->action->unknown);
	put_pairs(b, event->action);
	buffer_append_string(b, " : ");
	put_text(b, event->action->text);
	put_values(b, event->values, event->value_count);
	buffer_append_byte(b, '\n');
}

static bool may_go_on(const struct protocol_action_event *event, const struct verdict *verdict)
{
	if (!verdict_is_enforced(verdict) || verdict->kind == VERDICT_ALLOW ||
		event->phase == ACTION_PROBED)
		return true;
	if (verdict->kind == VERDICT_REVIEW)
		return true; /* approved, once it was held */
	return event->phase == ACTION_PREPARED && event->action->unknown;
}

static void judgement_free(struct protocol_judgement *judgement)
{
	free(judgement);
}

/* What the engine itself needs of it. */
static void keep_judgement(const struct protocol_action_event *event, const struct verdict *verdict)
{
	if (!event->judgement || *event->judgement)
		return;
	*event->judgement = memory_new(sizeof(**event->judgement));
	(*event->judgement)->free = judgement_free;
	(*event->judgement)->review =
		verdict->kind == VERDICT_REVIEW && verdict_is_enforced(verdict);
}

/* What might be decided together with it, which depends on how much has arrived: looked at, and not
 * told. */
static void look_ahead(struct engine_run *run, uint32_t lane)
{
	const struct protocol *protocol = run->engine->protocol;
	struct protocol_action_event event;
	struct protocol_binding binding;
	struct verdict verdict;
	bool first = true;

	if (!protocol->ahead)
		return;
	while (protocol->ahead(run->engine, lane, first, &event, &binding) == 0) {
		policy_judge(run->bench->scope, event.action, &verdict);
		keep_judgement(&event, &verdict);
		first = false;
	}
	protocol->ahead(run->engine, lane, false, NULL, NULL);
}

static int bind(struct engine_run *run, uint32_t lane, struct protocol_binding *ret)
{
	int r = run->engine->protocol->bind(run->engine, lane, ret);

	return r == 0 && ret->late ? -ESTALE : r;
}

/* People decide: the action is previewed where it can be, held once, as worker/hold.c does it, and
 * comes again. True: it does. */
static bool hold(struct engine_run *run, const struct protocol_action_event *event)
{
	const struct protocol *protocol = run->engine->protocol;
	struct protocol_binding binding;
	int r = run->held == HELD_APPROVED ? -EALREADY : bind(run, event->lane, &binding);

	if (r == 0 && binding.maybe_late) {
		protocol->judge_again(run->engine, event->lane, false);
		return true;
	}
	if (r == 0 && run->held == HELD_NOT && protocol->preview) {
		run->held = HELD_PREVIEWED;
		if (!protocol->preview(run->engine, event->lane)) {
			if (run->bench->restless)
				protocol->judge_again(run->engine, event->lane, false);
			return true;
		}
		r = bind(run, event->lane, &binding);
	}
	if (r == -EAGAIN)
		return true;
	if (r < 0) {
		run->held = HELD_NOT;
		return false;
	}
	run->held = HELD_APPROVED;
	buffer_append_string(&run->events, "! held : ");
	put_text(&run->events, binding.bound[0]);
	put_text(&run->events, binding.bound[1]);
	put_text(&run->events, binding.context);
	put_text(&run->events, binding.runs);
	buffer_append_byte(&run->events, '\n');
	look_ahead(run, event->lane);
	if (protocol->leaves)
		protocol->leaves(run->engine, buffer_slice(&run->partial[SIDE_AGENT]));
	protocol->reassure(run->engine, event->lane, slice_from_string("waiting"));
	protocol->reassure(run->engine, event->lane, SLICE_EMPTY);
	protocol->judge_again(run->engine, event->lane, true);
	return true;
}

/* As worker/decide.c asks: where we only observe, why it would be refused. */
static void look_what_would_be(struct engine_run *run, const struct protocol_action_event *event,
	const struct verdict *verdict)
{
	const struct protocol *protocol = run->engine->protocol;
	const struct mask_rules *masks = verdict->outcome->masks;
	struct protocol_refusal would = {.reason = REASON_NONE};

	if (verdict_is_enforced(verdict) || !protocol->would_refuse ||
		event->phase == ACTION_PROBED)
		return;
	if (event->phase != ACTION_RUN || verdict->kind == VERDICT_DENY || !mask_rules_any(masks))
		masks = NULL;
	run->engine->host->shows_secrets = verdict->shows_secrets || verdict->kind == VERDICT_DENY;
	run->engine->host->passes_masked = verdict->passes_masked || verdict->kind == VERDICT_DENY;
	if (protocol->would_refuse(run->engine, event->lane, masks, &would) == 0)
		return;
	buffer_append_format(&run->events, "! would refuse %s ", reason_get(would.reason)->metric);
	put_text(&run->events, would.text);
	buffer_append_byte(&run->events, '\n');
}

static bool is_granted(const struct engine_run *run)
{
	return run->bench->restless ? run->actions % 2 : run->grant.serial != 0;
}

static void on_action(struct engine_run *run, const struct protocol_action_event *event)
{
	const struct protocol *protocol = run->engine->protocol;
	struct protocol_refusal refusal = {.reason = REASON_NONE};
	struct verdict verdict;
	struct buffer text;

	buffer_init(&text, 4096);
	policy_judge(run->bench->scope, event->action, &verdict);
	keep_judgement(event, &verdict);
	run->host.reviewed = verdict.kind == VERDICT_REVIEW;
	run->host.grant = (struct protocol_grant){0};
	if (verdict.kind == VERDICT_REVIEW && event->phase == ACTION_RUN && is_granted(run)) {
		run->host.grant =
			run->bench->restless ? (struct protocol_grant){.serial = 1} : run->grant;
	} else if (verdict.kind == VERDICT_REVIEW && event->phase == ACTION_RUN &&
		!event->runs_nothing && hold(run, event)) {
		buffer_done(&text);
		return;
	}
	if (!may_go_on(event, &verdict)) {
		verdict_text(&verdict, event->action, &text);
		refusal = (struct protocol_refusal){verdict.reason, buffer_slice(&text)};
	} else if (event->phase == ACTION_RUN && verdict_is_enforced(&verdict)) {
		const struct mask_rules *masks = verdict.outcome->masks;

		run->engine->host->shows_secrets = verdict.shows_secrets;
		run->engine->host->passes_masked = verdict.passes_masked;
		run->engine->host->as = verdict.as;
		protocol->mask(run->engine, event->lane, mask_rules_any(masks) ? masks : NULL,
			verdict.outcome->record_rows, &refusal);
	}
	if (refusal.reason == REASON_NONE)
		look_what_would_be(run, event, &verdict);
	put_action(&run->events, event, ++run->actions, &refusal);
	if (run->watch && run->watch->decided)
		run->watch->decided(run->watch, event, refusal.reason == REASON_NONE);
	if (refusal.reason != REASON_NONE)
		protocol->refuse(run->engine, event->lane, run->actions, &refusal);
	else
		protocol->release(run->engine, event->lane, run->actions);
	buffer_done(&text);
}

static void on_result(struct engine_run *run, const struct protocol_result *result)
{
	struct buffer *b = &run->events;

	buffer_append_format(b, "! result %llu rows %llu bytes %llu ",
		(unsigned long long)result->action, (unsigned long long)result->rows,
		(unsigned long long)result->bytes);
	put_text(b, result->tag);
	if (result->error_code.length) {
		buffer_append_format(b, " error %.*s ", SLICE_PRINT(result->error_code));
		put_text(b, result->error_text);
	}
	buffer_append_byte(b, '\n');
}

static void on_tls(struct engine_run *run, enum side side)
{
	struct protocol_tls_result result = {0};

	if (run->fail_tls == (int)side + 1)
		result = (struct protocol_tls_result){
			.error = -EPROTO, .text = "a test made it fail"};
	else
		result.server_end_point = run->bench->end_point.data
			? run->bench->end_point
			: slice_from_string("end point");
	if (run->watch && run->watch->handshake)
		run->watch->handshake(run->watch, run, side, &result);
	result.verified = result.error == 0 && !run->bench->unverified;
	/* Direct TLS begins with a ClientHello, which is for the handshake alone, and names the
	 * protocol. */
	if (side == SIDE_AGENT && buffer_length(&run->partial[side]) &&
		buffer_slice(&run->partial[side]).data[0] == TLS_RECORD_HANDSHAKE) {
		buffer_consume(&run->partial[side],
			run->bench->hello_length ? run->bench->hello_length : 1);
		result.alpn = slice_from_string("postgresql");
	}
	run->engine->protocol->tls_done(run->engine, side, &result);
}

static void prove_scram(const struct engine_run *run, struct slice challenge, struct slice password)
{
	const struct protocol *protocol = run->engine->protocol;
	struct scram_exchange exchange;
	struct scram_proof proof;
	struct scram_keys keys;

	if (challenge.length != sizeof(exchange))
		abort();
	memcpy(&exchange, challenge.data, sizeof(exchange));
	/* A monitor would not answer it. */
	if (!scram_exchange_is_sound(&exchange))
		abort();
	if (exchange.iterations > ITERATIONS_MOST)
		exchange.iterations = ITERATIONS_MOST; /* of no use to a test but to wait */
	if (scram_derive(&exchange, password, &keys) < 0 ||
		scram_prove(&exchange, &keys, &proof) < 0)
		abort();
	protocol->proven(run->engine, 0, slice_of(&proof, sizeof(proof)));
}

/* As the monitor does it. */
static void on_proof(struct engine_run *run, const struct protocol_proof *proof)
{
	const struct protocol *protocol = run->engine->protocol;
	struct slice password = slice_from_string(run->bench->password);
	char md5[PG_MD5_ANSWER + 1];

	buffer_append_format(&run->events, "! proof %d\n", proof->kind);
	if (run->keep_proof)
		return;
	if (run->fail_proof) {
		protocol->proven(run->engine, -EACCES, slice_from_string("no proof today"));
		return;
	}
	switch (proof->kind) {
	case PROOF_PASSWORD:
		protocol->proven(run->engine, 0, password);
		break;
	case PROOF_POSTGRES_MD5:
		if (proof->challenge.length != PG_MD5_SALT ||
			pg_md5_answer(password, slice_from_string(run->bench->user),
				proof->challenge.data, md5) < 0)
			abort();
		protocol->proven(run->engine, 0, slice_of(md5, PG_MD5_ANSWER));
		break;
	default:
		prove_scram(run, proof->challenge, password);
	}
}

static void put_note(struct engine_run *run, const char *kind, const struct protocol_event *event)
{
	buffer_append_format(&run->events, "! %s %u ", kind, event->note.reason);
	put_text(&run->events, event->note.text);
	buffer_append_byte(&run->events, '\n');
}

static void put_data(struct engine_run *run, const struct protocol_data *data)
{
	struct buffer *b = &run->data[data->kind];

	if (data->kind == DATA_WINDOW)
		buffer_append_format(b, "%ux%u ", data->columns, data->rows);
	else
		buffer_append_slice(b, data->bytes);
}

static void put_row(struct engine_run *run, const char *kind, const struct protocol_row *row)
{
	buffer_append_format(&run->events, "! %s %llu", kind, (unsigned long long)row->action);
	put_values(&run->events, row->values, row->value_count);
	buffer_append_byte(&run->events, '\n');
}

static void on_event(struct engine_run *run, const struct protocol_event *event)
{
	struct buffer *b = &run->events;

	switch (event->type) {
	case EVENT_ACTION:
		on_action(run, &event->action);
		break;
	case EVENT_RESULT:
		on_result(run, &event->result);
		break;
	case EVENT_COLUMNS:
		put_row(run, "columns", &event->row);
		break;
	case EVENT_ROW:
		put_row(run, "row", &event->row);
		break;
	case EVENT_NOTE:
		put_note(run, "note", event);
		break;
	case EVENT_LOGIN:
		buffer_append_format(b, "! login %.*s %.*s\n", SLICE_PRINT(event->login.user),
			SLICE_PRINT(event->login.database));
		break;
	case EVENT_DROPPED:
		run->held = HELD_NOT;
		buffer_append_string(b, "! dropped\n");
		break;
	case EVENT_PREVIEW:
		buffer_append_string(b, "! preview ");
		put_text(b, event->preview.text);
		buffer_append_byte(b, '\n');
		run->engine->protocol->judge_again(run->engine, 0, false);
		break;
	case EVENT_DATA:
		put_data(run, &event->data);
		break;
	case EVENT_CONNECT:
		run->host.reused = run->keeps && event->connect.reuses;
		run->keeps &= !run->host.reused;
		/* What came of the one before nobody gets. */
		if (run->connects++)
			buffer_clear(&run->partial[SIDE_SERVER]);
		engine_run_connected(run);
		break;
	case EVENT_TUNNEL:
		buffer_append_format(b, "! tunnel %.*s %u\n", SLICE_PRINT(event->tunnel.name),
			event->tunnel.port);
		run->closed = true;
		break;
	case EVENT_TLS:
		buffer_append_format(
			b, "! tls %s\n", event->tls.side == SIDE_AGENT ? "agent" : "server");
		on_tls(run, event->tls.side);
		break;
	case EVENT_JOB:
		event->job->run(event->job);
		run->engine->protocol->job_done(run->engine, event->job);
		break;
	case EVENT_PIN:
		run->engine->protocol->pinned(run->engine);
		break;
	case EVENT_PROOF:
		on_proof(run, &event->proof);
		break;
	case EVENT_CANCEL:
		buffer_append_string(b, "! cancel ");
		put_text(b, event->cancel.key);
		buffer_append_byte(b, '\n');
		run->closed = true;
		break;
	case EVENT_CLOSE:
		put_note(run, "close", event);
		run->left = event->note.leaves_server;
		run->closed = true;
		break;
	}
}

/* --- read and frame --- */

static bool handle_events(struct engine_run *run)
{
	struct protocol_event event;
	bool any = false;

	while (!run->closed && run->engine->protocol->next_event(run->engine, &event)) {
		on_event(run, &event);
		any = true;
	}
	return any;
}

/* True: something was taken, or happened. */
static bool offer(struct engine_run *run, enum side side)
{
	struct buffer *partial = &run->partial[side];
	bool any = false;

	while (!run->closed && buffer_length(partial) &&
		run->engine->protocol->wants(run->engine, side)) {
		size_t taken = 0;
		int r = run->engine->protocol->input(
			run->engine, side, buffer_slice(partial), &taken);

		if (taken > buffer_length(partial))
			abort();
		buffer_consume(partial, taken);
		if (r == -EBADMSG)
			buffer_append_format(&run->events, "! violation %s\n",
				side == SIDE_AGENT ? "agent" : "server");
		else if (r < 0)
			buffer_append_format(&run->events, "! failure %d\n", r);
		if (r < 0) {
			engine_run_abort(
				run, r == -EBADMSG ? REASON_PROTOCOL_VIOLATION : REASON_INTERNAL);
			if (!run->closed)
				abort(); /* it would be offered the same bytes for ever */
			return true;
		}
		if (!handle_events(run) && taken == 0) {
			/* What it waits for, it must be able to say. */
			if (!run->closed &&
				run->engine->protocol->needs(
					run->engine, side, buffer_slice(partial)) == 0)
				abort();
			return any;
		}
		any = true;
	}
	return any;
}

static void go_on(struct engine_run *run)
{
	bool progress = true;

	while (progress && !run->closed) {
		progress = handle_events(run);
		progress |= offer(run, SIDE_AGENT);
		progress |= offer(run, SIDE_SERVER);
	}
}

void engine_run_feed(struct engine_run *run, enum side side, struct slice bytes)
{
	if (run->closed)
		return;
	if (buffer_append_slice(&run->partial[side], bytes) < 0)
		engine_run_abort(run, REASON_LIMIT);
	go_on(run);
}

void engine_run_end(struct engine_run *run, enum side side)
{
	if (run->closed)
		return;
	run->engine->protocol->end(run->engine, side);
	go_on(run);
}

void engine_run_break(struct engine_run *run, enum side side)
{
	run->host.endings[side] = ENDING_BROKEN;
	engine_run_end(run, side);
}

static bool tunnel_is_there(const struct engine_run *run, size_t i, enum side side)
{
	return !run->closed && i < run->tunnel_count && run->tunnels[i].engine &&
		!run->tunnels[i].reset[side];
}

void engine_run_tunnel_says(struct engine_run *run, size_t i, enum side to, struct slice bytes)
{
	struct protocol_tunnel *t;

	if (!tunnel_is_there(run, i, to))
		return;
	t = run->tunnels[i].engine;
	if (!t->events->wants(t, to))
		abort();
	if (t->events->data(t, to, bytes) < 0)
		engine_run_abort(run, REASON_INTERNAL);
	go_on(run);
}

void engine_run_tunnel_ends(struct engine_run *run, size_t i, enum side to, bool reset)
{
	struct protocol_tunnel *t;

	if (!tunnel_is_there(run, i, to))
		return;
	t = run->tunnels[i].engine;
	t->events->end(t, to, reset);
	go_on(run);
}

void engine_run_tunnel_takes(struct engine_run *run, size_t i, enum side from)
{
	struct engine_tunnel *tunnel = &run->tunnels[i];
	size_t bytes = tunnel->untaken[from];

	if (!tunnel_is_there(run, i, from) || bytes == 0)
		return;
	tunnel->untaken[from] = 0;
	tunnel->engine->events->taken(tunnel->engine, from, bytes);
	go_on(run);
}

/* True: something was passed on. */
static bool relay(struct engine_run *run, size_t i, enum side from)
{
	struct engine_tunnel *tunnel = &run->tunnels[i];
	enum side to = side_other(from);
	struct slice said = slice_head(buffer_slice(&tunnel->said[from]), 16384);

	if (!tunnel_is_there(run, i, to))
		return false;
	if (said.length) {
		if (!tunnel->engine->events->wants(tunnel->engine, to))
			return false;
		engine_run_tunnel_says(run, i, to, said);
		buffer_consume(&tunnel->said[from], said.length);
		return true;
	}
	if (!tunnel->ended[from] || tunnel->passed_end[from])
		return false;
	tunnel->passed_end[from] = true;
	engine_run_tunnel_ends(run, i, to, tunnel->reset[from]);
	return true;
}

void engine_run_tunnels_relay(struct engine_run *run)
{
	bool any = true;

	while (any && !run->closed) {
		any = false;
		for (size_t i = 0; i < run->tunnel_count; i++) {
			for (enum side from = SIDE_AGENT; from <= SIDE_SERVER; from++) {
				any |= relay(run, i, from);
				engine_run_tunnel_takes(run, i, from);
			}
		}
	}
}

void engine_run_abort(struct engine_run *run, enum reason reason)
{
	struct protocol_refusal refusal = {reason, slice_from_string("ended by the test")};

	if (run->closed)
		return;
	run->engine->protocol->abort(run->engine, &refusal);
	handle_events(run);
}

void engine_run_connected(struct engine_run *run)
{
	run->engine->protocol->connected(run->engine);
	go_on(run);
}

void engine_run_init(
	struct engine_run *run, const struct engine_bench *bench, struct engine_watch *watch)
{
	const struct policy *policy = policy_scope_policy(bench->scope);

	memset(run, 0, sizeof(*run));
	run->bench = bench;
	run->watch = watch;
	run->catalog.epoch = &run->epoch;
	run->catalog.names = bench->names ? sql_catalog_get(bench->names) : NULL;
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		buffer_init(&run->partial[side], PARTIAL_MOST);
		buffer_init(&run->sent[side], OUTPUT_MOST);
	}
	buffer_init(&run->events, OUTPUT_MOST);
	for (size_t i = 0; i < ARRAY_SIZE(run->data); i++)
		buffer_init(&run->data[i], OUTPUT_MOST);
	run->host = (struct protocol_host){
		.write = host_write,
		.pass = host_write,
		.write_secret = host_write,
		.shut = host_shut,
		.cut = host_cut,
		.reset = host_reset,
		.catalog = host_catalog,
		.beyond = host_beyond,
		.tunnel = host_tunnel,
		.tunnel_write = host_tunnel_write,
		.tunnel_end = host_tunnel_end,
		.tunnel_drop = host_tunnel_drop,
		.wants_body = host_wants_body,
		.restricts = host_restricts,
		.grants = host_grants,
		.texts = sql_cache_new(CACHE_BYTES),
		.detectors = bench->detectors,
		.hasher = bench->hasher,
		.credentials = {.given = bench->user != NULL,
			.password = bench->password != NULL,
			.allow_cleartext = bench->allow_cleartext,
			.proven_only = bench->proven_only,
			.user = slice_from_string(bench->user),
			.place = bench->secret_place,
			.name = slice_from_string(bench->secret_name),
			.impersonates = slice_from_string(bench->impersonates)},
		.identity = slice_from_string(bench->identity),
		.upstream_tls = bench->upstream_tls,
		.audience = policy_scope_serial(bench->scope),
		.needs_facts = policy_scope_needs(bench->scope) != 0,
		.observes = policy->mode == POLICY_OBSERVE,
		.masks_contents = mask_rules_any_content(policy_scope_masks(bench->scope)),
	};
	memcpy(run->host.nonce, "always the same, so that it can ", sizeof(run->host.nonce));
	if (!run->host.observes)
		run->host.session_masks = policy_scope_masks(bench->scope);
	run->engine = protocols_get(policy_scope_subject(bench->scope)->protocol)->open(&run->host);
}

void engine_run_done(struct engine_run *run)
{
	run->engine->protocol->close(run->engine);
	sql_cache_free(run->host.texts);
	sql_catalog_put(run->catalog.names);
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		buffer_done(&run->partial[side]);
		buffer_done(&run->sent[side]);
	}
	buffer_done(&run->events);
	for (size_t i = 0; i < run->tunnel_count; i++) {
		buffer_done(&run->tunnels[i].said[SIDE_AGENT]);
		buffer_done(&run->tunnels[i].said[SIDE_SERVER]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(run->data); i++)
		buffer_done(&run->data[i]);
}
