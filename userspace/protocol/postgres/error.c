/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/error.h"

#include <errno.h>

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

static int put(struct buffer *b, uint8_t type, const char *severity, const char *state,
	struct slice message)
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
		r = put_field(b, 'M', message);
	if (r == 0)
		r = buffer_append_byte(b, 0);
	if (r == 0)
		pg_end(b, mark);
	return r;
}

int pg_error_put(struct buffer *b, bool fatal, const char *state, struct slice message)
{
	return put(b, 'E', fatal ? "FATAL" : "ERROR", state, message);
}

int pg_notice_put(struct buffer *b, struct slice message)
{
	return put(b, 'N', "NOTICE", "00000", message);
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
