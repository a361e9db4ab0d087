/* SPDX-License-Identifier: Apache-2.0
 *
 * copy: COPY … TO STDOUT with masks. CopyOutResponse names no columns, so those are what
 * sql_trace() found for the text, and their types are not known.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_COPY_H
#define WAYLEAVE_PROTOCOL_POSTGRES_COPY_H

#include "protocol/postgres/engine.h"

/* Why the text can't run with masks; NULL: it can. Static. */
const char *pg_copy_refusal(const struct sql_text *text);
/* At CopyOutResponse (`body`): prepares e->copy where the request has masks. -EBADMSG; -EPERM with
 * e->trouble where the data can't be masked. */
int pg_copy_begin(struct pg_engine *e, struct pg_request *q, struct slice body);
/* A part of CopyData's body; writes what it completes to the agent. Errors as above. */
int pg_copy_data(struct pg_engine *e, struct pg_request *q, struct slice part);
/* At CopyDone. */
int pg_copy_end(struct pg_engine *e);

#endif
