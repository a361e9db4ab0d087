/* SPDX-License-Identifier: Apache-2.0
 *
 * response: the content of a response that is masked.
 */
#include <errno.h>

#include "base/text.h"
#include "protocol/http/request.h"

/* Why this response can't be masked; NULL: it can. */
static const char *unmaskable(const struct http_request *r, uint64_t length)
{
	const struct http_fields *fields = &r->head.fields;
	const struct http_field *type;

	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_is(&fields->items[i], "content-encoding") &&
			!text_equal_ignore_case(
				fields->items[i].value, slice_from_string("identity")))
			return "denied: the response is compressed, and can't be masked";
	}
	type = http_fields_find(fields, "content-type", NULL);
	if (type && slice_starts_with(type->value, slice_from_string("application/grpc")))
		return "denied: gRPC can't be masked";
	if (r->as_json && !(type && http_type_is_json(type->value)))
		return "denied: the response is not JSON, and can't be masked";
	if (r->status == 206)
		return "denied: the response is a part, which can't be masked";
	if (length > LIMIT_HTTP_BODY_MASKED && r->mask->mode == HTTP_MASK_JSON)
		return "denied: the response is too large to be masked";
	return NULL;
}

const char *http_response_begin_masking(struct http_request *r, uint64_t length)
{
	const struct http_field *type = http_fields_find(&r->head.fields, "content-type", NULL);

	http_mask_begin(r->mask, type ? type->value : SLICE_EMPTY);
	if (r->in_lines && r->status < 300)
		http_mask_in_lines(r->mask);
	return unmaskable(r, length);
}

bool http_response_waits(const struct http_request *r)
{
	if (r->mask->mode == HTTP_MASK_LINES && r->in_lines)
		return false; /* nobody knows when a line comes */
	return r->mask->mode == HTTP_MASK_JSON || r->mask->paths;
}

int http_response_mask(struct http_request *r, struct slice content, bool last, struct buffer *out)
{
	return http_mask_pass(r->mask, content, last, out);
}

const char *http_response_mask_problem(int error, enum reason *ret_reason)
{
	*ret_reason = error == -E2BIG ? REASON_LIMIT : REASON_MASK_IMPOSSIBLE;
	switch (error) {
	case -EBADMSG:
		return "denied: the response looks like JSON, is none, and can't be masked";
	case -E2BIG:
		return "denied: the response is too large to be masked";
	default:
		return NULL;
	}
}

size_t http_response_held(const struct http_request *r)
{
	return buffer_length(&r->mask->held);
}
