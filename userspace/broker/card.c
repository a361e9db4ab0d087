/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/card.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker/callback.h"
#include "broker/card_internal.h"

/* Values of one list. */
#define LIST_MOST 12
#define LIST_LEAST 4

/* --- reading the review --- */

const cJSON *card_get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

struct slice card_get_text(const cJSON *object, const char *name)
{
	return slice_from_string(cJSON_GetStringValue(card_get(object, name)));
}

uint64_t card_get_number(const cJSON *object, const char *name)
{
	const cJSON *item = card_get(object, name);

	return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}

/* Of an RFC 3339 time in UTC; 0: none. */
uint64_t card_get_seconds(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(card_get(object, name));
	struct tm parts = {0};

	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &parts))
		return 0;
	return (uint64_t)timegm(&parts);
}

/* --- facts: a label and a value on one line --- */

static cJSON *add_label(cJSON *facts, const char *label)
{
	cJSON *paragraph = blocks_add_paragraph(facts);

	blocks_add_string(paragraph, label, "bold");
	blocks_add_string(paragraph, "  ", NULL);
	return paragraph;
}

size_t card_scale(const struct card *c, size_t bytes)
{
	return bytes * c->percent / 100;
}

void card_add_value(const struct card *c, cJSON *paragraph, struct slice value, const char *style)
{
	size_t room = card_scale(c, CARD_VALUE_MOST);
	struct buffer shown;

	buffer_init(&shown, CARD_TEXT_MOST);
	visible_line(&shown, value, room > CARD_VALUE_LEAST ? room : CARD_VALUE_LEAST);
	blocks_add_text(paragraph, buffer_slice(&shown), style);
	buffer_done(&shown);
}

void card_add_number(cJSON *paragraph, const char *format, uint64_t number)
{
	char text[80];

	snprintf(text, sizeof(text), format, (unsigned long)number);
	blocks_add_string(paragraph, text, NULL);
}

/* The texts of a list with commas between; the rest is counted. */
static void add_list(const struct card *c, cJSON *paragraph, const cJSON *list)
{
	int most = (int)card_scale(c, LIST_MOST), count = 0;
	const cJSON *item;

	if (most < LIST_LEAST)
		most = LIST_LEAST;
	cJSON_ArrayForEach(item, list)
	{
		if (count == most) {
			card_add_number(paragraph, " and %lu more",
				(uint64_t)(cJSON_GetArraySize(list) - most));
			return;
		}
		blocks_add_string(paragraph, count++ ? ", " : "", NULL);
		card_add_value(c, paragraph, slice_from_string(cJSON_GetStringValue(item)), "code");
	}
}

static void add_fact(const struct card *c, cJSON *facts, const char *label, const cJSON *value)
{
	if (cJSON_IsArray(value) && cJSON_GetArraySize(value))
		add_list(c, add_label(facts, label), value);
	else if (cJSON_IsString(value) && value->valuestring[0])
		card_add_value(
			c, add_label(facts, label), slice_from_string(value->valuestring), "code");
}

static void add_program(const struct card *c, cJSON *facts)
{
	struct slice program = card_get_text(c->review, "program");
	uint64_t pid = card_get_number(c->review, "pid");
	cJSON *paragraph;

	if (program.length == 0 && pid == 0)
		return;
	paragraph = add_label(facts, "Program");
	card_add_value(c, paragraph, program, "code");
	if (pid)
		card_add_number(paragraph, " (pid %lu)", pid);
	add_fact(c, facts, "SHA-256", card_get(c->review, "program_sha256"));
	add_fact(c, facts, "Arguments", card_get(c->review, "arguments"));
	add_fact(c, facts, "Parents", card_get(c->review, "parents"));
}

/* How many like it were approved lately, and how many sessions wait: what tells a reviewer that
 * they are being worn down. */
static void add_counts(cJSON *facts, const cJSON *review)
{
	uint64_t waiters = card_get_number(review, "waiters"),
		 approved = card_get_number(review, "approved_lately");

	card_add_number(add_label(facts, "Waiting"), waiters == 1 ? "%lu session" : "%lu sessions",
		waiters);
	if (approved)
		card_add_number(add_label(facts, "Like it, in 24 hours"),
			approved == 1 ? "approved %lu time" : "approved %lu times", approved);
}

/* "dba 1 of 2, security 0 of 1" */
static void add_approvals(const struct card *c, cJSON *facts)
{
	const cJSON *group, *groups = card_get(c->review, "groups");
	cJSON *paragraph;

	if (cJSON_GetArraySize(groups) == 0)
		return;
	paragraph = add_label(facts, "To approve");
	cJSON_ArrayForEach(group, groups)
	{
		if (group != groups->child)
			blocks_add_string(paragraph, ", ", NULL);
		card_add_value(c, paragraph, card_get_text(group, "name"), "code");
		card_add_number(paragraph, " %lu", card_get_number(group, "given"));
		card_add_number(paragraph, " of %lu", card_get_number(group, "needed"));
	}
}

