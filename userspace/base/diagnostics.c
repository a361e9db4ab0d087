/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diagnostics.h"

#include <stdarg.h>

#include "base/memory.h"

void diagnostics_init(struct diagnostics *d)
{
	*d = (struct diagnostics){0};
}

void diagnostics_done(struct diagnostics *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->items[i].file);
		free(d->items[i].text);
	}
	free(d->items);
	diagnostics_init(d);
}

void diagnostics_add(struct diagnostics *d, enum diagnostic_level level, const char *file,
	unsigned line, const char *format, ...)
{
	struct diagnostic *item;
	va_list arguments;

	d->items = memory_resize_array(d->items, d->count + 1, sizeof(*d->items));
	item = &d->items[d->count++];
	*item = (struct diagnostic){.level = level, .line = line, .file = memory_copy_string(file)};
	va_start(arguments, format);
	if (vasprintf(&item->text, format, arguments) < 0)
		item->text = memory_copy_string("(out of memory)");
	va_end(arguments);
	if (level == DIAGNOSTIC_ERROR)
		d->errors++;
}

void diagnostics_print(const struct diagnostics *d, FILE *out)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct diagnostic *item = &d->items[i];
		const char *level = item->level == DIAGNOSTIC_ERROR ? "error" : "warning";

		if (item->line)
			fprintf(out, "%s:%u: %s: %s\n", item->file, item->line, level, item->text);
		else
			fprintf(out, "%s: %s: %s\n", item->file, level, item->text);
	}
}
