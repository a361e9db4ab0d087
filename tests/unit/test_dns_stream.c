/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "protocol/dns.h"
#include "protocol/dns_stream.h"

#define ID 0x1234

static struct buffer sent[2]; /* by the side that it is for */
static bool was_reset;
static struct protocol_host host;
static struct protocol_engine *engine;

static int host_write(struct protocol_host *h, enum side to, struct slice bytes)
{
	(void)h;
	return buffer_append_slice(&sent[to], bytes);
}

static void host_reset(struct protocol_host *h, const struct protocol_refusal *refusal)
{
	(void)h;
	(void)refusal;
	was_reset = true;
}

static void begin(void)
{
	buffer_init(&sent[SIDE_AGENT], 1 << 20);
	buffer_init(&sent[SIDE_SERVER], 1 << 20);
	was_reset = false;
	host = (struct protocol_host){.write = host_write, .reset = host_reset};
	engine = protocol_dns_stream.open(&host);
	cr_assert(!protocol_dns_stream.wants(engine, SIDE_AGENT));
	protocol_dns_stream.connected(engine);
}

static void finish(void)
{
	protocol_dns_stream.close(engine);
	buffer_done(&sent[SIDE_AGENT]);
	buffer_done(&sent[SIDE_SERVER]);
}

TestSuite(dns_stream, .init = begin, .fini = finish);

/* A query for the addresses of LABEL.example; `answers` of 192.0.2.1 and so on make it a response.
 */
