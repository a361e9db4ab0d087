/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server may answer to the catalog's queries: rows of any values, and views stored as any
 * text. Input: a byte for the query, then values, each a length byte and its bytes; a length of 255
 * stands for NULL, 254 for all that is left. Then every column's mask is asked for.
 */
#include <stdlib.h>

#include "protocol/sql/node_text.h"
#include "tests/unit/sql_database.h"

#define VALUES_MOST 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mask_column masks[] = {
	{{(const uint8_t *)"public.customers.ssn", 20}, MASK_HASH, false},
	{{(const uint8_t *)"*.*.a", 5}, MASK_PARTIAL, true}};

static struct slice take_value(struct slice *in)
{
	size_t length = in->length ? in->data[0] : 255;
	struct slice value;

	*in = slice_from(*in, in->length ? 1 : 0);
	if (length == 255)
		return SLICE_EMPTY;
	if (length == 254 || length > in->length)
		length = in->length;
	value = slice_head(*in, length);
	*in = slice_from(*in, length);
	/* An empty value is not NULL. */
	return value.data ? value : slice_from_string("");
}

static void add_row(struct sql_catalog *c, struct slice *in)
{
	size_t query = in->data[0] % sql_catalog_query_count;
	size_t count = sql_catalog_queries[query].columns;
	struct slice values[VALUES_MOST];

	*in = slice_from(*in, 1);
	for (size_t i = 0; i < count && i < VALUES_MOST; i++)
		values[i] = take_value(in);
	sql_catalog_add_row(c, query, values, count);
}

static void ask(const struct sql_catalog *c, const struct mask_rules *rules)
{
	for (uint32_t oid = 16380; oid < 16410; oid++) {
		const struct sql_relation *r = sql_catalog_find_oid(c, oid);
		bool filter_allowed;

		for (int number = -1; r && number < 8; number++)
			sql_catalog_column_mask(c, r, number, rules, &filter_allowed);
		for (size_t i = 0; r && i < sql_relation_column_count(r); i++)
			sql_relation_column_type(c, r, i);
	}
	for (uint32_t oid = 0; oid < 32; oid++)
		sql_catalog_type(c, oid, -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mask_rules rules = {
		.columns = masks, .column_count = 2, .serial = mask_rules_serial()};
	struct sql_catalog *c = sql_catalog_new(1 << 20);
	struct slice in = slice_of(data, size);
	struct node_query q;

	for (size_t i = 0; i < ARRAY_SIZE(sql_test_rows) && size && data[size - 1] % 2; i++) {
		size_t query = (size_t)sql_test_rows[i].query;
		struct slice values[5];

		for (size_t j = 0; j < 5; j++)
			values[j] = slice_from_string(sql_test_rows[i].values[j]);
		sql_catalog_add_row(c, query, values, sql_catalog_queries[query].columns);
	}
	while (in.length)
		add_row(c, &in);
	sql_catalog_finish(c);
	ask(c, &rules);
	sql_catalog_put(c);
	if (node_query_read(slice_of(data, size), &q) == 0)
		node_query_done(&q);
	return 0;
}
