/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials: the resource's secret in a request, in place of what the agent says there. Pure
 * functions on texts: whoever holds the secret wipes it, and what it was written to.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_CREDENTIALS_H
#define WAYLEAVE_PROTOCOL_HTTP_CREDENTIALS_H

#include "protocol/protocol.h"

/* Whether the secret, or whom the request is said to be of, takes the place of the agent's field of
 * that name, in any spelling that a server could take for it. */
bool http_credentials_replace(const struct protocol_credentials *c, struct slice name);
/* The field that shows the secret; empty: none does. */
struct slice http_credentials_field(const struct protocol_credentials *c);
/* Appends that field's value. -EINVAL: the secret can't stand there. */
int http_credentials_put_value(
	const struct protocol_credentials *c, struct slice secret, struct buffer *out);
/* Appends a request's target, where the secret is in the query: with it, and without the agent's
 * parameters of that name. */
int http_credentials_put_target(const struct protocol_credentials *c, struct slice target,
	struct slice secret, struct buffer *out);
/* Whether a response's field of that name may repeat the query's secret, as servers that redirect
 * do; and its value, appended without the parameter. */
bool http_credentials_may_be_in(const struct protocol_credentials *c, struct slice name);
int http_credentials_put_link(const struct protocol_credentials *c, struct slice name,
	struct slice value, struct buffer *out);
/* Whether the parameter is still named in the value, however often it is encoded there. */
bool http_credentials_are_named(const struct protocol_credentials *c, struct slice value);

#endif
