/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/statement.h"

#include <errno.h>
#include <pg_query.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "protocol/sql/encoding.h"
#include "protocol/sql/facts.h"
#include "protocol/sql/measure.h"

struct sql_text {
	unsigned references;
	enum sql_status status;
	char *problem;
	uint8_t *bytes; /* with a NUL behind them */
	size_t length;
	struct facts facts; /* SQL_PARSED */
	void *attachment;
	void (*attachment_free)(void *);
};

static void text_refuse(struct sql_text *t, enum sql_status status, const char *problem)
{
	t->status = status;
	t->problem = memory_copy_string(problem);
}

static void text_read(struct sql_text *t, const char *json)
{
	struct tree tree;
	int r = tree_read(slice_from_string(json), LIMIT_STATEMENT_DEPTH, &tree);

	if (r == 0) {
		r = facts_gather(&tree, slice_of(t->bytes, t->length), &t->facts);
		if (r < 0)
			tree_done(&tree);
	}
	if (r == -E2BIG)
		text_refuse(t, SQL_TOO_DEEP, "nested too deep");
	else if (r == -ENOMEM)
		text_refuse(t, SQL_TOO_DEEP, "not enough memory to parse it");
	else if (r < 0)
		text_refuse(t, SQL_REJECTED, "a parse tree that can't be read");
}

/* libpg_query takes a C string: behind a NUL it would not see what the server may. */
static void text_parse(struct sql_text *t)
{
	PgQueryParseResult r;
	const char *problem;

	if (memchr(t->bytes, 0, t->length)) {
		text_refuse(t, SQL_REJECTED, "it holds a zero byte");
		return;
	}
	problem = measure_text(slice_of(t->bytes, t->length));
	if (problem) {
		text_refuse(t, SQL_TOO_DEEP, problem);
		return;
	}
	r = pg_query_parse((const char *)t->bytes);
	if (r.error)
		text_refuse(t, SQL_REJECTED, r.error->message);
	else
		text_read(t, r.parse_tree);
	pg_query_free_parse_result(r);
}

static struct sql_text *text_new(void)
{
	struct sql_text *t = memory_new(sizeof(*t));

	t->references = 1;
	t->status = SQL_PARSED;
	return t;
}

struct sql_text *sql_text_too_long(void)
{
	struct sql_text *t = text_new();

	text_refuse(t, SQL_TOO_LONG, "too long");
	return t;
}

struct sql_text *sql_text_parse(struct slice text)
{
	struct sql_text *t;

	if (text.length > LIMIT_STATEMENT_BYTES)
		return sql_text_too_long();
	t = text_new();
	t->length = text.length;
	t->bytes = (uint8_t *)memory_copy_text(text.data, text.length);
	text_parse(t);
	return t;
}

bool sql_text_is_ascii(const struct sql_text *t)
{
	return text_is_ascii(slice_of(t->bytes, t->length));
}

/* SET has names where others have constants. Else what is none is known by its kind, or is longer
 * than any. */
static bool may_be_name(const struct tree *t, tree_index n, bool sets)
{
	switch (t->nodes[n].field) {
	case FIELD_fval:
	case FIELD_bsval:
	case FIELD_comment:
		return false;
	default:
		return sets || (t->nodes[n].length <= SQL_NAME_BYTES && !tree_is_constant(t, n));
	}
}

bool sql_text_keeps_names(const struct sql_text *t, const char *server)
{
	const struct facts *f = sql_text_facts(t);
	const struct tree *tree = f ? &f->tree : NULL;
	bool sets = false;

	if (!tree || strcmp(server, "utf8") == 0)
		return true;
	for (tree_index n = 1; n < tree->node_count; n++)
		sets |= tree_type(tree, n) == TYPE_VariableSetStmt;
	for (tree_index n = 1; n < tree->node_count; n++) {
		const struct tree_node *node = &tree->nodes[n];

		if (node->kind == TREE_STRING && may_be_name(tree, n, sets) &&
			!sql_encoding_keeps_name(
				slice_of(tree->strings + node->offset, node->length), server))
			return false;
	}
	return true;
}