static void add_deadline(cJSON *facts, const cJSON *review)
{
	uint64_t deadline = card_get_seconds(review, "deadline");

	if (deadline)
		blocks_add_date(add_label(facts, "Decide before"), deadline);
}

/* Folders have no rows. */
static bool is_of_files(struct slice operation)
{
	return slice_starts_with(operation, slice_from_string("scp_")) ||
		slice_starts_with(operation, slice_from_string("rsync_"));
}

/* What acts on whatever is there: "delete public.orders". Said by itself, as a reviewer looks for
 * it. */
static void add_all(const struct card *c, cJSON *facts, bool files, const char *label)
{
	cJSON *found = cJSON_CreateArray();
	const cJSON *pair;

	cJSON_ArrayForEach(pair, card_get(c->review, "pairs"))
	{
		struct slice operation = card_get_text(pair, "operation"),
			     object = card_get_text(pair, "object");
		char *name;

		if (!cJSON_IsTrue(card_get(pair, "everything")) || is_of_files(operation) != files)
			continue;
		name = memory_format("%.*s %.*s", SLICE_PRINT(operation), SLICE_PRINT(object));
		cJSON_AddItemToArray(found, cJSON_CreateString(name));
		free(name);
	}
	add_fact(c, facts, label, found);
	cJSON_Delete(found);
}

static void add_facts(const struct card *c)
{
	static const struct {
		const char *label, *name;
	} rows[] = {
		{"Agent", "agent"},
		{"Principal", "principal"},
		{"On behalf of", "on_behalf_of"},
		{"Its groups", "principal_groups"},
		{"Resource", "resource"},
		{"Database", "database"},
		{"As user", "user"},
		{"Runs as role", "as"},
		{"Rule", "rule"},
		{"Operations", "operations"},
		{"Objects", "objects"},
		{"Not known", "unknown"},
		{"Digest", "digest"},
	};
	cJSON *facts = blocks_add_rich_text(c->blocks);

	card_add_value(c, add_label(facts, "Review"), card_get_text(c->review, "id"), "code");
	card_add_value(c, add_label(facts, "Host"), slice_from_string(c->options->host), "code");
	add_program(c, facts);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		add_fact(c, facts, rows[i].label, card_get(c->review, rows[i].name));
	add_all(c, facts, false, "No WHERE, all rows");
	add_all(c, facts, true, "With all below it");
	if (!c->options->closed) {
		add_counts(facts, c->review);
		add_approvals(c, facts);
		add_deadline(facts, c->review);
	}
}

/* --- the end: buttons, or commands --- */

