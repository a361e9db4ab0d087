/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/dns_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/dns.h"

#define LANE 0 /* the only one: queries are judged one after the other */
#define LENGTH_SIZE 2u
#define HEADER 12u
#define TEXT_MOST (DNS_NAME_SIZE + 16)
/* RFC 1035, 4.1.1 */
#define FLAG_RESPONSE 0x80u
#define FLAG_DESIRED 0x01u /* that the server asks others; an answer has it too */
#define CODE_REFUSED 5u
#define TAG_MOST (DNS_ADDRESSES_MOST * (INET6_ADDRSTRLEN + 1))

/* One that left. */
struct query {
	uint64_t number; /* of the action */
	uint16_t id, type, class;
	char name[DNS_NAME_SIZE];
};

enum asked_state { ASKED_NOTHING, ASKED, ASKED_JUDGED };
enum answer_state { ANSWER_NONE, ANSWER_CAME, ANSWER_HELD, ANSWER_GIVEN };

struct dns_stream {
	struct protocol_engine base;
	bool connected;
	bool ended; /* the agent asks no more */
	bool closing;
	/* What the agent asks now: the frame, and what it says. */
	enum asked_state asked;
	struct buffer query;
	struct dns_message question;
	char text[TEXT_MOST];
	struct action_pair pair;
	struct action action;
	/* What the server answers now. */
	enum answer_state answered;
	struct buffer answer;
	struct dns_message message;
	uint64_t number; /* of the action that it answers */
	char tag[TAG_MOST], code[16];
	struct query queries[DNS_STREAM_QUERIES_MOST];
	size_t count;
};

static struct dns_stream *stream_of(struct protocol_engine *e)
{
	return container_of(e, struct dns_stream, base);
}

static struct protocol_engine *stream_open(struct protocol_host *host)
{
	struct dns_stream *d = memory_new(sizeof(*d));

	d->base = (struct protocol_engine){.protocol = &protocol_dns_stream, .host = host};
	buffer_init(&d->query, LENGTH_SIZE + DNS_STREAM_QUERY_MOST);
	buffer_init(&d->answer, LENGTH_SIZE + UINT16_MAX);
	return &d->base;
}

static void stream_close(struct protocol_engine *e)
{
	struct dns_stream *d = stream_of(e);

	buffer_done(&d->query);
	buffer_done(&d->answer);
	free(d);
}

/* The message behind its length; empty: not all of it is there. */
static struct slice whole_message(struct slice in)
{
	size_t length;

	if (in.length < LENGTH_SIZE)
		return SLICE_EMPTY;
	length = bytes_get_u16(in.data);
	return in.length - LENGTH_SIZE < length ? SLICE_EMPTY
						: slice_of(in.data + LENGTH_SIZE, length);
}

/* A message has a header at least, so that an empty one is no message that is still to come. */
static bool is_length(enum side side, struct slice in)
{
	size_t length = bytes_get_u16(in.data);

	return length >= HEADER && (side == SIDE_SERVER || length <= DNS_STREAM_QUERY_MOST);
}

static bool is_idle(const struct dns_stream *d)
{
	return d->asked == ASKED_NOTHING && d->answered == ANSWER_NONE && d->count == 0;
}

static void go_on(struct dns_stream *d)
{
	d->closing |= d->ended && is_idle(d);
}

/* --- queries --- */

static int take_query(struct dns_stream *d, struct slice message)
{
	const char *type;
	uint8_t length[LENGTH_SIZE];
	int r;

	if (dns_parse(message, &d->question) < 0 || d->question.response)
		return -EBADMSG;
	bytes_put_u16(length, (uint16_t)message.length);
	r = buffer_append(&d->query, length, sizeof(length));
	if (r == 0)
		r = buffer_append_slice(&d->query, message);
	if (r < 0)
		return r;
	type = dns_type_name(d->question.type);
	if (type)
		snprintf(d->text, sizeof(d->text), "%s %s", d->question.name, type);
	else
		snprintf(d->text, sizeof(d->text), "%s TYPE%u", d->question.name, d->question.type);
	d->pair = (struct action_pair){.operation = OPERATION_RESOLVE,
		.state = OBJECT_KNOWN,
		.object = slice_from_string(d->question.name)};
	d->action = (struct action){.protocol = PROTOCOL_UDP,
		.pairs = &d->pair,
		.pair_count = 1,
		.text = slice_from_string(d->text)};
	d->asked = ASKED;
	return 0;
}

static int stream_release(struct protocol_engine *e, uint32_t lane, uint64_t number)
{
	struct dns_stream *d = stream_of(e);
	struct query *q = &d->queries[d->count];
	int r;

	(void)lane;
	*q = (struct query){.number = number,
		.id = d->question.id,
		.type = d->question.type,
		.class = d->question.class};
	memcpy(q->name, d->question.name, sizeof(q->name));
	d->count++;
	r = e->host->write(e->host, SIDE_SERVER, buffer_slice(&d->query));
	buffer_clear(&d->query);
	d->asked = ASKED_NOTHING;
	return r;
}