static size_t put(uint8_t *to, uint16_t id, const char *label, unsigned answers, uint8_t code)
{
	uint8_t *p = to + 2;

	memset(p, 0, 12);
	bytes_put_u16(p, id);
	p[2] = 1;
	if (answers || code)
		p[2] |= 0x80;
	p[3] = code;
	bytes_put_u16(p + 4, 1);
	bytes_put_u16(p + 6, (uint16_t)answers);
	p += 12;
	*p++ = (uint8_t)strlen(label);
	memcpy(p, label, strlen(label));
	p += strlen(label);
	memcpy(p, "\7example\0\0\1\0\1", 13);
	p += 13;
	for (unsigned i = 0; i < answers; i++) {
		memcpy(p, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", 16);
		p += 16;
	}
	bytes_put_u16(to, (uint16_t)(p - to - 2));
	return (size_t)(p - to);
}

static int feed(enum side side, const uint8_t *bytes, size_t length, size_t *ret_taken)
{
	return protocol_dns_stream.input(engine, side, slice_of(bytes, length), ret_taken);
}

static void take(enum side side, const uint8_t *bytes, size_t length)
{
	size_t taken = 0;

	cr_assert(protocol_dns_stream.wants(engine, side));
	cr_assert_eq(feed(side, bytes, length, &taken), 0);
	cr_assert_eq(taken, length);
}

static struct protocol_event next(enum protocol_event_type type)
{
	struct protocol_event event;

	cr_assert(protocol_dns_stream.next_event(engine, &event));
	cr_assert_eq(event.type, type);
	return event;
}

static void no_event(void)
{
	struct protocol_event event;

	cr_assert(!protocol_dns_stream.next_event(engine, &event));
}

static void ask(uint16_t id, const char *label, uint64_t number)
{
	uint8_t frame[300];

	take(SIDE_AGENT, frame, put(frame, id, label, 0, 0));
	next(EVENT_ACTION);
	cr_assert_eq(protocol_dns_stream.release(engine, 0, number), 0);
}

static bool was_sent(enum side side, const uint8_t *bytes, size_t length)
{
	struct slice s = buffer_slice(&sent[side]);
	bool same = s.length == length && memcmp(s.data, bytes, length) == 0;

	buffer_clear(&sent[side]);
	return same;
}

Test(dns_stream, a_query_is_an_action_and_leaves_as_it_is)
{
	struct protocol_event event;
	uint8_t frame[300];
	size_t length = put(frame, ID, "DB", 0, 0);

	take(SIDE_AGENT, frame, length);
	cr_expect(!protocol_dns_stream.wants(engine, SIDE_AGENT), "one after the other");
	event = next(EVENT_ACTION);
	cr_expect_eq(event.action.action->pair_count, 1);
	cr_expect_eq(event.action.action->pairs[0].operation, OPERATION_RESOLVE);
	cr_expect(slice_equal_string(event.action.action->pairs[0].object, "db.example"));
	cr_expect(slice_equal_string(event.action.action->text, "db.example A"));
	cr_expect_eq(buffer_length(&sent[SIDE_SERVER]), 0);
	cr_expect(protocol_dns_stream.judge_again(engine, 0, false));
	next(EVENT_ACTION);
	cr_assert_eq(protocol_dns_stream.release(engine, 0, 7), 0);
	cr_expect(was_sent(SIDE_SERVER, frame, length));
	cr_expect(!protocol_dns_stream.judge_again(engine, 0, false));
	cr_expect(protocol_dns_stream.wants(engine, SIDE_AGENT));
	cr_expect(protocol_dns_stream.is_busy(engine));
}

Test(dns_stream, an_answer_is_given_once_it_holds)
{
	struct protocol_event event;
	uint8_t frame[300];
	size_t length;

	ask(ID, "db", 7);
	length = put(frame, ID, "db", 2, 0);
	take(SIDE_SERVER, frame, length);
	event = next(EVENT_PIN);
	cr_expect_eq(event.pin->address_count, 2);
	cr_expect_str_eq(event.pin->name, "db.example");
	no_event();
	cr_expect(!protocol_dns_stream.wants(engine, SIDE_SERVER), "nothing overtakes it");
	cr_expect_eq(buffer_length(&sent[SIDE_AGENT]), 0);
	protocol_dns_stream.pinned(engine);
	event = next(EVENT_RESULT);
	cr_expect_eq(event.result.action, 7);
	cr_expect_eq(event.result.rows, 2);
	cr_expect(slice_equal_string(event.result.tag, "192.0.2.1 192.0.2.1"));
	cr_expect(was_sent(SIDE_AGENT, frame, length));
	cr_expect(!protocol_dns_stream.is_busy(engine));
}

Test(dns_stream, several_at_a_time_in_any_order)
{
	uint8_t frame[300];

	for (unsigned i = 0; i < DNS_STREAM_QUERIES_MOST; i++)
		ask((uint16_t)i, "db", 100 + i);
	cr_expect(!protocol_dns_stream.wants(engine, SIDE_AGENT), "no more wait");
	for (unsigned i = DNS_STREAM_QUERIES_MOST; i-- > 0;) {
		struct protocol_event event;

		take(SIDE_SERVER, frame,
			put(frame, (uint16_t)i, "db", i == 3 ? 0 : 1, i == 3 ? 3 : 0));
		next(EVENT_PIN);
		protocol_dns_stream.pinned(engine);
		event = next(EVENT_RESULT);
		cr_assert_eq(event.result.action, 100 + i);
		cr_assert(slice_equal_string(event.result.error_code, i == 3 ? "RCODE 3" : ""));
	}
	cr_expect(!protocol_dns_stream.is_busy(engine));
}

Test(dns_stream, a_refusal_is_an_answer)
{
	const struct protocol_refusal refusal = {.reason = REASON_NOT_COVERED};
	uint8_t frame[300], expected[300];
	struct dns_message m;
	struct slice answer;
	size_t length = put(frame, ID, "db", 0, 0);

	memcpy(expected, frame, length);
	expected[4] = 0x81;
	expected[5] = 5;
	take(SIDE_AGENT, frame, length);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_dns_stream.refuse(engine, 0, 7, &refusal), 0);
	answer = slice_from(buffer_slice(&sent[SIDE_AGENT]), 2);
	cr_assert_eq(dns_parse(answer, &m), 0);
	cr_expect(m.response && m.code == 5 && m.id == ID && strcmp(m.name, "db.example") == 0);
	cr_expect(was_sent(SIDE_AGENT, expected, length));
	cr_expect_eq(buffer_length(&sent[SIDE_SERVER]), 0);
	no_event();
	cr_expect(protocol_dns_stream.wants(engine, SIDE_AGENT));
	/* What else stood in the query, as EDNS, is not said back. */
	length = put(frame, ID, "db", 0, 0);
	memcpy(frame + length, "\0\0\x29\x10\0\0\0\0\0\0\0", 11);
	bytes_put_u16(frame, (uint16_t)(length + 11 - 2));
	frame[13] = 1;
	take(SIDE_AGENT, frame, length + 11);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_dns_stream.refuse(engine, 0, 8, &refusal), 0);
	cr_expect(was_sent(SIDE_AGENT, expected, length));
}

Test(dns_stream, a_flood_ends_it)
{
	const struct protocol_refusal refusal = {.reason = REASON_LIMIT};
	uint8_t frame[300];

	take(SIDE_AGENT, frame, put(frame, ID, "db", 0, 0));
	next(EVENT_ACTION);
	cr_assert_eq(protocol_dns_stream.refuse(engine, 0, 7, &refusal), 0);
	cr_expect(buffer_length(&sent[SIDE_AGENT]) > 0);
	next(EVENT_CLOSE);
	cr_expect(!protocol_dns_stream.wants(engine, SIDE_AGENT));
}

