/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts made to nest as deep as they can: whatever the limits let through must fit the stack that
 * they promise to suffice, in libpg_query and in the code here; and what a server takes is not
 * refused.
 */
#include <pthread.h>

#include "base/clock.h"
#include "base/limits.h"
#include "protocol/sql/measure.h"
#include "sql_test.h"

/* before^n core after^n */
static const struct nest {
	const char *before, *core, *after;
} nests[] = {
	{"select 1", "", "+1"},
	{"select 'a'", "", "||'a'"},
	{"select 1", "", " and 1"},
	{"select 1", "", " or 1=1"},
	{"select 1", "", "::int"},
	{"select a", "", "[1]"},
	{"select (a)", "", ".b"},
	{"select a", "", " collate x"},
	{"select a", "", " at time zone 'x'"},
	{"select a", "", " is null"},
	{"select a", "", " isnull"},
	{"select a", "", " union select 1"},
	{"select a", "", " union all select 1"},
	{"select a", "", " except select ssn from customers"},
	{"select * from t", "", " join u on true"},
	{"select * from t", "", " natural join u"},
	{"select * from t", "", ",t"},
	{"select * from t", "", " cross join u"},
	{"values (1)", "", ",(1)"},
	{"select 1", "", ";select 1"},
	{"(", "select 1", ")"},
	{"select (", "1", ")"},
	{"select f(", "1", ")"},
	{"select array[", "1", "]"},
	{"select - ", "1", ""},
	{"select not ", "true", ""},
	{"select (select ", "1", ")"},
	{"select case when true then ", "1", " end"},
	{"select * from (", "select 1", ") x"},
	{"with a as (", "select 1", ") select 1"},
	{"select exists (", "select 1", ")"},
	{"select 1 in (", "1", ")"},
	{"select coalesce(", "1", ")"},
	{"select row(", "1", ")"},
	{"select cast(", "1", " as int)"},
	{"select a[", "1", "]"},
	{"select 1 where exists (select 1 from t where ", "true", ")"},
	{"create schema a ", "create table b (c int)", ""},
	{"explain ", "select 1", ""},
	{"prepare a as ", "select 1", ""},
	{"select xmlelement(name a, ", "1", ")"},
	{"select 1 = any (array[", "1", "])"},
	{"select greatest(", "1", ")"},
	{"update t set (a) = ((", "1", "))"},
	{"/*", "", "*/"},
	{"select $$", "", "$$"},
	{"select 1 ", "", "\n--\n"},
	{"select 1", "", " <> 1"},
	{"select 1", "", " like 1"},
	{"select 1", "", " between 1 and 1"},
	{"select 1", "", "operator(pg_catalog.+)1"},
};

/* Of "select (" repeats the last word alone, what stands in front of it once. */
static size_t repeated_part(const char *text)
{
	static const char *const once[] = {"select ", "select * from ", "select 1 where ",
		"with a as ", "update t set (a) = ", "create schema a ", "explain ",
		"prepare a as "};
	size_t longest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(once); i++) {
		size_t length = strlen(once[i]);

		if (strncmp(text, once[i], length) == 0 && length < strlen(text) &&
			length > longest)
			longest = length;
	}
	return longest;
}

static char *make(const struct nest *nest, size_t times)
{
	size_t once = repeated_part(nest->before), each = strlen(nest->before) - once;
	size_t after = strlen(nest->after), core = strlen(nest->core);
	bool left = core == 0;
	size_t room = once + each + (each + after) * times + core + 1;
	char *text = memory_new(room), *at = text;

	memcpy(at, nest->before, once);
	at += once;
	for (size_t i = 0; i < (left ? 1 : times); i++, at += each)
		memcpy(at, nest->before + once, each);
	memcpy(at, nest->core, core);
	at += core;
	for (size_t i = 0; i < times; i++, at += after)
		memcpy(at, nest->after, after);
	return text;
}

struct job {
	const char *text;
	enum sql_status status;
	uint64_t took; /* nanoseconds of processor time, of finding out what the tree means */
};