/* Behind the header is the question, where it ends; what else the query had is not repeated. */
static size_t question_length(struct slice message)
{
	size_t at = HEADER;

	while (at < message.length && message.data[at])
		at += message.data[at] + 1u;
	at += 1 + 2 + 2;
	return at < message.length ? at : message.length;
}

/* As a server says that it does not want to (RFC 1035, 4.1.1). */
static int stream_refuse(struct protocol_engine *e, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct dns_stream *d = stream_of(e);
	struct slice query = slice_from(buffer_slice(&d->query), LENGTH_SIZE);
	uint8_t answer[LENGTH_SIZE + DNS_STREAM_QUERY_MOST] = {0}, *head = answer + LENGTH_SIZE;
	size_t length = question_length(query);

	(void)lane;
	(void)number;
	memcpy(head, query.data, length);
	head[2] = FLAG_RESPONSE | (query.data[2] & FLAG_DESIRED);
	head[3] = CODE_REFUSED;
	memset(head + 6, 0, HEADER - 6);
	bytes_put_u16(answer, (uint16_t)length);
	buffer_clear(&d->query);
	d->asked = ASKED_NOTHING;
	/* Each is recorded: a flood has to connect anew. */
	d->ended |= refusal->reason == REASON_LIMIT;
	go_on(d);
	return e->host->write(e->host, SIDE_AGENT, slice_of(answer, LENGTH_SIZE + length));
}

/* --- answers --- */

static struct query *find(struct dns_stream *d, const struct dns_message *m)
{
	for (size_t i = 0; i < d->count; i++) {
		struct query *q = &d->queries[i];

		if (q->id == m->id && q->type == m->type && q->class == m->class &&
			strcmp(q->name, m->name) == 0)
			return q;
	}
	return NULL;
}

static void describe(struct dns_stream *d)
{
	size_t length = 0;

	d->tag[0] = d->code[0] = '\0';
	for (size_t i = 0; i < d->message.address_count; i++) {
		const uint8_t *bytes = d->message.addresses[i].bytes;
		static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
		bool v4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;
		char text[INET6_ADDRSTRLEN];

		inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + 12 : bytes, text, sizeof(text));
		length += (size_t)snprintf(
			d->tag + length, sizeof(d->tag) - length, "%s%s", i ? " " : "", text);
	}
	if (d->message.code)
		snprintf(d->code, sizeof(d->code), "RCODE %u", d->message.code);
}

static int take_answer(struct dns_stream *d, struct slice message)
{
	uint8_t length[LENGTH_SIZE];
	struct query *q;
	int r;

	if (dns_parse(message, &d->message) < 0 || !d->message.response)
		return -EBADMSG;
	q = find(d, &d->message);
	if (!q)
		return -EBADMSG;
	d->number = q->number;
	*q = d->queries[--d->count];
	bytes_put_u16(length, (uint16_t)message.length);
	r = buffer_append(&d->answer, length, sizeof(length));
	if (r == 0)
		r = buffer_append_slice(&d->answer, message);
	describe(d);
	d->answered = ANSWER_CAME;
	return r;
}

static void stream_pinned(struct protocol_engine *e)
{
	struct dns_stream *d = stream_of(e);

	if (d->answered == ANSWER_HELD)
		d->answered = ANSWER_GIVEN;
}

static void tell_result(struct dns_stream *d, struct protocol_event *ret)
{
	struct protocol_host *host = d->base.host;
	struct slice answer = buffer_slice(&d->answer);

	ret->type = EVENT_RESULT;
	ret->result = (struct protocol_result){.action = d->number,
		.rows = d->message.address_count,
		.bytes = answer.length - LENGTH_SIZE,
		.tag = slice_from_string(d->tag),
		.error_code = slice_from_string(d->code)};
	/* One that can't be written ends the session, as the pipe sees at its next turn. */
	d->closing |= host->write(host, SIDE_AGENT, answer) < 0;
	buffer_clear(&d->answer);
	d->answered = ANSWER_NONE;
	go_on(d);
}

/* --- both --- */

static int stream_input(
	struct protocol_engine *e, enum side side, struct slice in, size_t *ret_taken)
{
	struct dns_stream *d = stream_of(e);
	struct slice message;
	int r;

	*ret_taken = 0;
	if (in.length < LENGTH_SIZE)
		return 0;
	if (!is_length(side, in))
		return -EBADMSG;
	message = whole_message(in);
	if (message.length == 0)
		return 0;
	r = side == SIDE_AGENT ? take_query(d, message) : take_answer(d, message);
	if (r == 0)
		*ret_taken = LENGTH_SIZE + message.length;
	return r;
}

