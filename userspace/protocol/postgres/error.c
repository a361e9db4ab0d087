/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/error.h"

#include <errno.h>

#include "base/text.h"
#include "protocol/postgres/wire.h"

void pg_error_walk_init(struct pg_error_walk *w, struct slice body)
{
	w->rest = body;
}

int pg_error_next(struct pg_error_walk *w, char *ret_code, struct slice *ret_text)
{
	uint8_t code;
	int r = pg_get_u8(&w->rest, &code);

	if (r < 0)
		return r;
	if (code == 0)
		return w->rest.length == 0 ? 0 : -EBADMSG;
	r = pg_get_string(&w->rest, ret_text);
	if (r < 0)
		return r;
	*ret_code = (char)code;
	return 1;
}

struct slice pg_error_field(struct slice body, char code)
{
	struct pg_error_walk walk;
	struct slice text;
	char found;

	pg_error_walk_init(&walk, body);
	while (pg_error_next(&walk, &found, &text) > 0) {
		if (found == code)
			return text;
	}
	return SLICE_EMPTY;
}

static int put_field(struct buffer *b, char code, struct slice text)
{
	int r = buffer_append_byte(b, (uint8_t)code);

	return r < 0 ? r : pg_put_string(b, text);
}

/* In LATIN1, which has the first 256 characters, or with question marks. Bytes that are no UTF-8
 * are the agent's own, in its encoding. */
static int put_other(struct buffer *b, bool latin1, struct slice text)
{
	int r = 0;

	while (r == 0 && text.length) {
		size_t n = text_utf8_sequence(text);
		const uint8_t *c = text.data;

		if (n == 2 && latin1 && c[0] <= 0xc3)
			r = buffer_append_byte(b, (uint8_t)(c[0] << 6 | (c[1] & 0x3f)));
		else
			r = buffer_append_byte(b, n > 1 ? '?' : c[0]);
		text = slice_from(text, n ? n : 1);
	}
	return r < 0 ? r : buffer_append_byte(b, 0);
}

static int put_message(struct buffer *b, const char *encoding, struct slice text)
{
	bool latin1 = strcmp(encoding, "latin1") == 0 || strcmp(encoding, "iso88591") == 0;
	int r;

	if (!*encoding || strcmp(encoding, "utf8") == 0 || strcmp(encoding, "unicode") == 0)
		return put_field(b, 'M', text);
	r = buffer_append_byte(b, 'M');
	return r < 0 ? r : put_other(b, latin1, text);
}

static int put(struct buffer *b, const char *encoding, uint8_t type, const char *severity,
	const char *state, struct slice message)
{
	size_t mark;
	int r = pg_begin(b, type, &mark);

	if (r == 0)
		r = put_field(b, 'S', slice_from_string(severity));
	if (r == 0)
		r = put_field(b, 'V', slice_from_string(severity));
	if (r == 0)
		r = put_field(b, 'C', slice_from_string(state));
	if (r == 0)
		r = put_message(b, encoding, message);
	if (r == 0)
		r = buffer_append_byte(b, 0);
	if (r == 0)
		pg_end(b, mark);
	return r;
}

int pg_error_put(
	struct buffer *b, const char *encoding, bool fatal, const char *state, struct slice message)
{
	return put(b, encoding, 'E', fatal ? "FATAL" : "ERROR", state, message);
}

int pg_notice_put(struct buffer *b, const char *encoding, struct slice message)
{
	return put(b, encoding, 'N', "NOTICE", "00000", message);
}

int pg_status_put(struct buffer *b, const char *name, const char *value)
{
	size_t mark;
	int r = pg_begin(b, 'S', &mark);

	if (r == 0)
		r = pg_put_string(b, slice_from_string(name));
	if (r == 0)
		r = pg_put_string(b, slice_from_string(value));
	if (r == 0)
		pg_end(b, mark);
	return r;
}
