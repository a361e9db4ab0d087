/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/body.h"

#include <errno.h>

#include "base/text.h"

#define CHUNK_LINE_MOST 1024u /* the size with its extensions */
#define LENGTH_MOST (UINT64_MAX >> 1)

void http_body_init(struct http_body *b)
{
	memset(b, 0, sizeof(*b));
	buffer_init(&b->line, LIMIT_HTTP_TRAILERS);
}

void http_body_done(struct http_body *b)
{
	buffer_done(&b->line);
}

static void begin(struct http_body *b, enum http_body_kind kind, uint64_t length)
{
	buffer_clear(&b->line);
	b->kind = kind;
	b->chunk = HTTP_CHUNK_SIZE;
	b->left = b->length = length;
	b->seen = 0;
	b->complete = false;
}

static bool fail(struct http_problem *ret, unsigned status, const char *text)
{
	*ret = (struct http_problem){status, text};
	return false;
}

/* Content-Length and Transfer-Encoding, where one of them alone says the same to every reader.
 * *ret_kind is HTTP_BODY_NONE where there is neither. */
static bool read_framing(const struct http_head *head, enum http_body_kind *ret_kind,
	uint64_t *ret_length, struct http_problem *ret)
{
	size_t lengths, codings;
	const struct http_field *length =
		http_fields_find(&head->fields, "content-length", &lengths);
	const struct http_field *coding =
		http_fields_find(&head->fields, "transfer-encoding", &codings);

	*ret_kind = HTTP_BODY_NONE;
	*ret_length = 0;
	if (lengths && codings)
		return fail(ret, 400, "both Content-Length and Transfer-Encoding");
	if (lengths > 1)
		return fail(ret, 400, "more than one Content-Length");
	if (codings > 1)
		return fail(ret, 400, "more than one Transfer-Encoding");
	if (codings && head->minor == 0)
		return fail(ret, 400, "Transfer-Encoding in HTTP/1.0");
	if (codings) {
		if (!text_equal_ignore_case(coding->value, slice_from_string("chunked")))
			return fail(ret, 501, "a Transfer-Encoding other than \"chunked\"");
		*ret_kind = HTTP_BODY_CHUNKED;
	} else if (lengths) {
		if (text_to_number(length->value, LENGTH_MOST, ret_length) < 0)
			return fail(ret, 400, "a Content-Length that is not a number");
		*ret_kind = HTTP_BODY_LENGTH;
	}
	return true;
}

bool http_body_of_request(
	struct http_body *b, const struct http_head *head, struct http_problem *ret)
{
	enum http_body_kind kind;
	uint64_t length;

	if (!read_framing(head, &kind, &length, ret))
		return false;
	/* Nothing comes, so nobody may wait for it. */
	begin(b, kind == HTTP_BODY_LENGTH && length == 0 ? HTTP_BODY_NONE : kind, length);
	return true;
}

bool http_body_of_response(
	struct http_body *b, const struct http_head *head, bool to_head, struct http_problem *ret)
{
	enum http_body_kind kind;
	uint64_t length;

	if (!read_framing(head, &kind, &length, ret)) {
		ret->status = 502;
		return false;
	}
	if (to_head || head->status < 200 || head->status == 204 || head->status == 304)
		begin(b, HTTP_BODY_NONE, 0);
	else
		begin(b, kind == HTTP_BODY_NONE ? HTTP_BODY_UNTIL_END : kind, length);
	return true;
}

static enum http_piece take_data(
	struct http_body *b, struct slice in, size_t *ret_taken, struct slice *ret_data)
{
	*ret_data = slice_head(in, b->left < in.length ? (size_t)b->left : in.length);
	*ret_taken += ret_data->length;
	b->left -= ret_data->length;
	b->seen += ret_data->length;
	return HTTP_PIECE_DATA;
}

/* Moves bytes up to the end of a line into `line`. -EAGAIN: it does not end here. */
static int take_line(struct http_body *b, struct slice *in, size_t most, size_t *ret_taken)
{
	const uint8_t *end = in->length ? memchr(in->data, '\n', in->length) : NULL;
	size_t length = end ? (size_t)(end - in->data) + 1 : in->length;
	size_t held;

	if (buffer_length(&b->line) + length > most ||
		buffer_append_slice(&b->line, slice_head(*in, length)) < 0)
		return -E2BIG;
	*in = slice_from(*in, length);
	*ret_taken += length;
	if (!end)
		return -EAGAIN;
	held = buffer_length(&b->line);
	return held >= 2 && buffer_slice(&b->line).data[held - 2] == '\r' ? 0 : -EBADMSG;
}

