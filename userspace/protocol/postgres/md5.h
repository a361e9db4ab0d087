/* SPDX-License-Identifier: Apache-2.0
 *
 * md5: PostgreSQL's older proof of a password (PostgreSQL 15 documentation, 55.2.1,
 * AuthenticationMD5Password).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_MD5_H
#define WAYLEAVE_PROTOCOL_POSTGRES_MD5_H

#include "base/slice.h"

#define PG_MD5_SALT 4
#define PG_MD5_ANSWER 35 /* "md5" and 32 digits */

/* `ret` gets a NUL behind the answer. -EIO: the library failed, or does without MD5. */
int pg_md5_answer(
	struct slice password, struct slice user, const uint8_t *salt, char ret[PG_MD5_ANSWER + 1]);

#endif
