/* SPDX-License-Identifier: Apache-2.0
 *
 * response: the content of a response that is masked.
 */
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/coding.h"
#include "protocol/http/media.h"
#include "protocol/http/request.h"

#define BINARY "denied: the response is binary, which the rule refuses"
#define CHARSET "denied: the response is in a character set that can't be masked"

/* It is not asked for one, but may be in a coding all the same. NULL: it can be read. */
static const char *open_codings(struct http_request *r)
{
	struct http_codings codings;

	http_decoder_free(r->decoder);
	r->decoder = NULL;
	if (http_codings_read(&r->head.fields, &codings) < 0)
		return "denied: the response is in a coding that can't be masked";
	if (codings.count == 0)
		return NULL;
	r->decoder = http_decoder_new(&codings);
	return r->decoder ? NULL : "denied: there is no memory to decode the response";
}

/* Whether all that it says of its type names character sets that are read. */
static bool is_readable(const struct http_fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_is(&fields->items[i], "content-type") &&
			!http_type_is_readable(fields->items[i].value))
			return false;
	}
	return true;
}

/* Messages with lengths and sums, and texts in base64 within (Bedrock's): what is found could not
 * be replaced, and most would not be found. */
static bool is_in_frames(struct slice type)
{
	const struct slice aws = slice_from_string("application/vnd.amazon.eventstream");

	return text_equal_ignore_case(slice_head(type, aws.length), aws);
}

/* Why this response can't be masked; NULL: it can. */
static const char *unmaskable(const struct http_request *r, uint64_t length)
{
	const struct http_fields *fields = &r->head.fields;
	const struct http_field *type;

	type = http_fields_find(fields, "content-type", NULL);
	if (r->mask->binary == MASK_BINARY_REFUSE && type && !http_type_is_text(type->value))
		return BINARY;
	if (type && slice_starts_with(type->value, slice_from_string("application/grpc")))
		return "denied: gRPC can't be masked";
	if (type && is_in_frames(type->value) && r->mask->binary != MASK_BINARY_PASS)
		return "denied: AWS's event streams can't be masked";
	if (!is_readable(fields))
		return CHARSET;
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
	const char *why = open_codings(r);

	r->noted = false;
	if (why)
		return why;
	http_mask_begin(r->mask, type ? type->value : SLICE_EMPTY);
	if (r->in_lines && r->status < 300)
		http_mask_in_lines(r->mask);
	return unmaskable(r, length);
}

bool http_response_waits(const struct http_request *r)
{
	if (r->mask->mode == HTTP_MASK_LINES && r->in_lines)
		return false; /* nobody knows when a line comes */
	if (r->decoder && r->mask->mode == HTTP_MASK_TEXT)
		return true;
	return r->mask->mode == HTTP_MASK_JSON || r->mask->paths;
}

/* Where what was decoded goes. */
struct masked {
	struct http_decoded decoded;
	struct http_mask *mask;
	struct buffer *out;
	int error; /* of masking, not of decoding */
};

static int mask_decoded(struct http_decoded *d, struct slice content)
{
	struct masked *m = container_of(d, struct masked, decoded);

	m->error = http_mask_pass(m->mask, content, false, m->out);
	return m->error;
}

/* -EPROTO: it is not in the coding that it claims to be in. */
static int decode(struct http_request *r, struct slice content, bool last, struct buffer *out)
{
	struct masked m = {.decoded.take = mask_decoded, .mask = r->mask, .out = out};
	int error = http_decoder_take(r->decoder, content, last, &m.decoded);

	return error == -EBADMSG && m.error == 0 ? -EPROTO : error;
}

int http_response_mask(struct http_request *r, struct slice content, bool last, struct buffer *out)
{
	int error;

	if (!r->decoder)
		return http_mask_pass(r->mask, content, last, out);
	error = decode(r, content, last, out);
	if (error < 0 || !last)
		return error;
	http_decoder_free(r->decoder);
	r->decoder = NULL;
	return http_mask_pass(r->mask, SLICE_EMPTY, true, out);
}

const char *http_response_mask_problem(int error, enum reason *ret_reason)
{
	*ret_reason = error == -E2BIG ? REASON_LIMIT : REASON_MASK_IMPOSSIBLE;
	switch (error) {
	case -EBADMSG:
		return "denied: the response looks like JSON, is none, and can't be masked";
	case -EPROTO:
		return "denied: the response's coding can't be read, and so it can't be masked";
	case -EPERM:
		return BINARY;
	case -EILSEQ:
		return CHARSET;
	case -E2BIG:
		return "denied: the response is too large to be masked";
	default:
		return NULL;
	}
}

const char *http_response_note(struct http_request *r)
{
	if (r->mask->mode != HTTP_MASK_UNREAD || r->noted)
		return NULL;
	r->noted = true;
	return "a response is binary, and passes unmasked as the rule says";
}

void http_response_stop_masking(struct http_request *r)
{
	http_decoder_free(r->decoder);
	r->decoder = NULL;
	if (r->mask)
		http_mask_stop(r->mask);
}

size_t http_response_held(const struct http_request *r)
{
	size_t held = http_mask_held(r->mask);

	return r->decoder ? held + http_decoder_memory(r->decoder) : held;
}
