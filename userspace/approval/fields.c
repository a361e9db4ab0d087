/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/fields.h"

#include <stdlib.h>

#include "base/bytes.h"

enum pair_flag {
	PAIR_EVERYTHING = 1 << 0,
	PAIR_HAS_OBJECT = 1 << 1,
	PAIR_UNKNOWN_OBJECT = 1 << 2,
	PAIR_FLAGS_ALL = (1 << 3) - 1,
};

/* Or-ed to the number of rules where the person stands behind it: what was written before there was
 * one reads as it did. */
#define SCOPE_ON_BEHALF (1ULL << 32)
#define SCOPE_AS (1ULL << 33) /* likewise, and then the role */

enum value_flag { FLAG_NULL = 1 << 0, FLAG_BINARY = 1 << 1, FLAGS_ALL = (1 << 2) - 1 };

int fields_put_number(struct buffer *b, uint64_t value)
{
	return buffer_append_u64(b, value);
}

int fields_put_text(struct buffer *b, struct slice text)
{
	int r = buffer_append_u32(b, (uint32_t)text.length);

	return r < 0 ? r : buffer_append_slice(b, text);
}

static int put_operation(struct buffer *b, enum operation operation)
{
	char *key = operation_key(operation);
	int r = fields_put_text(b, slice_from_string(key));

	free(key);
	return r;
}

/* Operations go by name: numbers differ between versions, and the store outlives them. */
static int put_pair(struct buffer *b, const struct action_pair *pair)
{
	unsigned flags = (pair->everything ? PAIR_EVERYTHING : 0) |
		(pair->state != OBJECT_NONE ? PAIR_HAS_OBJECT : 0) |
		(pair->state == OBJECT_UNKNOWN ? PAIR_UNKNOWN_OBJECT : 0);
	int r = put_operation(b, pair->operation);

	if (r == 0)
		r = fields_put_number(b, flags);
	return r < 0 ? r
		     : fields_put_text(b, pair->state == OBJECT_NONE ? SLICE_EMPTY : pair->object);
}

int fields_put_work(struct buffer *b, const struct scope_of_action *scope)
{
	int r = fields_put_text(b, scope->agent);

	if (r == 0)
		r = fields_put_text(b, scope->principal);
	if (r == 0)
		r = fields_put_text(b, scope->resource);
	if (r == 0)
		r = fields_put_number(b,
			scope->rule_count | (scope->on_behalf_of.length ? SCOPE_ON_BEHALF : 0) |
				(scope->as.length ? SCOPE_AS : 0));
	if (r == 0 && scope->on_behalf_of.length)
		r = fields_put_text(b, scope->on_behalf_of);
	if (r == 0 && scope->as.length)
		r = fields_put_text(b, scope->as);
	for (size_t i = 0; r == 0 && i < scope->rule_count; i++)
		r = fields_put_text(b, scope->rules[i]);
	if (r == 0)
		r = fields_put_number(b, scope->pair_count);
	for (size_t i = 0; r == 0 && i < scope->pair_count; i++)
		r = put_pair(b, &scope->pairs[i]);
	return r;
}

int fields_put_scope(struct buffer *b, const struct scope_of_action *scope)
{
	int r = fields_put_work(b, scope);

	if (r == 0)
		r = fields_put_text(b, scope->database);
	return r < 0 ? r : fields_put_text(b, scope->user);
}

static void fail(struct field_reader *r)
{
	r->bad = true;
	r->rest = SLICE_EMPTY;
}

uint64_t fields_get_number(struct field_reader *r)
{
	uint64_t value;

	if (r->rest.length < sizeof(value)) {
		fail(r);
		return 0;
	}
	value = bytes_get_u64(r->rest.data);
	r->rest = slice_from(r->rest, sizeof(value));
	return value;
}

struct slice fields_get_text(struct field_reader *r)
{
	struct slice text;
	uint32_t length;

	if (r->rest.length < sizeof(length)) {
		fail(r);
		return SLICE_EMPTY;
	}
	length = bytes_get_u32(r->rest.data);
	r->rest = slice_from(r->rest, sizeof(length));
	if (r->rest.length < length) {
		fail(r);
		return SLICE_EMPTY;
	}
	text = slice_head(r->rest, length);
	r->rest = slice_from(r->rest, length);
	return text;
}

