/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/copy.h"

#include <errno.h>

struct sink {
	struct copy_sink base;
	struct pg_engine *e;
	struct pg_request *q;
};

static const struct pg_plan *plan_of(const struct pg_request *q)
{
	return q->plan ? q->plan : q->portal ? q->portal->plan : NULL;
}

static struct pg_masks *masks_of(const struct pg_request *q)
{
	return q->kind == PG_REQUEST_QUERY ? q->masks : q->portal ? q->portal->masks : NULL;
}

/* The columns' strategies. Where the text's columns are not known, or not these, all are redacted.
 */
static struct value_column *columns_of(const struct pg_masks *masks, size_t command, size_t count)
{
	struct value_column *columns = memory_new_array(count, sizeof(*columns));
	const struct sql_lineage_command *c = NULL;
	bool known;

	if (command < masks->lineage.command_count)
		c = &masks->lineage.commands[command];
	known = c && c->has_outputs && c->output_count == count;
	for (size_t i = 0; i < count; i++) {
		columns[i].type.modifier = -1;
		if (known)
			columns[i].type = pg_value_type(&c->outputs[i].type);
		if (masks->rules.column_count == 0 || (c && !c->touches_masked))
			columns[i].strategy = MASK_NONE;
		else
			columns[i].strategy = known ? c->outputs[i].strategy : MASK_REDACT;
	}
	return columns;
}

const char *pg_copy_refusal(const struct sql_text *text)
{
	for (size_t i = 0; i < sql_text_command_count(text); i++) {
		const struct sql_command *command = sql_text_command(text, i);

		if (command->kind == SQL_COMMAND_COPY && command->copy.to_client &&
			command->copy.encoding_given)
			return "what COPY with ENCODING sends can't be masked";
	}
	return NULL;
}

int pg_copy_begin(struct pg_engine *e, struct pg_request *q, struct slice body)
{
	struct pg_masks *masks = masks_of(q);
	const struct pg_plan *plan = plan_of(q);
	const struct sql_command *command;
	struct value_column *columns;
	struct masker masker;
	uint16_t count;
	uint8_t format;

	if (!masks)
		return 0;
	if (pg_get_u8(&body, &format) < 0 || pg_get_u16(&body, &count) < 0 ||
		body.length != 2 * (size_t)count)
		return -EBADMSG;
	command = plan && q->command < sql_text_command_count(plan->text)
		? sql_text_command(plan->text, q->command)
		: NULL;
	/* Another encoding was refused with the statement (pg_copy_refusal()). */
	if (!command || command->kind != SQL_COMMAND_COPY || command->copy.encoding_given) {
		e->trouble = "COPY data of a statement that is not known";
		return -EPERM;
	}
	pg_masker(e, &masks->rules, &masker);
	columns = columns_of(masks, q->command, count);
	e->copy = copy_stream_new(&masker, &command->copy, columns, count);
	free(columns);
	return e->copy ? 0 : -ENOMEM;
}

/* One row of the filter's, as a CopyData of its own. */
static int on_row(struct copy_sink *base, struct slice body)
{
	struct sink *sink = container_of(base, struct sink, base);
	int r;

	buffer_clear(&sink->e->scratch);
	r = pg_put_message(&sink->e->scratch, 'd', body);
	if (r == 0)
		r = pg_write(sink->e, SIDE_AGENT, buffer_slice(&sink->e->scratch));
	if (sink->q) {
		sink->q->rows++;
		sink->q->bytes += buffer_length(&sink->e->scratch);
	}
	return r;
}

int pg_copy_data(struct pg_engine *e, struct pg_request *q, struct slice part)
{
	struct sink sink = {.base = {.row = on_row}, .e = e, .q = q};

	return copy_stream_feed(e->copy, part, &sink.base);
}

int pg_copy_end(struct pg_engine *e)
{
	int r = copy_stream_finish(e->copy);

	copy_stream_free(e->copy);
	e->copy = NULL;
	return r;
}
