/* SPDX-License-Identifier: Apache-2.0
 *
 * error: ErrorResponse and NoticeResponse (PostgreSQL 15 documentation, 55.8: fields).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_ERROR_H
#define WAYLEAVE_PROTOCOL_POSTGRES_ERROR_H

#include "base/buffer.h"

/* SQLSTATEs that we look for or send (PostgreSQL 15 documentation, appendix A). */
#define PG_STATE_INSUFFICIENT_PRIVILEGE "42501"
#define PG_STATE_SYNTAX_ERROR "42601"
#define PG_STATE_NO_STATEMENT "26000"
#define PG_STATE_NO_PORTAL "34000"
#define PG_STATE_FAILED_TRANSACTION "25P02"
#define PG_STATE_PROTOCOL_VIOLATION "08P01"
#define PG_STATE_CONNECTION_FAILURE "08006"
#define PG_STATE_CANNOT_CONNECT "08001"
#define PG_STATE_INVALID_AUTHORIZATION "28000"
#define PG_STATE_ADMIN_SHUTDOWN "57P01"
#define PG_STATE_PROGRAM_LIMIT "54000"
#define PG_STATE_IO_ERROR "58030"
#define PG_STATE_QUERY_CANCELED "57014"
#define PG_STATE_INTERNAL "XX000"

/* A walk over the fields of a message body: code byte, text. */
struct pg_error_walk {
	struct slice rest;
};

void pg_error_walk_init(struct pg_error_walk *w, struct slice body);
/* 1 and the next field; 0 at the end; -EBADMSG. */
int pg_error_next(struct pg_error_walk *w, char *ret_code, struct slice *ret_text);
/* The text of one field; the empty slice where it isn't there or the body is malformed. */
struct slice pg_error_field(struct slice body, char code);

/* An ErrorResponse of ours. `fatal`: severity FATAL, for what ends the session. `encoding`: of the
 * client (sql_encoding_clean()), in which the message, which is UTF-8, is written. What it does not
 * have is a question mark, as all that is not ASCII where it is neither UTF8 nor LATIN1; empty: not
 * known yet, and the message goes as it is. */
int pg_error_put(struct buffer *b, const char *encoding, bool fatal, const char *state,
	struct slice message);
/* A NoticeResponse of ours, severity NOTICE. */
int pg_notice_put(struct buffer *b, const char *encoding, struct slice message);
/* A ParameterStatus. */
int pg_status_put(struct buffer *b, const char *name, const char *value);

#endif