/* RFC 9112, 7.1. The extensions may hold whatever is visible. */
static bool read_chunk_size(struct slice line, uint64_t *ret)
{
	uint64_t size = 0;
	size_t digits = 0;

	for (; digits < line.length && text_hex_digit(line.data[digits]) >= 0; digits++)
		size = size << 4 | (unsigned)text_hex_digit(line.data[digits]);
	if (digits == 0 || digits > 15)
		return false;
	if (digits < line.length && line.data[digits] != ';')
		return false;
	for (size_t i = digits; i < line.length; i++) {
		if (line.data[i] < ' ' || line.data[i] == 0x7f)
			return false;
	}
	*ret = size;
	return true;
}

static bool on_size_line(struct http_body *b)
{
	struct slice line = buffer_slice(&b->line);

	if (!read_chunk_size(slice_head(line, line.length - 2), &b->left))
		return false;
	b->chunk = b->left ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILERS;
	buffer_clear(&b->line);
	return true;
}

/* The empty line behind a chunk. */
static bool on_chunk_end(struct http_body *b)
{
	b->chunk = HTTP_CHUNK_SIZE;
	if (buffer_length(&b->line) != 2)
		return false;
	buffer_clear(&b->line);
	return true;
}

static bool trailers_are_complete(const struct http_body *b)
{
	struct slice held = buffer_slice(&b->line);

	return held.length == 2 ||
		(held.length >= 4 && memcmp(held.data + held.length - 4, "\r\n\r\n", 4) == 0);
}

/* What a whole line in `line` means. HTTP_PIECE_NONE: go on. */
static enum http_piece on_line(struct http_body *b)
{
	switch (b->chunk) {
	case HTTP_CHUNK_SIZE:
		return on_size_line(b) ? HTTP_PIECE_NONE : HTTP_PIECE_BAD;
	case HTTP_CHUNK_END:
		return on_chunk_end(b) ? HTTP_PIECE_NONE : HTTP_PIECE_BAD;
	default:
		return trailers_are_complete(b) ? HTTP_PIECE_END : HTTP_PIECE_NONE;
	}
}

static size_t line_most(const struct http_body *b)
{
	switch (b->chunk) {
	case HTTP_CHUNK_SIZE:
		return CHUNK_LINE_MOST;
	case HTTP_CHUNK_END:
		return 2;
	default:
		return LIMIT_HTTP_TRAILERS;
	}
}

static enum http_piece next_of_chunks(
	struct http_body *b, struct slice in, size_t *ret_taken, struct slice *ret_data)
{
	enum http_piece piece = HTTP_PIECE_NONE;

	while (piece == HTTP_PIECE_NONE) {
		int r;

		if (b->chunk == HTTP_CHUNK_DATA && b->left)
			return in.length ? take_data(b, in, ret_taken, ret_data) : HTTP_PIECE_NONE;
		if (b->chunk == HTTP_CHUNK_DATA)
			b->chunk = HTTP_CHUNK_END;
		r = take_line(b, &in, line_most(b), ret_taken);
		if (r == -EAGAIN)
			return HTTP_PIECE_NONE;
		piece = r < 0 ? HTTP_PIECE_BAD : on_line(b);
	}
	return piece;
}

enum http_piece http_body_next(
	struct http_body *b, struct slice in, size_t *ret_taken, struct slice *ret_data)
{
	enum http_piece piece = HTTP_PIECE_END;

	*ret_taken = 0;
	if (b->kind == HTTP_BODY_CHUNKED) {
		piece = next_of_chunks(b, in, ret_taken, ret_data);
	} else if (b->kind == HTTP_BODY_UNTIL_END) {
		b->left = UINT64_MAX;
		piece = in.length ? take_data(b, in, ret_taken, ret_data) : HTTP_PIECE_NONE;
	} else if (b->kind == HTTP_BODY_LENGTH && b->left) {
		piece = in.length ? take_data(b, in, ret_taken, ret_data) : HTTP_PIECE_NONE;
	}
	b->complete = piece == HTTP_PIECE_END;
	return piece;
}
