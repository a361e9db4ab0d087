/* SPDX-License-Identifier: Apache-2.0
 *
 * document: one JSON object from bytes that anybody may have written, as RFC 8259 has it and
 * nothing looser: two readers of the same bytes must see the same thing. Refused are names that
 * stand twice in an object, NUL in a text (cJSON would cut it there), broken UTF-8, lone
 * surrogates, bytes behind the end, and what is nested or long beyond base/limits.h.
 */
#ifndef WAYLEAVE_IDENTITY_DOCUMENT_H
#define WAYLEAVE_IDENTITY_DOCUMENT_H

#include <cjson/cJSON.h>

#include "base/error.h"
#include "base/slice.h"

/* The caller frees with cJSON_Delete(). -EBADMSG with a sentence. */
int document_parse(struct slice text, cJSON **ret, struct error *e);

/* Members by their exact names; NULL: not there. */
const cJSON *document_get(const cJSON *object, const char *name);
/* The member's text; NULL: not there, or no text. The object's. */
const char *document_get_text(const cJSON *object, const char *name);

#endif
