/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc: what a response of our own says to who speaks gRPC: a status and a message, in headers that
 * are the whole response ("Trailers-Only" of gRPC's "PROTOCOL-HTTP2"), or in trailers behind what
 * the server broke off. Its libraries read nothing else; a stream that is reset is an error of this
 * protocol's own to them, which they don't try again.
 */
#include "protocol/http/dialect.h"
#include "protocol/http2/http2.h"

/* google.rpc.Code, of what the status of HTTP means here. */
const char *http2_grpc_status(unsigned status)
{
	static const struct {
		unsigned status;
		const char *code;
	} codes[] = {
		{403, "7"}, /* PERMISSION_DENIED */
		{431, "8"}, /* RESOURCE_EXHAUSTED */
		{501, "12"}, /* UNIMPLEMENTED */
		{502, "14"}, /* UNAVAILABLE */
		{503, "14"}, {504, "4"}, /* DEADLINE_EXCEEDED */
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i].status == status)
			return codes[i].code;
	}
	return "13"; /* INTERNAL: how it is spoken, not what it asks for, is wrong */
}

/* Percent-encoded but for printable ASCII. */
int http2_grpc_put_message(struct buffer *out, const struct protocol_refusal *refusal)
{
	struct buffer plain;
	struct slice text;
	int r;

	buffer_init(&plain, LIMIT_HTTP_ANSWER);
	r = buffer_append_format(&plain, "wayleave: %.*s", SLICE_PRINT(refusal->text));
	text = buffer_slice(&plain);
	for (size_t i = 0; r == 0 && i < text.length; i++) {
		uint8_t c = text.data[i];

		if (c < ' ' || c > '~' || c == '%')
			r = buffer_append_format(out, "%%%02X", c);
		else
			r = buffer_append_byte(out, c);
	}
	buffer_done(&plain);
	return r;
}

bool http2_is_grpc(const struct http_request *r)
{
	const struct http_field *type = http_fields_find(&r->head.fields, "content-type", NULL);

	return type && slice_starts_with(type->value, slice_from_string("application/grpc"));
}

bool http2_grpc_end(struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal)
{
	if (!s->grpc || s->server_ended || !http2_is_grpc(&s->request))
		return false;
	if (http2_grpc_put_message(&s->grpc_message, refusal) < 0)
		buffer_clear(&s->grpc_message);
	s->grpc_status = http2_grpc_status(status);
	http2_stream_stop(s);
	http2_stream_end(s, SIDE_AGENT);
	return true;
}

void http2_grpc_list_end(struct http2_list *l, const struct http2_stream *s)
{
	http2_list_add(l, slice_from_string("grpc-status"), slice_from_string(s->grpc_status));
	http2_list_add(l, slice_from_string("grpc-message"), buffer_slice(&s->grpc_message));
}
