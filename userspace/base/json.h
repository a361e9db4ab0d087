/* SPDX-License-Identifier: Apache-2.0
 *
 * json: values of JSON (cJSON) from bytes that may hold anything.
 */
#ifndef WAYLEAVE_BASE_JSON_H
#define WAYLEAVE_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/slice.h"

/* All that return a value give it to the caller. */

/* A string of valid UTF-8: what isn't is made visible. */
cJSON *json_text(struct slice text);
/* Lower-case hexadecimal. */
cJSON *json_hex(struct slice bytes);
/* A number; a string where not every reader of JSON would keep it exactly. */
cJSON *json_number(uint64_t number);
/* The same; null where it is not known (UINT64_MAX). */
cJSON *json_known_number(uint64_t number);

/* A list of the lines. */
cJSON *json_lines(struct slice text);

/* What stands in an object. The text lives as long as it; NULL: not there, or no text. */
const char *json_text_of(const cJSON *object, const char *name);
/* 0: not there, or no number. */
double json_number_of(const cJSON *object, const char *name);

/* null where it is empty. */
void json_add_text(cJSON *object, const char *name, struct slice text);
/* RFC 3339 in UTC; null for 0. */
void json_add_time(cJSON *object, const char *name, uint64_t wall_nanoseconds);

#endif
