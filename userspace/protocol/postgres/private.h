/* SPDX-License-Identifier: Apache-2.0
 *
 * private: queries of our own among the agent's messages: by the extended protocol and under names
 * that nobody else can know, so that the agent's unnamed statement and portal stay as they are.
 * PostgreSQL 15 documentation, 55.2.3.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_PRIVATE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_PRIVATE_H

#include "base/buffer.h"

#define PG_PRIVATE_NAME_SIZE 64

/* The name of the session's private `what`, of which there are several by their number. `nonce`: of
 * struct protocol_host. */
void pg_private_name(
	const uint8_t nonce[32], const char *what, unsigned number, char ret[PG_PRIVATE_NAME_SIZE]);

/* All append; errors are the buffer's. */
/* Parse without parameters: the statement `name`. */
int pg_private_put_parse(struct buffer *b, const char *name, const char *text);
/* Bind of the statement to a portal of its name. */
int pg_private_put_bind(struct buffer *b, const char *name);
/* Close: of statement ('S') or portal ('P'), whether it is there or not. */
int pg_private_put_close(struct buffer *b, char kind, const char *name);
/* Bind, Execute and Close of the portal; answered by 2, what it returns, C and 3. */
int pg_private_put_run(struct buffer *b, const char *name);
/* Parse, the run, and Close of the statement; answered by 1, those of the run, and 3. */
int pg_private_put_query(struct buffer *b, const char *name, const char *text);

#endif
