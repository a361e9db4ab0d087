/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine in the query phase between an agent and a server that are both played by the test, so
 * that the server can also say what none would. Its database has public.orders (id).
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/postgres/wire.h"
#include "protocol/sql/catalog.h"
#include "tests/harness/engine_guard.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static struct engine_bench bench;
static struct engine_run run;
static struct engine_guard guard;

static inline struct sql_catalog *played_orders(void)
{
	static const char *const rows[][5] = {
		{"16393", "public", "orders", "r", "1"}, {"16393", "1", "id", "23", "-1"}};
	struct sql_catalog *c = sql_catalog_new(LIMIT_CATALOG_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice values[5];

		for (size_t j = 0; j < 5; j++)
			values[j] = slice_from_string(rows[i][j]);
		cr_assert_eq(sql_catalog_add_row(c, i, values, sql_catalog_queries[i].columns), 0);
	}
	cr_assert_eq(sql_catalog_finish(c), 0);
	return c;
}

/* In a test itself: what fails while it is torn down fails no test. */
static inline void played_check(void)
{
	cr_assert_null(guard.broken, "%s", guard.broken);
}

static inline void agent(struct slice bytes)
{
	engine_run_feed(&run, SIDE_AGENT, bytes);
	played_check();
}

static inline void query(const char *text)
{
	struct buffer b;
	size_t mark;

	buffer_init(&b, 4096);
	pg_begin(&b, 'Q', &mark);
	pg_put_string(&b, slice_from_string(text));
	pg_end(&b, mark);
	agent(buffer_slice(&b));
	buffer_done(&b);
}

static inline void add(struct buffer *b, uint8_t type, struct slice body)
{
	cr_assert_eq(pg_put_message(b, type, body), 0);
}

static inline void add_row(struct buffer *b, const char *const *values, size_t count)
{
	size_t mark;

	pg_begin(b, 'D', &mark);
	buffer_append_u16(b, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		buffer_append_u32(b, (uint32_t)strlen(values[i]));
		buffer_append_string(b, values[i]);
	}
	pg_end(b, mark);
}

static inline bool sent(const char *text)
{
	struct slice s = buffer_slice(&run.sent[SIDE_SERVER]);

	played_check();
	return s.length && memmem(s.data, s.length, text, strlen(text));
}

static inline bool happened(const char *text)
{
	struct slice s = buffer_slice(&run.events);

	played_check();
	return s.length && memmem(s.data, s.length, text, strlen(text));
}

/* What the server says of the session: path, settings and, unless it is NULL, its role. */
static inline void answer_session(const char *role, char status)
{
	const char *const rows[][2] = {
		{"p", "pg_catalog"}, {"p", "public"}, {"s", "on"}, {"e", "UTF8"}, {"u", role}};
	struct buffer b;

	buffer_init(&b, 65536);
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	for (size_t i = 0; i < ARRAY_SIZE(rows) && rows[i][1]; i++)
		add_row(&b, rows[i], 2);
	add(&b, 'C', BYTES("SELECT 5\0"));
	add(&b, '3', SLICE_EMPTY);
	add(&b, '3', SLICE_EMPTY);
	if (status)
		add(&b, 'Z', slice_of(&status, 1));
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

/* Logged in; the bench is as the test set it up before, if at all, but for the policy. */
static inline void played_log_in(const char *role)
{
	bench.names = played_orders();
	engine_guard_init(&guard);
	engine_run_init(&run, &bench, &guard.watch);
	engine_run_connected(&run);
	agent(BYTES("\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0"));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("R\0\0\0\x08\0\0\0\0"
		      "S\0\0\0\x19"
		      "client_encoding\0UTF8\0"
		      "K\0\0\0\x0c\0\0\0\x01\0\0\0\x02Z\0\0\0\x05I"));
	answer_session(role, 'I');
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.sent[SIDE_AGENT]);
}

static inline void played_set_up(const char *policy, const char *role)
{
	engine_bench_init(&bench, policy);
	played_log_in(role);
}

static inline void played_tear_down(void)
{
	engine_run_done(&run);
	engine_guard_done(&guard);
	sql_catalog_put(bench.names);
	bench.names = NULL;
	engine_bench_done(&bench);
}
