/* SPDX-License-Identifier: Apache-2.0
 *
 * server: the handlers of what the server sends, and what they share. Internal to server.c,
 * result.c, failure.c and settle.c.
 *
 * A handler gets a message that is legal in this phase, and the most of its body that its row of
 * pg_server_messages asks for. 0, or negative errno: -EBADMSG: it answers nothing that was asked;
 * -EPERM: what it carries can't be masked.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_SERVER_H
#define WAYLEAVE_PROTOCOL_POSTGRES_SERVER_H

#include "protocol/postgres/engine.h"

/* server.c: passes the message on, or takes it away, with what of it has not arrived yet. */
int pg_server_forward(struct pg_engine *e, const struct pg_frame *m);
int pg_server_drop(struct pg_engine *e, const struct pg_frame *m);

/* result.c */
int pg_result_on_complete(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_parameters(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_row_description(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_no_data(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_command_complete(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_empty(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_function(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_copy_in(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_copy_out(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_copy_both(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_copy_data(struct pg_engine *e, const struct pg_frame *m);
int pg_result_on_copy_done(struct pg_engine *e, const struct pg_frame *m);
/* DataRows at the head of `in`, as many as have arrived; *taken grows by their bytes. */
int pg_result_on_rows(struct pg_engine *e, struct slice in, size_t *taken);
/* The columns of the rows that come now; NULL: nothing is masked or recorded in them. Both stay the
 * engine's. -EBADMSG: no rows belong here. */
int pg_result_columns(
	struct pg_engine *e, struct pg_request **ret_request, struct pg_columns **ret_columns);

/* failure.c */
int pg_failure_on_error(struct pg_engine *e, const struct pg_frame *m);
int pg_failure_on_notice(struct pg_engine *e, const struct pg_frame *m);

/* settle.c */
/* A command of the request at the head has no more rows or COPY data. */
void pg_settle_rows(struct pg_engine *e);
/* The request at the head is answered. */
void pg_settle_head(struct pg_engine *e, bool succeeded);
/* The names of statements and cursors, when the command that the request is at has run. -E2BIG: too
 * many. */
int pg_settle_names(struct pg_engine *e, const struct pg_request *q);
/* Tells the result of the request's action: the command's tag, or an error's code and text. */
void pg_settle_report(struct pg_engine *e, const struct pg_request *q, struct slice tag,
	struct slice code, struct slice text);

#endif
