/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/question_json.h"

#include "base/text.h"

#define SHORT_TEXT 4096 /* bytes */
#define SHORT_LIST 32
#define SHORT_NAME 256

static void add_rules(cJSON *object, const struct scope_of_action *scope)
{
	cJSON *rules = cJSON_CreateArray();

	json_add_text(object, "rule", scope->rule_count ? scope->rules[0] : SLICE_EMPTY);
	for (size_t i = 0; i < scope->rule_count; i++)
		cJSON_AddItemToArray(rules, json_text(scope->rules[i]));
	cJSON_AddItemToObject(object, "rules", rules);
}

static void add_operations(cJSON *object, const struct scope_of_action *scope)
{
	struct operation_set seen = {{0}};
	cJSON *operations = cJSON_AddArrayToObject(object, "operations");

	for (size_t i = 0; i < scope->pair_count; i++) {
		enum operation operation = scope->pairs[i].operation;

		if (!operation_set_has(&seen, operation))
			cJSON_AddItemToArray(
				operations, cJSON_CreateString(operation_name(operation)));
		operation_set_add(&seen, operation);
	}
}

static bool stands_before(const struct scope_of_action *scope, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (scope->pairs[i].state != OBJECT_NONE &&
			slice_equal(scope->pairs[i].object, scope->pairs[index].object))
			return true;
	}
	return false;
}

static void add_objects(cJSON *object, const struct scope_of_action *scope, size_t most)
{
	cJSON *objects = cJSON_AddArrayToObject(object, "objects");
	size_t count = 0;

	for (size_t i = 0; i < scope->pair_count; i++) {
		struct slice name = scope->pairs[i].object;

		if (scope->pairs[i].state == OBJECT_NONE || stands_before(scope, i))
			continue;
		if (++count > most && most)
			continue;
		cJSON_AddItemToArray(
			objects, json_text(most ? slice_head(name, SHORT_NAME) : name));
	}
	cJSON_AddNumberToObject(object, "objects_total", (double)count);
}

void question_json_add_scope(cJSON *object, const struct scope_of_action *scope, size_t most)
{
	json_add_text(object, "agent", scope->agent);
	json_add_text(object, "principal", scope->principal);
	json_add_text(object, "on_behalf_of", scope->on_behalf_of);
	json_add_text(object, "resource", scope->resource);
	json_add_text(object, "database", scope->database);
	json_add_text(object, "user", scope->user);
	if (scope->as.length)
		json_add_text(object, "as", scope->as);
	add_rules(object, scope);
	add_operations(object, scope);
	add_objects(object, scope, most);
}

static void add_common(cJSON *object, const struct question *q, size_t most_text, size_t most)
{
	/* A cut within a character would look like something of the agent's making. */
	struct slice text = most_text ? text_head(q->text, most_text) : q->text;

	question_json_add_scope(object, &q->scope, most);
	cJSON_AddItemToObject(object, "principal_groups", json_lines(q->groups));
	json_add_text(object, "protocol", q->protocol);
	cJSON_AddItemToObject(object, "text", json_text(text));
	cJSON_AddNumberToObject(object, "text_length", (double)q->text.length);
	cJSON_AddBoolToObject(object, "text_cut", text.length < q->text.length);
	cJSON_AddItemToObject(object, "digest", json_hex(slice_of(q->digest, sizeof(q->digest))));
}

char *question_json_short(const struct question *q)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	add_common(object, q, SHORT_TEXT, SHORT_LIST);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	return text;
}

static void add_pairs(cJSON *object, const struct scope_of_action *scope)
{
	cJSON *pairs = cJSON_AddArrayToObject(object, "pairs");

	for (size_t i = 0; i < scope->pair_count; i++) {
		const struct action_pair *pair = &scope->pairs[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "operation", operation_name(pair->operation));
		json_add_text(item, "object", pair->object);
		cJSON_AddBoolToObject(item, "everything", pair->everything);
		cJSON_AddBoolToObject(item, "unknown", pair->state == OBJECT_UNKNOWN);
		cJSON_AddItemToArray(pairs, item);
	}
}

