/* SPDX-License-Identifier: Apache-2.0
 *
 * Records as JSON, for "audit export" and "sessions show --json": by the table of fields, so that a
 * new field needs nothing here.
 */
#include "base/memory.h"
#include "base/text.h"
#include "base/unseen.h"
#include "cli/recordings.h"
#include "recording/pair.h"
#include "recording/value.h"

static cJSON *json_value(const struct recorded_value *v)
{
	bool binary = v->form == VALUE_BINARY || v->form == VALUE_BINARY_CUT;
	cJSON *json;

	if (v->form == VALUE_NULL)
		return cJSON_CreateNull();
	if (v->form == VALUE_TEXT)
		return json_text(v->bytes);
	json = cJSON_CreateObject();
	if (v->form == VALUE_HIDDEN)
		cJSON_AddTrueToObject(json, "hidden");
	else
		cJSON_AddItemToObject(json, binary ? "binary" : "text",
			binary ? json_hex(v->bytes) : json_text(v->bytes));
	cJSON_AddItemToObject(json, "length", json_number(v->length));
	if (v->digest.length)
		cJSON_AddItemToObject(json, "sha256", json_hex(v->digest));
	return json;
}

static cJSON *json_value_field(struct slice bytes)
{
	struct recorded_value v;

	return value_decode(bytes, &v) < 0 ? cJSON_CreateNull() : json_value(&v);
}

static cJSON *json_row(struct slice row)
{
	cJSON *json = cJSON_CreateArray();
	struct recorded_value v;

	while (row.length && row_take(&row, &v) == 0)
		cJSON_AddItemToArray(json, json_value(&v));
	return json;
}

static cJSON *json_pair(struct slice bytes)
{
	cJSON *json = cJSON_CreateObject();
	struct recorded_pair pair;

	if (pair_decode(bytes, &pair) < 0)
		return json;
	cJSON_AddItemToObject(json, "operation", json_text(pair.operation));
	if (pair.state != OBJECT_NONE)
		cJSON_AddItemToObject(json, "object", json_text(pair.object));
	if (pair.state == OBJECT_UNKNOWN)
		cJSON_AddTrueToObject(json, "unknown");
	if (pair.everything)
		cJSON_AddTrueToObject(json, "everything");
	return json;
}

static cJSON *json_head(struct slice bytes)
{
	cJSON *json = cJSON_CreateObject();
	struct identifier incarnation;
	struct stream_head head;

	if (stream_head_decode(bytes, &incarnation, &head) < 0)
		return json;
	cJSON_AddStringToObject(json, "incarnation", incarnation.text);
	cJSON_AddStringToObject(json, "stream", stream_kind_name(head.kind));
	cJSON_AddItemToObject(json, "segment", json_number(head.segment));
	cJSON_AddItemToObject(json, "sequence", json_number(head.sequence));
	cJSON_AddItemToObject(json, "bytes", json_number(head.bytes));
	cJSON_AddItemToObject(json, "hash", json_hex(slice_of(head.hash, HASH_SIZE)));
	return json;
}

/* Numbers that are names of something. */
static const char *number_name(const struct field_item *item)
{
	switch (item->field) {
	case FIELD_VERDICT:
		return record_verdict_name(item->number);
	case FIELD_DATA_KIND:
		return record_data_name(item->number);
	case FIELD_OUTCOME:
		return record_outcome_name(item->number);
	case FIELD_EVENT:
		return host_event_name(item->number);
	case FIELD_STREAM:
		return item->number < STREAM_COUNT ? stream_kind_name((unsigned)item->number)
						   : NULL;
	default:
		return NULL;
	}
}

static cJSON *json_unknown(uint64_t bits)
{
	static const char *const names[] = {"text", "object", "effect"};
	cJSON *json = cJSON_CreateArray();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (bits >> i & 1)
			cJSON_AddItemToArray(json, cJSON_CreateString(names[i]));
	}
	return json;
}

static cJSON *json_item(const struct field_item *item)
{
	const char *name = number_name(item);
	char time[32];

	if (item->field == FIELD_UNKNOWN)
		return json_unknown(item->number);
	switch (field_form(item->field)) {
	case FORM_NUMBER:
		return name ? cJSON_CreateString(name) : json_number(item->number);
	case FORM_TIME:
		text_from_time(item->number, time);
		return cJSON_CreateString(time);
	case FORM_BYTES:
		return json_hex(item->bytes);
	case FORM_VALUE:
		return json_value_field(item->bytes);
	case FORM_ROW:
		return json_row(item->bytes);
	case FORM_PAIR:
		return json_pair(item->bytes);
	case FORM_HEAD:
		return json_head(item->bytes);
	default:
		return json_text(item->bytes);
	}
}

/* Fields that may stand more than once are arrays, also where there is one. */
static bool is_repeated(enum field field)
{
	return field == FIELD_RULE || field == FIELD_PAIR || field == FIELD_PARAMETER ||
		field == FIELD_COLUMN || field == FIELD_ROW || field == FIELD_HEAD;
}

cJSON *cli_json_entry(const struct entry *entry)
{
	cJSON *json = cJSON_CreateObject(), *arrays[FIELD_COUNT] = {NULL};
	const char *type = record_type_name(entry->type);

	cJSON_AddStringToObject(json, "record", type ? type : "unknown");
	json_add_time(json, "time", entry->time);
	for (size_t i = 0; i < entry->count; i++) {
		const struct field_item *item = &entry->items[i];
		const char *name = field_name(item->field);

		if (!is_repeated(item->field)) {
			if (item->field != FIELD_OCCASION && item->field != FIELD_POSITION)
				cJSON_AddItemToObject(json, name, json_item(item));
			continue;
		}
		if (!arrays[item->field])
			arrays[item->field] = cJSON_AddArrayToObject(json, name);
		cJSON_AddItemToArray(arrays[item->field], json_item(item));
	}
	return json;
}

/* As a JSON escape: beyond 16 bits two of them (RFC 8259, 7). */
static void print_hidden(uint32_t point)
{
	if (point > 0xffff)
		printf("\\u%04x", 0xd7c0u + (point >> 10));
	printf("\\u%04x", point > 0xffff ? 0xdc00u + (point & 0x3ff) : point);
}

/* cJSON escapes C0 controls, and what it prints between strings has none but newlines and tabs;
 * what else drives a terminal, or is not seen there, stands in strings alone. */
static void print_escaped(struct slice text)
{
	size_t plain = 0;

	while (plain < text.length) {
		struct slice rest = slice_from(text, plain);
		size_t n = rest.data[0] < 0x7f ? 1 : text_utf8_sequence(rest);

		if (n && (rest.data[0] < 0x7f || !unseen_is(rest, n))) {
			plain += n;
			continue;
		}
		fwrite(text.data, 1, plain, stdout);
		if (n)
			print_hidden(unseen_code_point(rest, n));
		text = slice_from(rest, n ? n : 1);
		plain = 0;
	}
	fwrite(text.data ? (const char *)text.data : "", 1, text.length, stdout);
}

static void print_and_free(cJSON *json, char *text)
{
	print_escaped(slice_from_string(text));
	putchar('\n');
	free(text);
	cJSON_Delete(json);
}

void cli_json_print_line(cJSON *json)
{
	print_and_free(json, cJSON_PrintUnformatted(json));
}

void cli_json_print(cJSON *json)
{
	print_and_free(json, cJSON_Print(json));
}
