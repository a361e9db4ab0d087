/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in a configuration: their form, that each stands once, and what refers to them.
 */
#include "policy/config_check.h"

#include <string.h>

#include "policy/suggest.h"

#define CONFIG_NAME_MOST 63

static const struct config_named *array_at(const struct config_array *a, size_t index)
{
	return (const void *)((const char *)a->items + index * a->size);
}

const struct config_named *config_array_find(const struct config_array *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct config_named *item = array_at(a, i);

		if (item->name.text && strcmp(item->name.text, name) == 0)
			return item;
	}
	return NULL;
}

void config_check_unique(struct loader *l, const struct config_array *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct config_named *item = array_at(a, i);
		const struct config_named *first =
			item->name.text ? config_array_find(a, item->name.text) : item;

		if (first && first != item)
			loader_error(l, item->name.place,
				"\"%s\" is the name of another %s too, at %s:%u", item->name.text,
				a->what, first->name.place.file, first->name.place.line);
	}
}

void config_check_name(struct loader *l, const struct config_text *name, const char *what)
{
	size_t length = 0;

	if (!name->text)
		return;
	while (name->text[length] &&
		strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		       "abcdefghijklmnopqrstuvwxyz0123456789._@-",
			name->text[length]))
		length++;
	if (name->text[length] || length > CONFIG_NAME_MOST || name->text[0] == '-')
		loader_error(l, name->place,
			"\"%s\" can't name %s; expected at most %d of letters, digits and ._@-, "
			"not beginning with -",
			name->text, what, CONFIG_NAME_MOST);
}

bool config_check_reference(struct loader *l, const char *key, const struct config_text *name,
	const struct config_array *a, const char *also)
{
	struct suggestion near;

	if (!name->text || config_array_find(a, name->text) ||
		(also && strcmp(name->text, also) == 0))
		return true;
	suggestion_init(&near, name->text);
	for (size_t i = 0; i < a->count; i++) {
		if (array_at(a, i)->name.text)
			suggestion_offer(&near, array_at(a, i)->name.text);
	}
	loader_error(l, name->place, "\"%s\": there is no %s \"%s\"" SUGGESTION_FORMAT, key,
		a->what, name->text, SUGGESTION_PRINT(&near));
	return false;
}