bool sql_text_is_plain(const struct sql_text *t)
{
	return sql_text_is_ascii(t) && !memchr(t->bytes, '\'', t->length) &&
		!memchr(t->bytes, '\\', t->length);
}

bool sql_text_has_names(const struct sql_text *t)
{
	const struct facts *f = sql_text_facts(t);

	if (!f || f->attribute_count)
		return true;
	for (size_t i = 0; i < f->mention_count; i++) {
		if (f->mentions[i].kind != MENTION_PLAIN)
			return true;
	}
	return false;
}

static bool is_of_transactions(const struct sql_command *command)
{
	switch (command->kind) {
	case SQL_COMMAND_EMPTY:
	case SQL_COMMAND_BEGIN:
	case SQL_COMMAND_COMMIT:
	case SQL_COMMAND_ROLLBACK:
	case SQL_COMMAND_SAVEPOINT:
	case SQL_COMMAND_ROLLBACK_TO:
		return true;
	default:
		return false;
	}
}

static bool is_of_settings(const struct facts *f, size_t index)
{
	const struct command_facts *c = &f->command_facts[index];

	if (f->commands[index].kind != SQL_COMMAND_OTHER || c->count == 0 || c->attribute_count)
		return false;
	for (uint32_t i = c->first; i < c->first + c->count; i++) {
		const struct mention *m = &f->mentions[i];

		if (m->kind != MENTION_PLAIN ||
			(m->operation != OPERATION_TRANSACTION &&
				m->operation != OPERATION_SESSION &&
				m->operation != OPERATION_SHOW && m->operation != OPERATION_SET &&
				m->operation != OPERATION_SET_ROLE))
			return false;
	}
	return true;
}

bool sql_text_takes_snapshot(const struct sql_text *t)
{
	const struct facts *f = sql_text_facts(t);

	if (!f || f->problem)
		return true;
	for (size_t i = 0; i < f->command_count; i++) {
		if (!is_of_transactions(&f->commands[i]) && !is_of_settings(f, i))
			return true;
	}
	/* SET TRANSACTION SNAPSHOT takes somebody else's. */
	return strcasestr((const char *)t->bytes, "snapshot");
}

struct sql_text *sql_text_get(struct sql_text *t)
{
	t->references++;
	return t;
}

void sql_text_put(struct sql_text *t)
{
	if (!t || --t->references > 0)
		return;
	if (t->attachment_free)
		t->attachment_free(t->attachment);
	if (t->status == SQL_PARSED)
		facts_done(&t->facts);
	free(t->problem);
	free(t->bytes);
	free(t);
}

enum sql_status sql_text_status(const struct sql_text *t)
{
	return t->status;
}

const char *sql_text_problem(const struct sql_text *t)
{
	return t->problem;
}

const struct facts *sql_text_facts(const struct sql_text *t)
{
	return t->status == SQL_PARSED ? &t->facts : NULL;
}

size_t sql_text_command_count(const struct sql_text *t)
{
	return t->facts.command_count;
}

bool sql_text_is_alone(const struct sql_text *t)
{
	const struct sql_command *only = t->facts.commands;

	return t->status == SQL_PARSED && t->facts.command_count == 1 && !only->session_names &&
		(only->kind == SQL_COMMAND_OTHER || only->kind == SQL_COMMAND_COPY);
}

const struct sql_command *sql_text_command(const struct sql_text *t, size_t index)
{
	return &t->facts.commands[index];
}

bool sql_text_depends_on_literals(const struct sql_text *t)
{
	return t->facts.depends_on_literals;
}

size_t sql_text_size(const struct sql_text *t)
{
	return sizeof(*t) + t->length + facts_size(&t->facts);
}

void **sql_text_attachment(struct sql_text *t, void (*free_attachment)(void *))
{
	t->attachment_free = free_attachment;
	return &t->attachment;
}