/* Cut anywhere, nothing is taken of it; and what is needed is said. */
Test(dns_stream, frames_in_pieces)
{
	uint8_t frame[300];
	size_t length = put(frame, ID, "db", 0, 0);

	for (size_t i = 0; i < length; i++) {
		size_t taken = 1;

		cr_assert_eq(feed(SIDE_AGENT, frame, i, &taken), 0);
		cr_assert_eq(taken, 0);
		cr_assert_eq(protocol_dns_stream.needs(engine, SIDE_AGENT, slice_of(frame, i)),
			i < 2 ? 2 - i : length - i);
	}
	no_event();
	take(SIDE_AGENT, frame, length);
}

Test(dns_stream, what_is_no_query)
{
	uint8_t frame[DNS_STREAM_QUERY_MOST + 300] = {0};
	size_t taken = 0, length = put(frame, ID, "db", 1, 0);

	cr_expect_eq(feed(SIDE_AGENT, frame, length, &taken), -EBADMSG, "an answer");
	length = put(frame, ID, "db", 0, 0);
	frame[length - 1] = 0xff;
	bytes_put_u16(frame, (uint16_t)(length - 3));
	cr_expect_eq(feed(SIDE_AGENT, frame, length, &taken), -EBADMSG, "it is cut short");
	cr_expect_eq(feed(SIDE_AGENT, (const uint8_t *)"\0\0", 2, &taken), -EBADMSG);
	cr_expect_eq(feed(SIDE_AGENT, (const uint8_t *)"\0\13", 2, &taken), -EBADMSG);
	cr_expect_eq(feed(SIDE_AGENT, (const uint8_t *)"\x10\1", 2, &taken), -EBADMSG);
	cr_expect_eq(feed(SIDE_AGENT, (const uint8_t *)"GET / HTTP/1.1", 14, &taken), -EBADMSG);
	cr_expect_eq(taken, 0);
	no_event();
}

Test(dns_stream, what_is_no_answer)
{
	uint8_t frame[300];
	size_t taken = 0;

	cr_expect_eq(feed(SIDE_SERVER, frame, put(frame, ID, "db", 1, 0), &taken), -EBADMSG,
		"nobody asked");
	ask(ID, "db", 7);
	cr_expect_eq(feed(SIDE_SERVER, frame, put(frame, ID, "other", 1, 0), &taken), -EBADMSG);
	cr_expect_eq(feed(SIDE_SERVER, frame, put(frame, ID + 1, "db", 1, 0), &taken), -EBADMSG);
	cr_expect_eq(
		feed(SIDE_SERVER, frame, put(frame, ID, "db", 0, 0), &taken), -EBADMSG, "a query");
	take(SIDE_SERVER, frame, put(frame, ID, "db", 1, 0));
	next(EVENT_PIN);
	protocol_dns_stream.pinned(engine);
	next(EVENT_RESULT);
	cr_expect_eq(feed(SIDE_SERVER, frame, put(frame, ID, "db", 1, 0), &taken), -EBADMSG,
		"once more");
}

Test(dns_stream, ends)
{
	uint8_t frame[300];

	/* The agent asks no more, and still wants its answer. */
	ask(ID, "db", 7);
	protocol_dns_stream.end(engine, SIDE_AGENT);
	no_event();
	cr_expect(!protocol_dns_stream.wants(engine, SIDE_AGENT));
	take(SIDE_SERVER, frame, put(frame, ID, "db", 1, 0));
	next(EVENT_PIN);
	protocol_dns_stream.pinned(engine);
	next(EVENT_RESULT);
	next(EVENT_CLOSE);
	finish();
	begin();
	protocol_dns_stream.end(engine, SIDE_AGENT);
	next(EVENT_CLOSE);
	finish();
	begin();
	ask(ID, "db", 7);
	protocol_dns_stream.end(engine, SIDE_SERVER);
	next(EVENT_CLOSE);
	protocol_dns_stream.abort(engine, &(struct protocol_refusal){.reason = REASON_KILLED});
	cr_expect(was_reset);
}

static enum detection detect(const uint8_t *bytes, size_t length, const char *from_server)
{
	return dns_stream_detect(slice_of(bytes, length), slice_from_string(from_server));
}

Test(dns_stream, first_bytes)
{
	uint8_t frame[300];
	size_t length = put(frame, ID, "db", 0, 0);

	for (size_t i = 0; i < length; i++)
		cr_assert_eq(detect(frame, i, ""), DETECTION_MORE);
	cr_expect_eq(detect(frame, length, ""), DETECTION_YES);
	cr_expect_eq(detect(frame, length, "SSH-2.0"), DETECTION_NO);
	cr_expect_eq(detect((const uint8_t *)"GET /", 5, ""), DETECTION_NO);
	cr_expect_eq(detect(frame, put(frame, ID, "db", 1, 0), ""), DETECTION_NO);
}
