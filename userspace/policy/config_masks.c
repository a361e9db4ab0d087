/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of the masks that an allow or review carries.
 */
#include "policy/config_check.h"

#include "masking/json_path.h"
#include "policy/suggest.h"

#define SQL_PROTOCOLS (1u << PROTOCOL_POSTGRES | 1u << PROTOCOL_MYSQL)
#define JSON_PROTOCOLS (1u << PROTOCOL_HTTP | 1u << PROTOCOL_KUBERNETES)

/* "schema.table.column": exactly three parts, none empty. */
static bool is_column_pattern(const char *text)
{
	size_t parts = 1, length = 0;

	for (const char *p = text; *p; p++) {
		if (*p != '.') {
			length++;
			continue;
		}
		if (length == 0)
			return false;
		parts++;
		length = 0;
	}
	return parts == 3 && length;
}

static bool is_json_pattern(const char *text)
{
	return json_path_is_valid(slice_from_string(text));
}

static void check_detectors(struct loader *l, const struct config_texts *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct config_text *name = &list->items[i];
		struct suggestion near;

		if (detector_from_name(slice_from_string(name->text)) != DETECTOR_COUNT)
			continue;
		suggestion_init(&near, name->text);
		for (unsigned j = 0; j < DETECTOR_COUNT; j++)
			suggestion_offer(&near, detector_name((enum detector)j));
		loader_error(l, name->place,
			"\"detect\": there is no detector \"%s\"" SUGGESTION_FORMAT, name->text,
			SUGGESTION_PRINT(&near));
	}
}

/* One list of patterns in a mask. */
static void check_patterns(struct loader *l, const char *key, const struct config_texts *list,
	bool (*is_pattern)(const char *text), const char *expected, bool masks_something)
{
	if (list->place.file && !masks_something)
		loader_error(
			l, list->place, "\"%s\" masks nothing in the resources of this rule", key);
	for (size_t i = 0; i < list->count; i++) {
		if (!is_pattern(list->items[i].text))
			loader_error(l, list->items[i].place, "\"%s\": expected %s, not \"%s\"",
				key, expected, list->items[i].text);
	}
}

static void check_mask(struct loader *l, const struct config_mask *mask, unsigned present)
{
	if (mask->columns.count + mask->json.count + mask->detect.count == 0)
		loader_error(l, mask->place,
			"a mask needs \"columns\", \"json\" or \"detect\" with something in it");
	check_patterns(l, "columns", &mask->columns, is_column_pattern, "SCHEMA.TABLE.COLUMN",
		present & SQL_PROTOCOLS);
	check_patterns(l, "json", &mask->json, is_json_pattern, "a path as $.customers[*].ssn",
		present & JSON_PROTOCOLS);
	check_detectors(l, &mask->detect);
	if (mask->binary.place.file &&
		(!(present & JSON_PROTOCOLS) || mask->json.count + mask->detect.count == 0))
		loader_error(l, mask->binary.place,
			"\"binary\" is about what \"json\" and \"detect\" mask in HTTP and "
			"Kubernetes; expected some in this mask, and such a resource");
	if (mask->filter.value == MASK_FILTER_ALLOW && mask->columns.count == 0)
		loader_error(l, mask->filter.place,
			"\"filter\" is about \"columns\"; expected some in this mask");
}

void config_check_masks(
	struct loader *l, const struct config_mask *masks, size_t count, unsigned protocols)
{
	for (size_t i = 0; i < count; i++)
		check_mask(l, &masks[i], protocols);
}
