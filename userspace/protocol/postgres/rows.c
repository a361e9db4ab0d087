/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/rows.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "protocol/postgres/engine.h"

/* Objects made by initdb, whose relations our catalog does not hold (access/transam.h). */
#define FIRST_NORMAL_OID 16384u

void pg_masker(struct pg_engine *e, const struct mask_rules *rules, struct masker *ret)
{
	masker_init(ret, e->base.host->detectors, e->base.host->hasher, rules);
}

struct pg_columns *pg_columns_none(void)
{
	return memory_new(sizeof(struct pg_columns));
}

void pg_columns_free(struct pg_columns *c)
{
	if (!c)
		return;
	if (c->masks)
		value_rows_done(&c->rows);
	pg_masks_put(c->masks);
	for (size_t i = 0; i < c->count; i++)
		free(c->fields[i]);
	free(c->fields);
	free(c->items);
	free(c->names);
	free(c->description);
	free(c);
}

struct value_type pg_value_type(const struct sql_type *type)
{
	return (struct value_type){type->oid, type->modifier, type->text_like};
}

/* The relation that a column's origin names, and the catalog that has it; NULL: none that is known.
 */
static const struct sql_relation *origin_relation(
	struct pg_engine *e, uint32_t table, const struct sql_catalog **ret_names)
{
	const struct sql_relation *relation = NULL;

	*ret_names = e->temporary;
	if (e->temporary)
		relation = sql_catalog_find_oid(e->temporary, table);
	if (relation)
		return relation;
	*ret_names = e->names;
	return e->names ? sql_catalog_find_oid(e->names, table) : NULL;
}

/* A whole row shows those of its columns that are not masked. */
static void bind_fields(struct pg_engine *e, const struct sql_catalog *names,
	const struct sql_relation *relation, struct pg_columns *c, size_t index)
{
	struct value_column *column = &c->items[index];
	size_t count = sql_relation_column_count(relation);
	struct value_field *fields = memory_new_array(count, sizeof(*fields));

	for (size_t i = 0; i < count; i++) {
		struct sql_type type = sql_relation_column_type(e->names, relation, i);

		fields[i].type = pg_value_type(&type);
		fields[i].strategy = sql_catalog_column_mask(names, relation,
			sql_relation_column_number(relation, i), &c->masks->rules, NULL);
	}
	column->strategy = MASK_NONE;
	column->fields = c->fields[index] = fields;
	column->field_count = count;
}

/* A plain column of a relation, or a whole row of it (number 0). */
static void bind_origin(
	struct pg_engine *e, struct pg_columns *c, size_t index, uint32_t table, int16_t number)
{
	const struct mask_rules *rules = &c->masks->rules;
	const struct sql_catalog *names;
	const struct sql_relation *relation = origin_relation(e, table, &names);

	if (number < 0)
		return; /* a system column: no user's data */
	/* The server's own catalogs are named by no rule, unless one means their schema. */
	if (!relation && table < FIRST_NORMAL_OID &&
		!mask_rules_touch_relation(
			rules, slice_from_string("pg_catalog"), slice_from_string("*")))
		return;
	c->items[index].strategy = sql_catalog_column_mask(names, relation, number, rules, NULL);
	if (number == 0 && c->items[index].strategy != MASK_NONE && relation &&
		!sql_relation_is_open(relation))
		bind_fields(e, names, relation, c, index);
}

/* What a column without origin is masked with: what sql_trace() found for it, or everything that
 * could be meant, where the columns of the text are not known. */
static enum mask_strategy traced_strategy(
	const struct pg_masks *masks, size_t command, size_t column, size_t columns)
{
	const struct sql_lineage_command *c;

	if (command >= masks->lineage.command_count)
		return MASK_REDACT;
	c = &masks->lineage.commands[command];
	if (c->rowless)
		return MASK_REDACT;
	if (!c->touches_masked)
		return MASK_NONE;
	if (!c->has_outputs || c->output_count != columns)
		return MASK_REDACT;
	if (c->outputs[column].state == SQL_OUTPUT_CLEAN)
		return MASK_NONE;
	/* The trace says that it is a plain column, the server that it is not: believe neither. */
	if (c->outputs[column].state == SQL_OUTPUT_ORIGIN && !c->outputs[column].strategy)
		return MASK_REDACT;
	return c->outputs[column].strategy;
}

/* One field: name, table, number, type, type's size, modifier, format. */
static int parse_column(
	struct pg_engine *e, struct slice *in, struct pg_columns *c, size_t index, size_t command)
{
	struct value_column *column = &c->items[index];
	uint32_t table, modifier;
	uint16_t number, size;
	struct sql_type type;
	int r = pg_get_string(in, &c->names[index]);

	if (r < 0 || pg_get_u32(in, &table) < 0 || pg_get_u16(in, &number) < 0 ||
		pg_get_u32(in, &column->type.oid) < 0 || pg_get_u16(in, &size) < 0 ||
		pg_get_u32(in, &modifier) < 0 || pg_get_u16(in, &column->format) < 0 ||
		column->format > VALUE_FORMAT_BINARY)
		return -EBADMSG;
	type = sql_catalog_type(e->names, column->type.oid, (int32_t)modifier);
	column->type = pg_value_type(&type);
	if (!c->masks || c->masks->rules.column_count == 0)
		return 0;
	if (table)
		bind_origin(e, c, index, table, (int16_t)number);
	else
		column->strategy = traced_strategy(c->masks, command, index, c->count);
	return 0;
}