static void describe_time(uint64_t nanoseconds, char *ret, size_t size)
{
	static const struct {
		uint64_t seconds;
		const char *name;
	} units[] = {{24 * 3600, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	uint64_t seconds = nanoseconds / NANOSECONDS_PER_SECOND;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (seconds % units[i].seconds == 0 && seconds >= units[i].seconds) {
			snprintf(ret, size, "Approve for %lu %s",
				(unsigned long)(seconds / units[i].seconds), units[i].name);
			return;
		}
	}
	snprintf(ret, size, "Approve for %lu ms",
		(unsigned long)(nanoseconds / NANOSECONDS_PER_MILLISECOND));
}

static void add_buttons(cJSON *blocks, const char *id, uint64_t grant)
{
	cJSON *block = blocks_add(blocks, "actions"),
	      *elements = cJSON_AddArrayToObject(block, "elements");
	char text[BLOCKS_BUTTON_MOST + 1], value[64];

	blocks_add_button(elements, CALLBACK_APPROVE, id, "Approve once", "primary");
	if (grant) {
		describe_time(grant, text, sizeof(text));
		snprintf(value, sizeof(value), "%s %lu", id, (unsigned long)grant);
		blocks_add_button(elements, CALLBACK_APPROVE_TIME, value, text, NULL);
	}
	blocks_add_button(elements, CALLBACK_DENY, id, "Deny", "danger");
}

static void add_command_lines(cJSON *blocks, const char *id)
{
	cJSON *rich_text = blocks_add_rich_text(blocks);
	char text[128];

	snprintf(text, sizeof(text), "wayleave reviews approve %s", id);
	blocks_add_string(blocks_add_paragraph(rich_text), text, "code");
	snprintf(text, sizeof(text), "wayleave reviews deny %s --reason …", id);
	blocks_add_string(blocks_add_paragraph(rich_text), text, "code");
}

void card_add_fallback(cJSON *message, const cJSON *review, const struct card_options *o)
{
	struct buffer text;

	buffer_init(&text, CARD_TEXT_MOST);
	buffer_append_string(&text, o->closed ? "Review " : "Approval wanted: review ");
	visible_escaped(&text, card_get_text(review, "id"), CARD_VALUE_MOST);
	buffer_append_string(&text, ", agent ");
	visible_escaped(&text, card_get_text(review, "agent"), CARD_VALUE_MOST);
	buffer_append_string(&text, " on ");
	visible_escaped(&text, card_get_text(review, "resource"), CARD_VALUE_MOST);
	if (o->closed) {
		buffer_append_string(&text, ": ");
		visible_escaped(&text, card_get_text(review, "state"), CARD_VALUE_MOST);
	}
	blocks_set_text(message, "text", buffer_slice(&text));
	buffer_done(&text);
}

static void add_title(cJSON *blocks, const cJSON *review, const struct card_options *o)
{
	struct slice agent = card_get_text(review, "agent"),
		     resource = card_get_text(review, "resource");
	struct buffer title;

	buffer_init(&title, CARD_TEXT_MOST);
	buffer_append_string(&title, o->closed ? "Review of " : "Approval wanted: ");
	visible_line(&title, agent, 60);
	buffer_append_string(&title, " on ");
	visible_line(&title, resource, 60);
	blocks_add_header(blocks, buffer_slice(&title));
	buffer_done(&title);
}

/* --- whole messages --- */

static cJSON *build(const cJSON *review, const struct card_options *o, unsigned percent)
{
	const char *id = cJSON_GetStringValue(card_get(review, "id"));
	cJSON *message = cJSON_CreateObject();
	struct card c = {.review = review, .options = o, .percent = percent};

	card_add_fallback(message, review, o);
	c.blocks = cJSON_AddArrayToObject(message, "blocks");
	add_title(c.blocks, review, o);
	add_facts(&c);
	card_add_statement(&c);
	card_add_parameters(&c);
	card_add_impact(&c);
	if (o->closed)
		card_add_outcome(&c);
	else if (o->interactive)
		add_buttons(c.blocks, id ? id : "", o->grant);
	else
		add_command_lines(c.blocks, id ? id : "");
	return message;
}

static bool is_short_enough(const cJSON *message)
{
	char *json = cJSON_PrintUnformatted(card_get(message, "blocks"));
	bool r = strlen(json) <= CARD_BLOCKS_MOST;

	free(json);
	return r;
}

/* What an agent writes at length in every place that it has may not keep the whole from being
 * shown: then all texts get less room. */
cJSON *card_build(const cJSON *review, const struct card_options *o)
{
	static const unsigned percents[] = {100, 60, 35, 20, 10};
	cJSON *message = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
		cJSON_Delete(message);
		message = build(review, o, percents[i]);
		if (is_short_enough(message))
			break;
	}
	return message;
}

static cJSON *build_reason_input(void)
{
	cJSON *input = cJSON_CreateObject();

	cJSON_AddStringToObject(input, "type", "plain_text_input");
	cJSON_AddStringToObject(input, "action_id", CALLBACK_REASON);
	cJSON_AddTrueToObject(input, "multiline");
	cJSON_AddNumberToObject(input, "min_length", 1);
	cJSON_AddNumberToObject(input, "max_length", BLOCKS_REASON_MOST);
	return input;
}

cJSON *card_build_dialog(const struct identifier *review, const char *context)
{
	cJSON *view = cJSON_CreateObject(), *block;
	char title[BLOCKS_TITLE_MOST + 1];

	snprintf(title, sizeof(title), "Deny %.19s", review->text);
	cJSON_AddStringToObject(view, "type", "modal");
	cJSON_AddStringToObject(view, "callback_id", CALLBACK_DENY);
	cJSON_AddStringToObject(view, "private_metadata", context);
	cJSON_AddItemToObject(view, "title", blocks_plain_text(title));
	cJSON_AddItemToObject(view, "submit", blocks_plain_text("Deny"));
	cJSON_AddItemToObject(view, "close", blocks_plain_text("Back"));
	block = blocks_add(cJSON_AddArrayToObject(view, "blocks"), "input");
	cJSON_AddStringToObject(block, "block_id", CALLBACK_REASON);
	cJSON_AddItemToObject(block, "label", blocks_plain_text("Why? The agent sees this."));
	cJSON_AddItemToObject(block, "element", build_reason_input());
	return view;
}

cJSON *card_build_private(const char *sentence)
{
	cJSON *message = cJSON_CreateObject();
	struct buffer text;

	buffer_init(&text, CARD_TEXT_MOST);
	visible_escaped(&text, slice_from_string(sentence), BROKER_SENTENCE_MOST);
	cJSON_AddStringToObject(message, "response_type", "ephemeral");
	cJSON_AddFalseToObject(message, "replace_original");
	blocks_set_text(message, "text", buffer_slice(&text));
	buffer_done(&text);
	return message;
}
