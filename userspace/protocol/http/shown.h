/* SPDX-License-Identifier: Apache-2.0
 *
 * shown: what people who decide about a request are shown of content that is no text: what it is,
 * its length and digest, and what can be read of it. What they decide about is the content itself,
 * and that is recorded.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_SHOWN_H
#define WAYLEAVE_PROTOCOL_HTTP_SHOWN_H

#include "masking/strategy.h"
#include "protocol/http/head.h"
#include "protocol/protocol.h"

#define HTTP_SHOWN_MOST (256u << 10) /* bytes of what can be read; the rest is said to be there */

enum http_shown {
	HTTP_SHOWN_TEXT, /* as it is */
	HTTP_SHOWN_BINARY, /* whatever it is */
	HTTP_SHOWN_PROTOBUF,
	HTTP_SHOWN_GRPC, /* messages, each with its length before it */
	HTTP_SHOWN_KUBERNETES, /* an object of its API's, in protobuf */
};

/* By the headers, of which the type may be missing, and by what stands in it. */
enum http_shown http_shown_of(const struct http_fields *fields, struct slice content);
/* As struct protocol's show(), for a value whose type is enum http_shown. */
int http_shown_put(
	const struct masker *masker, const struct protocol_value *value, struct buffer *ret);

#endif
