/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"

#define JSON_TEXT_MOST (64u << 20)

cJSON *json_text(struct slice text)
{
	struct buffer b;
	cJSON *json;

	buffer_init(&b, JSON_TEXT_MOST);
	/* cJSON escapes control characters itself; it takes C strings, and passes bytes on as they
	 * are. */
	if (text_is_utf8(text) && (text.length == 0 || !memchr(text.data, '\0', text.length)))
		buffer_append_slice(&b, text);
	else if (text_append_visible(&b, text) < 0)
		buffer_clear(&b);
	buffer_append_byte(&b, '\0');
	json = cJSON_CreateString((const char *)buffer_slice(&b).data);
	buffer_done(&b);
	return json;
}

cJSON *json_hex(struct slice bytes)
{
	char *text = memory_new(2 * bytes.length + 1);
	cJSON *json;

	text_to_hex(bytes, text);
	json = cJSON_CreateString(text);
	free(text);
	return json;
}

cJSON *json_number(uint64_t number)
{
	char text[24];

	if (number <= 1ULL << 53)
		return cJSON_CreateNumber((double)number);
	snprintf(text, sizeof(text), "%" PRIu64, number);
	return cJSON_CreateString(text);
}

cJSON *json_known_number(uint64_t number)
{
	return number == UINT64_MAX ? cJSON_CreateNull() : json_number(number);
}

cJSON *json_lines(struct slice text)
{
	cJSON *list = cJSON_CreateArray();

	while (text.length)
		cJSON_AddItemToArray(list, json_text(slice_take_until(&text, '\n')));
	return list;
}

const char *json_text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

double json_number_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

void json_add_text(cJSON *object, const char *name, struct slice text)
{
	if (text.length)
		cJSON_AddItemToObject(object, name, json_text(text));
	else
		cJSON_AddNullToObject(object, name);
}

void json_add_time(cJSON *object, const char *name, uint64_t wall_nanoseconds)
{
	char text[32];

	if (wall_nanoseconds == 0) {
		cJSON_AddNullToObject(object, name);
		return;
	}
	text_from_time(wall_nanoseconds, text);
	cJSON_AddStringToObject(object, name, text);
}