static size_t stream_needs(struct protocol_engine *e, enum side side, struct slice in)
{
	size_t whole;

	(void)e;
	(void)side;
	if (in.length < LENGTH_SIZE)
		return LENGTH_SIZE - in.length;
	whole = LENGTH_SIZE + bytes_get_u16(in.data);
	return whole > in.length ? whole - in.length : 1;
}

static bool stream_wants(const struct protocol_engine *e, enum side side)
{
	const struct dns_stream *d = container_of(e, const struct dns_stream, base);

	if (!d->connected || d->closing)
		return false;
	return side == SIDE_AGENT
		? d->asked == ASKED_NOTHING && d->count < DNS_STREAM_QUERIES_MOST && !d->ended
		: d->answered == ANSWER_NONE;
}

static bool stream_is_busy(const struct protocol_engine *e)
{
	const struct dns_stream *d = container_of(e, const struct dns_stream, base);

	return d->count > 0 || d->answered != ANSWER_NONE;
}

/* The agent may still want the answers to what it has asked. */
static void stream_end(struct protocol_engine *e, enum side side)
{
	struct dns_stream *d = stream_of(e);

	d->ended = true;
	d->closing |= side == SIDE_SERVER || is_idle(d);
}

static bool stream_next_event(struct protocol_engine *e, struct protocol_event *ret)
{
	struct dns_stream *d = stream_of(e);

	memset(ret, 0, sizeof(*ret));
	if (d->asked == ASKED) {
		d->asked = ASKED_JUDGED;
		ret->type = EVENT_ACTION;
		ret->action = (struct protocol_action_event){
			.lane = LANE, .phase = ACTION_RUN, .action = &d->action};
	} else if (d->answered == ANSWER_CAME) {
		d->answered = ANSWER_HELD;
		ret->type = EVENT_PIN;
		ret->pin = &d->message;
	} else if (d->answered == ANSWER_GIVEN) {
		tell_result(d, ret);
	} else if (d->closing) {
		d->closing = false;
		d->connected = false;
		ret->type = EVENT_CLOSE;
		ret->note.reason = REASON_NONE;
	} else {
		return false;
	}
	return true;
}

/* Names are not what is masked. */
static int stream_mask(struct protocol_engine *e, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	(void)e;
	(void)lane;
	(void)rules;
	(void)record_rows;
	(void)ret;
	return 0;
}

static int stream_bind(struct protocol_engine *e, uint32_t lane, struct protocol_binding *ret)
{
	(void)e;
	(void)lane;
	(void)ret;
	return -ENOTSUP;
}

static bool stream_reassure(struct protocol_engine *e, uint32_t lane, struct slice text)
{
	(void)e;
	(void)lane;
	(void)text;
	return false;
}

static bool stream_judge_again(struct protocol_engine *e, uint32_t lane, bool anew)
{
	struct dns_stream *d = stream_of(e);

	(void)lane;
	(void)anew;
	if (d->asked != ASKED_JUDGED)
		return false;
	d->asked = ASKED;
	return true;
}

static void stream_abort(struct protocol_engine *e, const struct protocol_refusal *refusal)
{
	/* Nothing that a client shows would say why. */
	e->host->reset(e->host, refusal);
}

static void stream_connected(struct protocol_engine *e)
{
	stream_of(e)->connected = true;
}

enum detection dns_stream_detect(struct slice from_agent, struct slice from_server)
{
	static _Thread_local struct dns_message m; /* large */
	struct slice message;

	if (from_server.length)
		return DETECTION_NO;
	if (from_agent.length < LENGTH_SIZE)
		return DETECTION_MORE;
	if (!is_length(SIDE_AGENT, from_agent))
		return DETECTION_NO;
	message = whole_message(from_agent);
	if (message.length == 0)
		return DETECTION_MORE;
	return dns_parse(message, &m) == 0 && !m.response ? DETECTION_YES : DETECTION_NO;
}

const struct protocol protocol_dns_stream = {
	.id = PROTOCOL_UDP,
	.ends_behind = true,
	.looks_up = true,
	.open = stream_open,
	.close = stream_close,
	.input = stream_input,
	.needs = stream_needs,
	.wants = stream_wants,
	.is_busy = stream_is_busy,
	.end = stream_end,
	.next_event = stream_next_event,
	.mask = stream_mask,
	.release = stream_release,
	.refuse = stream_refuse,
	.bind = stream_bind,
	.reassure = stream_reassure,
	.judge_again = stream_judge_again,
	.abort = stream_abort,
	.connected = stream_connected,
	.pinned = stream_pinned,
};
