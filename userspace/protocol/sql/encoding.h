/* SPDX-License-Identifier: Apache-2.0
 *
 * encoding: client encodings, as far as they decide how the server reads SQL text.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_ENCODING_H
#define WAYLEAVE_PROTOCOL_SQL_ENCODING_H

#include "base/slice.h"

#define SQL_ENCODING_MOST 64

/* The name without punctuation and in lower case, as the server compares them (encnames.c:
 * clean_encoding_name); `ret` has room for SQL_ENCODING_MOST bytes. -E2BIG: no encoding has so long
 * a name. */
int sql_encoding_clean(struct slice name, char *ret);
/* Whether the server reads SQL in this client encoding such that no byte of a multi-byte character
 * can be taken for ASCII (PostgreSQL 15 documentation, 24.3.1: what is not usable on a server). */
bool sql_encoding_is_safe(struct slice name);
/* Whether the server takes the identifier, which is UTF-8 and was read by the rules for a server of
 * that encoding, for the same name where it has another one. There it may cut it elsewhere, since
 * its bytes are others (truncate_identifier, scansup.c), and where a character is a byte fold it to
 * lower case where it is not quoted (downcase_identifier), which is not known here. */
bool sql_encoding_keeps_name(struct slice name);

#endif
