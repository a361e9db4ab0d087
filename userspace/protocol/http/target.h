/* SPDX-License-Identifier: Apache-2.0
 *
 * target: the forms of a request's target (RFC 9112, 3.2), and names with ports.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_TARGET_H
#define WAYLEAVE_PROTOCOL_HTTP_TARGET_H

#include "base/slice.h"

enum http_target_form {
	HTTP_TARGET_PATH, /* origin-form or absolute-form */
	HTTP_TARGET_ASTERISK, /* OPTIONS * */
	HTTP_TARGET_AUTHORITY, /* CONNECT host:port */
};

/* Slices of the target. */
struct http_target {
	enum http_target_form form;
	struct slice authority; /* empty in origin-form */
	struct slice path; /* HTTP_TARGET_PATH: without the query */
};

struct http_authority {
	struct slice host; /* a name without its final dot, or an address without brackets */
	uint16_t port; /* 0: none is said */
};

/* Where CONNECT leads. */
#define HTTP_BEYOND_MOST 256
struct http_beyond {
	char name[HTTP_BEYOND_MOST]; /* in lower case, or an address as it is written most shortly
				      */
	uint16_t port;
};

/* False: not a target that the method can have. */
bool http_target_read(struct slice method, struct slice target, struct http_target *ret);
/* What stands before the query. */
struct slice http_target_path(struct slice target);
/* What stands behind its "?"; empty where there is none. */
struct slice http_target_query(struct slice target);
/* "name", "name:port", "10.0.0.1", "[fd00::1]:443"; false: none of these. */
bool http_authority_read(struct slice text, struct http_authority *ret);
/* Where CONNECT's authority leads; false: that is not one place, whoever looks it up. */
bool http_beyond_read(struct slice authority, struct http_beyond *ret);

#endif
