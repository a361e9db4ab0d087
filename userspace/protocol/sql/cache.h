/* SPDX-License-Identifier: Apache-2.0
 *
 * cache: parsed texts by their bytes, and by their shape: the text with every free-standing decimal
 * integer of at most nine digits replaced by "0". Two texts of one shape differ in nothing but
 * integer constants and the content of strings and comments, so they have the same facts unless
 * those depend on literals; the conditions that make this true are in cache.c.
 *
 * One per worker; least recently used texts go first, by bytes (LIMIT_STATEMENT_CACHE_BYTES).
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_CACHE_H
#define WAYLEAVE_PROTOCOL_SQL_CACHE_H

#include "protocol/sql/statement.h"

struct sql_cache;

struct sql_cache *sql_cache_new(size_t limit_bytes);
void sql_cache_free(struct sql_cache *c); /* takes NULL */
/* A reference for the caller, or NULL: not there. */
struct sql_text *sql_cache_find(struct sql_cache *c, struct slice text);
/* Keeps a reference of its own. `text` is what was parsed to get `t`. Only parsed texts are kept.
 */
void sql_cache_add(struct sql_cache *c, struct slice text, struct sql_text *t);
/* Exposed for tests: writes the shape of `text` to `ret` (room for text.length) and its length to
 * *ret_length. False: the text has no shape of its own and is known by its bytes alone. */
bool sql_cache_shape(struct slice text, uint8_t *ret, size_t *ret_length);
/* Whether the name holds a number that a shape would leave out. */
bool sql_cache_has_number(struct slice name);

#endif
