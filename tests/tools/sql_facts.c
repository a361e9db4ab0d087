/* SPDX-License-Identifier: Apache-2.0
 *
 * sql_facts: what protocol/sql/ says of texts, for tests that ask a real server the same. Reads one
 * JSON object per line and answers each with one:
 *
 *   {"catalog": [[query, [value or null, …]], …]}   a new catalog from these rows
 *   {"temporary": [[query, [value or null, …]], …]} the same for temporary relations
 *   {"path": ["public", …], "assume": false}
 *   {"masks": [{"columns": "public.t.c", "with": "redact", "filter": false}, …]}
 *   {"text": "select …"}                            → status, pairs, lineage
 *   {"origin": [oid, attnum]}                       → the mask of that column
 *   {"queries": true}                               → the catalog's queries
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protocol/sql/resolve.h"

#define PATH_MOST 16
#define MASKS_MOST 64
#define ARENA_LIMIT (64u << 20)

static struct sql_catalog *catalog, *temporary;
static struct slice path[PATH_MOST];
static struct mask_column masks[MASKS_MOST];
static struct mask_rules rules = {.columns = masks};
static struct sql_view view = {.path = path};

static struct slice text_of(const cJSON *item)
{
	return cJSON_IsString(item) ? slice_from_string(item->valuestring) : SLICE_EMPTY;
}

static struct slice kept_text_of(const cJSON *item)
{
	return slice_from_string(memory_copy_string(item->valuestring));
}

static int fill(struct sql_catalog **c, const cJSON *rows)
{
	const cJSON *row, *value;
	int r = 0;

	sql_catalog_put(*c);
	*c = sql_catalog_new(ARENA_LIMIT);
	cJSON_ArrayForEach(row, rows)
	{
		struct slice values[8];
		size_t count = 0;

		cJSON_ArrayForEach(value, cJSON_GetArrayItem(row, 1))
		{
			values[count++] = text_of(value);
		}
		r = sql_catalog_add_row(
			*c, (size_t)cJSON_GetArrayItem(row, 0)->valueint, values, count);
		if (r < 0)
			return r;
	}
	return sql_catalog_finish(*c);
}

static void set_masks(const cJSON *list)
{
	const cJSON *item;

	rules.column_count = 0;
	rules.serial = mask_rules_serial();
	cJSON_ArrayForEach(item, list)
	{
		masks[rules.column_count++] = (struct mask_column){
			.pattern = kept_text_of(cJSON_GetObjectItem(item, "columns")),
			.strategy =
				mask_strategy_from_name(text_of(cJSON_GetObjectItem(item, "with"))),
			.filter_allowed = cJSON_IsTrue(cJSON_GetObjectItem(item, "filter")),
		};
	}
}

static cJSON *string_of(struct slice s)
{
	char *copy = memory_copy_text(s.data, s.length);
	cJSON *item = cJSON_CreateString(copy);

	free(copy);
	return item;
}

static cJSON *pairs_of(const struct action_pair *pairs, size_t count)
{
	static const char *const states[] = {"none", "known", "unknown"};
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < count; i++) {
		cJSON *pair = cJSON_CreateArray();

		cJSON_AddItemToArray(pair, cJSON_CreateString(operation_name(pairs[i].operation)));
		cJSON_AddItemToArray(pair, cJSON_CreateString(states[pairs[i].state]));
		cJSON_AddItemToArray(pair, string_of(pairs[i].object));
		cJSON_AddItemToArray(pair, cJSON_CreateBool(pairs[i].everything));
		cJSON_AddItemToArray(list, pair);
	}
	return list;
}

static cJSON *output_of(const struct sql_output *o)
{
	static const char *const states[] = {"clean", "origin", "derived"};
	cJSON *pair = cJSON_CreateArray();

	cJSON_AddItemToArray(pair, cJSON_CreateString(states[o->state]));
	cJSON_AddItemToArray(pair, cJSON_CreateString(mask_strategy_name(o->strategy)));
	return pair;
}

static cJSON *lineage_of(const struct sql_lineage *l)
{
	cJSON *list = cJSON_CreateArray();

	for (size_t i = 0; i < l->command_count; i++) {
		const struct sql_lineage_command *c = &l->commands[i];
		cJSON *command = cJSON_CreateObject(), *outputs = cJSON_CreateArray();

		for (size_t j = 0; j < c->output_count; j++)
			cJSON_AddItemToArray(outputs, output_of(&c->outputs[j]));
		if (c->has_outputs)
			cJSON_AddItemToObject(command, "outputs", outputs);
		else
			cJSON_Delete(outputs);
		cJSON_AddItemToObject(command, "rest", output_of(&c->rest));
		cJSON_AddItemToArray(list, command);
	}
	return list;
}

static void answer_text(const char *text, cJSON *answer)
{
	struct sql_text *t = sql_text_parse(slice_from_string(text));
	struct sql_resolution resolution;
	struct sql_lineage lineage = {0};
	struct arena arena;

	arena_init(&arena, ARENA_LIMIT);
	cJSON_AddNumberToObject(answer, "status", sql_text_status(t));
	if (sql_text_problem(t))
		cJSON_AddStringToObject(answer, "problem", sql_text_problem(t));
	if (sql_text_status(t) == SQL_PARSED && sql_resolve(t, &view, &arena, &resolution) == 0) {
		cJSON_AddItemToObject(
			answer, "pairs", pairs_of(resolution.pairs, resolution.pair_count));
		cJSON_AddItemToObject(
			answer, "later", pairs_of(resolution.later_pairs, resolution.later_count));
		cJSON_AddNumberToObject(answer, "unknown", resolution.unknown);
		cJSON_AddNumberToObject(answer, "effects", resolution.effects);
		if (rules.column_count && sql_trace(t, &view, &rules, &arena, &lineage) == 0) {
			if (lineage.refusal)
				cJSON_AddStringToObject(answer, "refusal", lineage.refusal);
			cJSON_AddItemToObject(answer, "commands", lineage_of(&lineage));
		}
	}
	arena_done(&arena);
	sql_text_put(t);
}

static void answer_origin(const cJSON *origin, cJSON *answer)
{
	uint32_t oid = (uint32_t)cJSON_GetArrayItem(origin, 0)->valuedouble;
	int number = cJSON_GetArrayItem(origin, 1)->valueint;
	const struct sql_relation *r = sql_catalog_find_oid(catalog, oid);
	enum mask_strategy strategy = sql_catalog_column_mask(catalog, r, number, &rules, NULL);

	cJSON_AddStringToObject(answer, "strategy", mask_strategy_name(strategy));
}

static void add_queries(
	cJSON *answer, const char *name, const struct sql_catalog_query *queries, size_t count)
{
	cJSON *list = cJSON_AddArrayToObject(answer, name);

	for (size_t i = 0; i < count; i++) {
		cJSON *query = cJSON_CreateArray();

		cJSON_AddItemToArray(query, cJSON_CreateString(queries[i].text));
		cJSON_AddItemToArray(query, cJSON_CreateNumber(queries[i].columns));
		cJSON_AddItemToArray(list, query);
	}
}

static void answer_line(const cJSON *line, cJSON *answer)
{
	const cJSON *item;

	if ((item = cJSON_GetObjectItem(line, "catalog")))
		cJSON_AddNumberToObject(answer, "result", fill(&catalog, item));
	if ((item = cJSON_GetObjectItem(line, "temporary")))
		cJSON_AddNumberToObject(answer, "result", fill(&temporary, item));
	if ((item = cJSON_GetObjectItem(line, "masks")))
		set_masks(item);
	if ((item = cJSON_GetObjectItem(line, "path"))) {
		const cJSON *schema;

		view.path_count = 0;
		cJSON_ArrayForEach(schema, item)
		{
			path[view.path_count++] = kept_text_of(schema);
		}
		view.assume = cJSON_IsTrue(cJSON_GetObjectItem(line, "assume"));
	}
	view.catalog = catalog;
	view.temporary = temporary;
	if ((item = cJSON_GetObjectItem(line, "text")))
		answer_text(item->valuestring, answer);
	if ((item = cJSON_GetObjectItem(line, "origin")))
		answer_origin(item, answer);
	if (cJSON_GetObjectItem(line, "queries")) {
		add_queries(answer, "queries", sql_catalog_queries, sql_catalog_query_count);
		add_queries(answer, "temporary", sql_temporary_queries, sql_temporary_query_count);
	}
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		cJSON *request = cJSON_Parse(line), *answer = cJSON_CreateObject();
		char *printed;

		if (request)
			answer_line(request, answer);
		printed = cJSON_PrintUnformatted(answer);
		puts(printed);
		fflush(stdout);
		free(printed);
		cJSON_Delete(answer);
		cJSON_Delete(request);
	}
	free(line);
	return 0;
}
