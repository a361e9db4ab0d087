/* SPDX-License-Identifier: Apache-2.0
 *
 * head: the start line and fields of one HTTP/1.1 message, read more strictly than RFC 9112 asks:
 * what two readers could read differently is refused (bare CR or LF, folded lines, space around
 * names, control bytes), so that everyone behind us sees the message that was judged.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_HEAD_H
#define WAYLEAVE_PROTOCOL_HTTP_HEAD_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/text.h"

struct http_field {
	struct slice name; /* a token, not empty */
	struct slice value; /* without the space around it; no control bytes but tabs */
};

struct http_fields {
	struct http_field items[LIMIT_HTTP_FIELDS];
	size_t count;
};

/* Slices are of the parsed bytes. */
struct http_head {
	unsigned minor; /* of HTTP/1.x */
	struct slice method, target; /* of a request; neither empty */
	unsigned status; /* of a response: 100 to 999 */
	struct slice reason; /* may be empty */
	struct http_fields fields;
};

/* What is wrong with a message: the status that a server answers it with, and a sentence. */
struct http_problem {
	unsigned status; /* 0: nothing is wrong */
	const char *text; /* static */
};

/* Bytes that come, until they are a whole head. */
struct http_head_bytes {
	struct buffer held; /* LIMIT_HTTP_HEAD at most */
	size_t seen; /* bytes of it in which it does not end */
};

/* Takes bytes up to the head's end, its empty line. 1: it is whole; 0: more are needed, or there is
 * a problem: a line that does not end in CR LF, or too many bytes. -ENOMEM. */
int http_head_take(struct http_head_bytes *b, struct slice in, size_t *ret_taken,
	struct http_problem *ret_problem);
void http_head_clear(struct http_head_bytes *b);

/* A whole head, with its empty line; false: *ret_problem says why not. */
bool http_head_read_request(
	struct slice bytes, struct http_head *ret, struct http_problem *ret_problem);
bool http_head_read_response(
	struct slice bytes, struct http_head *ret, struct http_problem *ret_problem);
/* Fields alone, with the empty line behind them: trailers. */
bool http_fields_read(
	struct slice bytes, struct http_fields *ret, struct http_problem *ret_problem);

/* The slices are the same bytes. */
void http_fields_copy(struct http_fields *to, const struct http_fields *from);
/* The only field of that name (any case), NULL where there is none. *ret_count: how many there are;
 * may be NULL. */
const struct http_field *http_fields_find(
	const struct http_fields *fields, const char *name, size_t *ret_count);
/* Whether the comma-separated lists of all fields of that name have the token (any case). */
bool http_fields_list_has(const struct http_fields *fields, const char *name, struct slice token);
/* The digits of a status, which has three. */
#define HTTP_STATUS_DIGITS 3
void http_status_put(unsigned status, char ret[HTTP_STATUS_DIGITS]);
bool http_is_token(struct slice s);
/* Whether it can be a target by its bytes; not empty. */
bool http_is_target(struct slice s);
/* Whether the field has that name, or one of those (any case). Asked of each field for each of many
 * names: most differ in their length. */
static inline bool http_field_is_named(const struct http_field *field, struct slice name)
{
	return field->name.length == name.length && text_equal_ignore_case(field->name, name);
}

static inline bool http_field_is(const struct http_field *field, const char *name)
{
	return http_field_is_named(field, slice_from_string(name));
}

bool http_field_is_one_of(const struct http_field *field, const char *const *names, size_t count);
/* Without the space and tabs around it (RFC 9110, 5.6.3). */
struct slice http_trim(struct slice s);
/* Takes the next element of a comma-separated list, without the space around it; false: no more. */
bool http_list_next(struct slice *rest, struct slice *ret);

#endif
