/* SPDX-License-Identifier: Apache-2.0
 *
 * diagnostics: all that is wrong with the files a person wrote, each with its place. Loaders add
 * to it and go on, so that one run finds everything.
 */
#ifndef WAYLEAVE_BASE_DIAGNOSTICS_H
#define WAYLEAVE_BASE_DIAGNOSTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum diagnostic_level { DIAGNOSTIC_WARNING, DIAGNOSTIC_ERROR };

struct diagnostic {
	enum diagnostic_level level;
	char *file;
	unsigned line; /* from 1; 0 = the file as a whole */
	char *text;
};

struct diagnostics {
	struct diagnostic *items;
	size_t count;
	size_t errors;
};

void diagnostics_init(struct diagnostics *d);
void diagnostics_done(struct diagnostics *d);
void diagnostics_add(struct diagnostics *d, enum diagnostic_level level, const char *file,
	unsigned line, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* One line each: "FILE:LINE: error: TEXT". */
void diagnostics_print(const struct diagnostics *d, FILE *out);

#endif
