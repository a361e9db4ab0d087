/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/blocks.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

void blocks_set_text(cJSON *object, const char *name, struct slice text)
{
	char *copy = memory_copy_text(text.data, text.length);

	cJSON_AddStringToObject(object, name, copy);
	free(copy);
}

cJSON *blocks_add(cJSON *list, const char *type)
{
	cJSON *block = cJSON_CreateObject();

	cJSON_AddStringToObject(block, "type", type);
	cJSON_AddItemToArray(list, block);
	return block;
}

cJSON *blocks_plain_text(const char *text)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddStringToObject(object, "type", "plain_text");
	cJSON_AddStringToObject(object, "text", text);
	cJSON_AddFalseToObject(object, "emoji");
	return object;
}

cJSON *blocks_add_header(cJSON *list, struct slice text)
{
	cJSON *block = blocks_add(list, "header");
	struct buffer shown;

	/* "…" is three bytes and one character. */
	buffer_init(&shown, BLOCKS_HEADER_MOST + 4);
	visible_line(&shown, text, BLOCKS_HEADER_MOST - 1);
	buffer_append_byte(&shown, '\0');
	cJSON_AddItemToObject(block, "text", blocks_plain_text((const char *)shown.data));
	buffer_done(&shown);
	return block;
}

cJSON *blocks_add_button(
	cJSON *elements, const char *action, const char *value, const char *text, const char *style)
{
	cJSON *button = blocks_add(elements, "button");

	cJSON_AddStringToObject(button, "action_id", action);
	cJSON_AddStringToObject(button, "value", value);
	cJSON_AddItemToObject(button, "text", blocks_plain_text(text));
	if (style)
		cJSON_AddStringToObject(button, "style", style);
	return button;
}

static cJSON *add_with_elements(cJSON *list, const char *type)
{
	return cJSON_AddArrayToObject(blocks_add(list, type), "elements");
}

cJSON *blocks_add_rich_text(cJSON *list)
{
	return add_with_elements(list, "rich_text");
}

cJSON *blocks_add_paragraph(cJSON *rich_text)
{
	return add_with_elements(rich_text, "rich_text_section");
}

cJSON *blocks_add_preformatted(cJSON *rich_text, struct slice visible)
{
	cJSON *elements = add_with_elements(rich_text, "rich_text_preformatted");

	blocks_add_text(elements, visible, NULL);
	return elements;
}

void blocks_add_text(cJSON *paragraph, struct slice visible, const char *style)
{
	cJSON *text;

	if (visible.length == 0)
		return;
	text = blocks_add(paragraph, "text");
	blocks_set_text(text, "text", visible);
	if (style)
		cJSON_AddTrueToObject(cJSON_AddObjectToObject(text, "style"), style);
}

void blocks_add_string(cJSON *paragraph, const char *text, const char *style)
{
	blocks_add_text(paragraph, slice_from_string(text), style);
}

void blocks_add_date(cJSON *paragraph, uint64_t seconds)
{
	cJSON *date = blocks_add(paragraph, "date");
	char fallback[32];

	text_from_time(seconds * NANOSECONDS_PER_SECOND, fallback);
	cJSON_AddNumberToObject(date, "timestamp", (double)seconds);
	cJSON_AddStringToObject(date, "format", "{date_short_pretty} at {time_secs}");
	cJSON_AddStringToObject(date, "fallback", fallback);
}