int pg_columns_new(struct pg_engine *e, struct slice body, struct pg_masks *masks, size_t command,
	bool record, struct pg_columns **ret)
{
	struct pg_columns *c = memory_new(sizeof(*c));
	struct masker masker;
	struct slice in;
	uint16_t count;
	int r;

	c->description = (uint8_t *)memory_copy_text(body.data, body.length);
	in = slice_of(c->description, body.length);
	r = pg_get_u16(&in, &count);
	if (r == 0) {
		c->count = count;
		c->items = memory_new_array(count, sizeof(*c->items));
		c->names = memory_new_array(count, sizeof(*c->names));
		c->fields = memory_new_array(count, sizeof(*c->fields));
		c->record = record;
		c->masks = pg_masks_get(masks);
	}
	if (c->masks)
		pg_masker(e, &masks->rules, &masker);
	for (uint16_t i = 0; r == 0 && i < count; i++)
		r = parse_column(e, &in, c, i, command);
	if (c->masks)
		value_rows_init(&c->rows, &masker, c->items, c->count);
	if (r < 0 || in.length) {
		pg_columns_free(c);
		return -EBADMSG;
	}
	*ret = c;
	return 0;
}

/* --- rows for the recording --- */

static void announce(struct pg_engine *e, const struct pg_request *q, struct pg_columns *c)
{
	struct protocol_event *event = pg_event(e, EVENT_COLUMNS);

	if (!e->row_values)
		e->row_values =
			memory_new_array((size_t)2 * PG_VALUES_MOST, sizeof(*e->row_values));
	c->announced = true;
	event->row.action = q->action;
	event->row.values = e->row_values;
	for (size_t i = 0; i < c->count && i < PG_VALUES_MOST; i++) {
		e->row_values[i] =
			(struct protocol_value){.data = c->names[i], .length = c->names[i].length};
		event->row.value_count++;
	}
}

/* `row` is the DataRow as the agent gets it. */
static int record_row(
	struct pg_engine *e, const struct pg_request *q, struct pg_columns *c, struct slice row)
{
	struct protocol_event *event;
	struct slice in = slice_from(row, PG_HEADER_SIZE);
	uint16_t count;

	if (pg_get_u16(&in, &count) < 0)
		return -EBADMSG;
	event = pg_event(e, EVENT_ROW);
	event->row.action = q->action;
	event->row.values = e->row_values + PG_VALUES_MOST;
	for (uint16_t i = 0; i < count && i < PG_VALUES_MOST; i++) {
		struct protocol_value *value = &e->row_values[PG_VALUES_MOST + i];
		uint32_t length;

		if (pg_get_u32(&in, &length) < 0)
			return -EBADMSG;
		*value = (struct protocol_value){
			.binary = i < c->count && c->items[i].format == VALUE_FORMAT_BINARY};
		if (length != UINT32_MAX) {
			value->length = length;
			if (pg_get_bytes(&in, length, &value->data) < 0)
				return -EBADMSG;
			if (!value->data.data)
				value->data.data = row.data; /* empty, but not NULL */
		}
		event->row.value_count++;
	}
	return 0;
}

/* --- passing --- */

/* Complete DataRows at the start of `in`: their bytes and number; one at most where rows are
 * recorded, since each is an event. */
static size_t measure_run(struct slice in, bool single, uint64_t *ret_rows)
{
	struct pg_header header;
	size_t n = 0;

	*ret_rows = 0;
	while (pg_header_get(slice_from(in, n), &header) && header.type == 'D' &&
		in.length - n >= PG_HEADER_SIZE + (size_t)header.length) {
		n += PG_HEADER_SIZE + (size_t)header.length;
		(*ret_rows)++;
		if (single)
			break;
	}
	return n;
}

int pg_rows_pass(struct pg_engine *e, struct pg_request *q, struct pg_columns *columns,
	struct slice in, size_t *ret_taken)
{
	struct value_rows_result result = {0};
	struct slice run, out;
	uint64_t rows;
	int r = 0;

	if (in.length >= PG_HEADER_SIZE && bytes_get_u32(in.data + 1) > LIMIT_ROW_MASKED) {
		e->trouble = "a row too large to be masked";
		return -EPERM;
	}
	run = slice_head(in, measure_run(in, columns->record, &rows));
	*ret_taken = run.length;
	if (run.length == 0)
		return 0;
	out = run;
	if (columns->masks) {
		buffer_clear(&e->row);
		r = value_rows_mask(&columns->rows, run, &e->row, &result);
		if (r > 0)
			out = buffer_slice(&e->row);
	}
	if (r < 0)
		return r;
	q->rows += rows;
	q->bytes += out.length;
	if (columns->record) {
		if (!columns->announced)
			announce(e, q, columns);
		if (record_row(e, q, columns, out) < 0)
			return -EBADMSG;
	}
	return r > 0 ? pg_write(e, SIDE_AGENT, out) : pg_pass(e, SIDE_AGENT, run);
}
