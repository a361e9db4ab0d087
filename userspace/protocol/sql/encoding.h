/* SPDX-License-Identifier: Apache-2.0
 *
 * encoding: encodings of clients and servers, as far as they decide how the server reads SQL text.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_ENCODING_H
#define WAYLEAVE_PROTOCOL_SQL_ENCODING_H

#include "base/slice.h"

#define SQL_ENCODING_MOST 64
#define SQL_NAME_BYTES 63 /* NAMEDATALEN - 1: longer ones are cut */

/* The name without punctuation and in lower case, as the server compares them (encnames.c:
 * clean_encoding_name); `ret` has room for SQL_ENCODING_MOST bytes. -E2BIG: no encoding has so long
 * a name. */
int sql_encoding_clean(struct slice name, char *ret);
/* Whether the server reads SQL in this client encoding such that no byte of a multi-byte character
 * can be taken for ASCII (PostgreSQL 15 documentation, 24.3.1: what is not usable on a server). */
bool sql_encoding_is_safe(struct slice name);
/* Whether a server of that encoding (clean; "": not known) takes the identifier, which is UTF-8 and
 * was read by the rules for a server that has UTF-8 too, for the same name. Another one may cut it
 * elsewhere, since its bytes are others (truncate_identifier, scansup.c), and where a character is
 * a byte fold it to lower case where it is not quoted (downcase_identifier), which is not known
 * here.
 */
bool sql_encoding_keeps_name(struct slice name, const char *server);

#endif