static void *follow(void *argument)
{
	static struct mask_column masks[] = {
		{{(const uint8_t *)"public.customers.ssn", 20}, MASK_REDACT, false}};
	static const struct mask_rules rules = {.columns = masks, .column_count = 1, .serial = 5};
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);
	struct job *job = argument;
	struct sql_text *t = sql_text_parse(sql_test_slice(job->text));
	struct sql_resolution resolution;
	struct sql_lineage lineage;
	struct arena arena;
	uint64_t began;

	arena_init(&arena, SQL_TEST_ARENA);
	job->status = sql_text_status(t);
	began = clock_read(CLOCK_THREAD_CPUTIME_ID);
	sql_resolve(t, &view, &arena, &resolution);
	sql_trace(t, &view, &rules, &arena, &lineage);
	job->took = clock_read(CLOCK_THREAD_CPUTIME_ID) - began;
	arena_done(&arena);
	sql_text_put(t);
	sql_catalog_put(c);
	return NULL;
}

/* Nanoseconds: some ten times what the worst of these texts takes on a busy machine. */
#define LONGEST UINT64_C(2000000000)

/* On a thread with the stack that is promised to suffice, and a guard page behind it. */
static enum sql_status run(const char *text)
{
	struct job job = {.text = text};
	pthread_attr_t attributes;
	pthread_t thread;

	cr_assert_eq(pthread_attr_init(&attributes), 0);
	cr_assert_eq(pthread_attr_setstacksize(&attributes, LIMIT_PARSER_STACK), 0);
	cr_assert_eq(pthread_create(&thread, &attributes, follow, &job), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
#ifndef __SANITIZE_ADDRESS__
	cr_expect_lt(job.took, LONGEST, "%.60s… took %lu ms", text, job.took / 1000000);
#endif
	return job.status;
}

static enum sql_status run_nest(const struct nest *nest, size_t times)
{
	char *text = make(nest, times);
	enum sql_status status = run(text);

	free(text);
	return status;
}

/* The most that the limit on tokens lets through to libpg_query. */
static size_t most_tokens(const struct nest *nest)
{
	char *one = make(nest, 1), *two = make(nest, 2);
	size_t least = measure_tokens(sql_test_slice(one));
	size_t each = measure_tokens(sql_test_slice(two)) - least;

	free(one);
	free(two);
	return each ? (LIMIT_STATEMENT_TOKENS - least) / each : 1;
}

/* How near to the limit on the depth: the more so the faster it is looked for. */
#ifdef __SANITIZE_ADDRESS__
#define NEAR 5000
#else
#define NEAR 800
#endif

/* As many as the bytes allow, and as the tokens; then, by halving, about the most that the limit on
 * the depth of the tree lets through to the code here. */
Test(sql_limits, nothing_overflows_the_stack, .timeout = 300)
{
	for (size_t i = 0; i < ARRAY_SIZE(nests); i++) {
		const struct nest *nest = &nests[i];
		size_t bytes =
			strlen(nest->before) - repeated_part(nest->before) + strlen(nest->after);
		size_t tokens = most_tokens(nest), least = 1000, most = 20000;

		run_nest(nest, LIMIT_STATEMENT_BYTES / bytes);
		run_nest(nest,
			tokens < LIMIT_STATEMENT_BYTES / bytes
				? tokens
				: LIMIT_STATEMENT_BYTES / bytes - strlen(nest->before));
		while (most - least > NEAR) {
			size_t middle = (least + most) / 2;

			if (run_nest(nest, middle) == SQL_PARSED)
				least = middle;
			else
				most = middle;
		}
	}
}

/* A default server gives up at about 5000 operators, its stack being 2 MB. */
Test(sql_limits, what_a_server_takes_is_not_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(nests); i++)
		cr_expect_neq(run_nest(&nests[i], 1500), SQL_TOO_DEEP, "%s %s %s", nests[i].before,
			nests[i].core, nests[i].after);
	cr_expect_eq(run_nest(&nests[0], 5500), SQL_PARSED);
}
