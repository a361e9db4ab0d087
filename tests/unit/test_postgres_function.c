/* SPDX-License-Identifier: Apache-2.0
 *
 * FunctionCall (55.7), which has a function's number and no text: what a rule lets through, and
 * what is shown of its result, a bare value of an unknown type.
 */
#include "postgres_played.h"

#define POLICY(allow)                                                                              \
	"config:\n"                                                                                \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"         \
	"rules:\n"                                                                                 \
	"- { name: reads, operations: [select], objects: [public.orders], allow: {} }\n"           \
	"- { name: calls, operations: [function_call], allow: {" allow "} }\n"

#define CALL "F\0\0\0\x0e\0\0\x06\x3e\0\0\0\0\0\0" /* 1598, without arguments, as text */
#define NULL_RESULT "V\0\0\0\x08\xff\xff\xff\xff"
#define READY "Z\0\0\0\5I"
#define MAIL "ann@example.com"

static void call(const char *policy)
{
	played_set_up(policy, NULL);
	agent(BYTES(CALL));
	cr_assert(slice_equal(buffer_slice(&run.sent[SIDE_SERVER]), BYTES(CALL)), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
}

/* A result of `length` bytes, fed in pieces of `piece`, then ReadyForQuery. */
static void answer(size_t length, size_t piece)
{
	struct buffer value, all;
	struct slice left;

	buffer_init(&value, length + 4);
	buffer_init(&all, length + 64);
	buffer_append_u32(&value, (uint32_t)length);
	while (buffer_length(&value) < length + 4)
		buffer_append_slice(
			&value, slice_head(BYTES(MAIL " "), length + 4 - buffer_length(&value)));
	add(&all, 'V', buffer_slice(&value));
	buffer_append_slice(&all, BYTES(READY));
	for (left = buffer_slice(&all); left.length; left = slice_from(left, piece)) {
		engine_run_feed(&run, SIDE_SERVER, slice_head(left, piece));
		piece = piece < left.length ? piece : left.length;
	}
	played_check();
	buffer_done(&value);
	buffer_done(&all);
}

static void expect(struct slice wanted)
{
	cr_expect(slice_equal(buffer_slice(&run.sent[SIDE_AGENT]), wanted),
		"%zu bytes for the agent", buffer_length(&run.sent[SIDE_AGENT]));
	cr_expect_not(run.closed);
	cr_expect(happened("(function)"), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
}

static const size_t pieces[] = {SIZE_MAX, 7, 65536};

Test(function, a_result_is_shown_where_nothing_is_masked, .fini = played_tear_down)
{
	call(POLICY(""));
	answer(strlen(MAIL), SIZE_MAX);
	expect(BYTES("V\0\0\0\x17\0\0\0\x0f" MAIL READY));
}

Test(function, a_long_result_is_shown_whole_where_nothing_is_masked, .fini = played_tear_down)
{
	size_t length = LIMIT_NOTICE_BYTES + 1000;

	call(POLICY(""));
	answer(length, 65536);
	cr_expect_eq(buffer_length(&run.sent[SIDE_AGENT]),
		PG_HEADER_SIZE + 4 + length + sizeof(READY) - 1);
	cr_expect_not(run.closed);
}

/* Also where the value is nothing that a detector finds: it may be written in any form. */
Test(function, a_result_is_null_where_anything_is_masked)
{
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		call(POLICY("mask: [{ detect: [credit_card], with: redact }]"));
		answer(strlen(MAIL), pieces[i]);
		expect(BYTES(NULL_RESULT READY));
		played_tear_down();
	}
}

Test(function, a_result_is_null_where_a_column_is_masked, .fini = played_tear_down)
{
	call(POLICY("mask: [{ columns: [public.orders.id], with: redact }]"));
	answer(strlen(MAIL), SIZE_MAX);
	expect(BYTES(NULL_RESULT READY));
}

/* Its error says no more than its result. */
Test(function, an_error_is_masked_too, .fini = played_tear_down)
{
	struct slice got;

	call(POLICY("mask: [{ detect: [email], with: redact }]"));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("E\0\0\0\x2e"
		      "SERROR\0VERROR\0C22023\0Mno " MAIL "\0\0" READY));
	got = buffer_slice(&run.sent[SIDE_AGENT]);
	played_check();
	cr_expect_not(run.closed, "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect(got.length && memmem(got.data, got.length, "22023", 5));
	cr_expect_null(memmem(got.data, got.length, MAIL, strlen(MAIL)));
}

/* What is not read whole is NULL as well, and nothing behind its beginning leaves. */
Test(function, a_long_result_is_skipped_where_anything_is_masked)
{
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		call(POLICY("mask: [{ detect: [email], with: redact }]"));
		answer(LIMIT_NOTICE_BYTES + 1000, pieces[i]);
		expect(BYTES(NULL_RESULT READY));
		played_tear_down();
	}
}

/* A result that nobody asked for. */
Test(function, a_result_without_a_call_ends_the_session, .fini = played_tear_down)
{
	played_set_up(POLICY(""), NULL);
	engine_run_feed(&run, SIDE_SERVER, BYTES(NULL_RESULT));
	cr_expect(happened("! violation server"));
	cr_expect(run.closed);
}
