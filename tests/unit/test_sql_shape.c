/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts of one shape mean the same: each text here, and random texts of their pieces, with other
 * numbers.
 */
#include "sql_test.h"

#include "sql_shape.h"

static const char *const texts[] = {
	"select * from t where id = 5",
	"select * from t where id = 5 order by a limit 10 offset 20",
	"select * from t order by 1",
	"select ssn, id from customers order by 2",
	"select ssn, id from customers order by 1, 2 desc",
	"select id, ssn from customers group by 1, 2",
	"select id, ssn from customers group by grouping sets ((1), (2))",
	"select distinct on (2) ssn, id from customers",
	"select distinct on (1) ssn, id from customers order by 1",
	"select ssn, id from customers group by (1, 2), rollup ((2, 1))",
	"(select id, ssn from customers) union all (select 1, 'x') order by 2",
	"select * from (select ssn, id from customers order by 1) s limit 2",
	"select row_number() over (order by 2), ssn from customers",
	"select array_agg(ssn order by 1) from customers",
	"values (1, 2), (3, 4) order by 2",
	"select (array[1, 2])[2], t.a[1:2] from t",
	"select nth_value(ssn, 1) over (order by id) from customers",
	"select 'x 5'::mood, '5', E'5\\n', $$ 5 $$, $a$ 5 $a$ from t",
	"select 5.0, 5e1, .5, 5., 1.5, t.a, a1, $1, x'1', b'1', 0x10 from t",
	"select 5::mood, 5::int, 5::float(24), cast(5 as float(25)), 5::numeric(5, 2), "
	"5::varchar(5)",
	"select 5::float( 53 ), 5::float/* 1 */(1)",
	"select set_config('a 1', 'b 2', false), nextval('seq 1'), pg_notify('c 1', '2')",
	"select lo_get(5), f(5), max(5)",
	"select interval '5 days', interval '5' day, interval(3) '1', time(3) '1', timestamp(5) "
	"'1'",
	"select \"a 1\", \"t 2\".x from \"t 2\"",
	"select * from \"t 1\" where id = 5",
	"select 1 as \"5 x\", 2 as \"6 x\" order by \"5 x\"",
	"update t set a = 5 where id = 6",
	"update t set a = 5",
	"update t set a[1] = 5 where 1 = 1",
	"delete from t where 1 = 1",
	"insert into t values (1, 2, 3) on conflict (id) do update set a = 5",
	"insert into customers (id, ssn) values (1, '2 3') returning 1, ssn",
	"merge into t using u on t.id = 1 when matched and u.a = 2 then update set b = 3",
	"with x(a) as (select 1) select a from x where a = 2",
	"execute p(1, 2)",
	"prepare p(int) as select 1",
	"fetch 5 from c",
	"declare c cursor for select 1",
	"set work_mem = 5",
	"set x.y = 5; select 5",
	"copy t to stdout with (delimiter ' 1 ')",
	"select 1; select 2; delete from t where id = 3",
	"select/*5*/5--5\n,5",
	"select * from t tablesample system (5) repeatable (6)",
	"select * from generate_series(1, 5) as g(a)",
	"select xmlelement(name a, 5), xmlserialize(content '5' as text)",
	"select 1 where exists (select 5 from t limit 5)",
	"select ssn from customers where salary > 5",
	"select 1 from customers where 5 < salary order by salary",
	"explain (analyze 1) select 5",
	"begin; savepoint a; rollback",
	"select e'\\5', '\\5', 5",
	"select U&'\\0035', 5",
	"select 5 between 1 and 9, 5 in (1, 2), 5 = any (array[5]), -5, + 5, 5 - 5",
};

static void expect_promise(struct slice text, const struct sql_view *view, uint64_t random)
{
	char *other = shape_break(text, view, random);

	cr_expect_null(other, "not the same:\n  %.*s\n  %s", SLICE_PRINT(text), other);
	free(other);
}

Test(sql_shape, other_numbers_mean_the_same)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		for (uint64_t random = 0; random < 40; random++)
			expect_promise(sql_test_slice(texts[i]), &view, random);
	}
	sql_catalog_put(c);
}

/* A text whose pieces come from several of the above. */
static struct slice mix(uint64_t *random, char *ret, size_t room)
{
	size_t length = 0, pieces;

	*random = *random * 6364136223846793005u + 1442695040888963407u;
	pieces = 1 + (*random >> 33) % 4;
	for (size_t i = 0; i < pieces; i++) {
		const char *text;
		size_t from, count;

		*random = *random * 6364136223846793005u + 1442695040888963407u;
		text = texts[(*random >> 33) % ARRAY_SIZE(texts)];
		from = i ? (*random >> 17) % strlen(text) : 0;
		count = (*random >> 45) % (strlen(text) - from) + 1;
		if (i + 1 == pieces)
			count = strlen(text) - from;
		if (length + count > room)
			break;
		memcpy(ret + length, text + from, count);
		length += count;
	}
	return slice_of((const uint8_t *)ret, length);
}

Test(sql_shape, mixed_texts_too)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);
	uint64_t random = 20261122;
	char text[1024];

	for (unsigned i = 0; i < 30000; i++)
		expect_promise(mix(&random, text, sizeof(text)), &view, random);
	sql_catalog_put(c);
}

static void expect_shape(const char *text, const char *expected)
{
	uint8_t shape[256];
	size_t length = 0;
	bool any = sql_cache_shape(sql_test_slice(text), shape, &length);

	if (expected)
		cr_expect(any && slice_equal_string(slice_of(shape, length), expected), "%s: %.*s",
			text, (int)length, shape);
	else
		cr_expect(!any, "%s", text);
}

Test(sql_shape, shapes)
{
	expect_shape("id = 12 and x=345", "id = 0 and x=0");
	expect_shape("1.5 a1 1a $1 1_0 0x10 1e5", "1.5 a1 1a $1 1_0 0x10 1e5");
	expect_shape("999999999 1000000000", "0 1000000000");
	expect_shape("'\\12' '12'", "'\\12' '0'");
	expect_shape("\xc3\xa4"
		     "5 5\xc3\xa4",
		"\xc3\xa4"
		"5 5\xc3\xa4");
	expect_shape("U&'12'", NULL);
	expect_shape("u&\"12\"", NULL);
}

/* What depends on its numbers is found by its bytes alone. */
Test(sql_shape, the_cache_tells_them_apart)
{
	struct sql_cache *cache = sql_cache_new(1 << 20);
	struct slice first = sql_test_slice("select ssn, id from customers order by 2");
	struct slice second = sql_test_slice("select ssn, id from customers order by 1");
	struct sql_text *t = sql_text_parse(first);

	sql_cache_add(cache, first, t);
	cr_expect_null(sql_cache_find(cache, second));
	sql_text_put(t);
	t = sql_text_parse(sql_test_slice("select ssn, id from customers where id = 2"));
	sql_cache_add(cache, sql_test_slice("select ssn, id from customers where id = 2"), t);
	sql_text_put(t);
	t = sql_cache_find(cache, sql_test_slice("select ssn, id from customers where id = 777"));
	cr_expect_not_null(t);
	sql_text_put(t);
	sql_cache_free(cache);
}