static void get_pair(struct field_reader *r, struct action_pair *ret)
{
	struct slice name = fields_get_text(r);
	uint64_t flags = fields_get_number(r);

	*ret = (struct action_pair){
		.operation = operation_from_key(name),
		.everything = flags & PAIR_EVERYTHING,
		.state = !(flags & PAIR_HAS_OBJECT)   ? OBJECT_NONE
			: flags & PAIR_UNKNOWN_OBJECT ? OBJECT_UNKNOWN
						      : OBJECT_KNOWN,
		.object = fields_get_text(r),
	};
	if (ret->operation == OPERATION_COUNT || flags > PAIR_FLAGS_ALL ||
		(ret->state == OBJECT_NONE && (flags & PAIR_UNKNOWN_OBJECT || ret->object.length)))
		fail(r);
}

static size_t check_count(struct field_reader *r, uint64_t count, size_t most)
{
	if (count > most) {
		fail(r);
		return 0;
	}
	return (size_t)count;
}

static size_t get_count(struct field_reader *r, size_t most)
{
	return check_count(r, fields_get_number(r), most);
}

void fields_get_work(struct field_reader *r, struct scope_of_action *ret)
{
	uint64_t rules;

	ret->agent = fields_get_text(r);
	ret->principal = fields_get_text(r);
	ret->resource = fields_get_text(r);
	rules = fields_get_number(r);
	ret->on_behalf_of = ret->as = SLICE_EMPTY;
	if (rules & SCOPE_ON_BEHALF) {
		ret->on_behalf_of = fields_get_text(r);
		/* One way to write each. */
		r->bad |= ret->on_behalf_of.length == 0;
	}
	if (rules & SCOPE_AS) {
		ret->as = fields_get_text(r);
		r->bad |= ret->as.length == 0;
	}
	ret->rule_count =
		check_count(r, rules & ~(SCOPE_ON_BEHALF | SCOPE_AS), QUESTION_RULES_MOST);
	for (size_t i = 0; i < ret->rule_count; i++)
		ret->rules[i] = fields_get_text(r);
	ret->pair_count = get_count(r, QUESTION_PAIRS_MOST);
	for (size_t i = 0; i < ret->pair_count; i++)
		get_pair(r, &ret->pairs[i]);
}

void fields_get_scope(struct field_reader *r, struct scope_of_action *ret)
{
	fields_get_work(r, ret);
	ret->database = fields_get_text(r);
	ret->user = fields_get_text(r);
}

static int put_value(struct buffer *b, const struct question_value *value)
{
	int r = fields_put_number(
		b, (value->null ? FLAG_NULL : 0) | (value->binary ? FLAG_BINARY : 0));

	if (r == 0)
		r = fields_put_number(b, value->length);
	return r < 0 ? r : fields_put_text(b, value->data);
}

int fields_put_values(struct buffer *b, const struct question *q)
{
	int r = fields_put_number(b, q->values_total);

	if (r == 0)
		r = fields_put_number(b, q->value_count);
	for (size_t i = 0; r == 0 && i < q->value_count; i++)
		r = put_value(b, &q->values[i]);
	return r;
}

static void get_value(struct field_reader *r, struct question_value *ret)
{
	uint64_t flags = fields_get_number(r);

	ret->null = flags & FLAG_NULL;
	ret->binary = flags & FLAG_BINARY;
	ret->length = fields_get_number(r);
	ret->data = fields_get_text(r);
	if (flags > FLAGS_ALL)
		r->bad = true;
}

void fields_get_values(struct field_reader *r, struct question *ret)
{
	ret->values_total = fields_get_number(r);
	ret->value_count = get_count(r, QUESTION_VALUES_MOST);
	for (size_t i = 0; i < ret->value_count; i++)
		get_value(r, &ret->values[i]);
	if (ret->value_count > ret->values_total)
		fail(r);
}

int fields_put_parts(struct buffer *b, const struct question *q)
{
	int r = fields_put_number(b, q->part_count);

	for (size_t i = 0; r == 0 && i < q->part_count; i++) {
		r = fields_put_number(b, q->parts[i].text_length);
		if (r == 0)
			r = fields_put_number(b, q->parts[i].value_count);
	}
	return r;
}

void fields_get_parts(struct field_reader *r, struct question *ret)
{
	ret->part_count = get_count(r, QUESTION_PARTS_MOST);
	for (size_t i = 0; i < ret->part_count; i++) {
		ret->parts[i].text_length = fields_get_number(r);
		ret->parts[i].value_count = fields_get_number(r);
	}
}