static cJSON *parameter(const struct question_value *value)
{
	cJSON *item = cJSON_CreateObject();

	if (value->null)
		cJSON_AddNullToObject(item, "text");
	else if (value->binary)
		cJSON_AddItemToObject(item, "binary", json_hex(value->data));
	else
		cJSON_AddItemToObject(item, "text", json_text(value->data));
	cJSON_AddItemToObject(item, "length", json_number(value->length));
	return item;
}

/* Of several statements: which one's the parameter is, and which of those. */
static void add_place(cJSON *item, const struct question *q, uint64_t index)
{
	for (size_t i = 0; i < q->part_count; i++) {
		if (index < q->parts[i].value_count) {
			cJSON_AddNumberToObject(item, "statement", (double)i + 1);
			cJSON_AddNumberToObject(item, "number", (double)index + 1);
			return;
		}
		index -= q->parts[i].value_count;
	}
}

/* Those from `first` on, as far as they are here. */
static void add_parameters(cJSON *object, const struct question *q, uint64_t first, uint64_t count)
{
	cJSON *parameters = cJSON_AddArrayToObject(object, "parameters");

	for (uint64_t i = first; i < first + count && i < q->value_count; i++) {
		cJSON *item = parameter(&q->values[i]);

		add_place(item, q, i);
		cJSON_AddItemToArray(parameters, item);
	}
	cJSON_AddNumberToObject(object, "parameters_total", (double)count);
}

/* Where several are decided together: each with its own parameters. */
static void add_statements(cJSON *object, const struct question *q)
{
	cJSON *statements = cJSON_AddArrayToObject(object, "statements");
	uint64_t values = 0;
	size_t at = 0;

	for (size_t i = 0; i < q->part_count; i++) {
		struct slice text = question_part_text(q, i, &at);
		cJSON *item = cJSON_CreateObject();

		cJSON_AddItemToObject(item, "text", json_text(text));
		cJSON_AddNumberToObject(item, "text_length", (double)text.length);
		add_parameters(item, q, values, q->parts[i].value_count);
		values += q->parts[i].value_count;
		cJSON_AddItemToArray(statements, item);
	}
}

static void add_unknown(cJSON *object, unsigned unknown)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {{ACTION_UNKNOWN_TEXT, "text"}, {ACTION_UNKNOWN_OBJECT, "object"},
		{ACTION_UNKNOWN_EFFECT, "effect"}, {ACTION_UNKNOWN_BODY, "body"}};
	cJSON *list = cJSON_AddArrayToObject(object, "unknown");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (unknown & names[i].bit)
			cJSON_AddItemToArray(list, cJSON_CreateString(names[i].name));
	}
}

cJSON *question_json_whole(const struct question *q)
{
	cJSON *object = cJSON_CreateObject();

	add_common(object, q, 0, 0);
	json_add_text(object, "session", q->session);
	json_add_text(object, "address", q->address);
	json_add_text(object, "program", q->program);
	json_add_text(object, "program_sha256", q->program_hash);
	json_add_text(object, "arguments", q->arguments);
	json_add_text(object, "parents", q->parents);
	cJSON_AddItemToObject(object, "pid", json_known_number(q->pid));
	cJSON_AddItemToObject(object, "uid", json_known_number(q->uid));
	if (q->runs.length)
		cJSON_AddItemToObject(object, "runs", json_text(q->runs));
	json_add_text(object, "settings", q->settings);
	json_add_text(object, "preview", q->preview);
	add_pairs(object, &q->scope);
	add_parameters(object, q, 0, q->values_total);
	if (q->part_count)
		add_statements(object, q);
	add_unknown(object, q->unknown);
	return object;
}
