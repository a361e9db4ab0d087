/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/private.h"

#include <stdio.h>

#include "protocol/postgres/wire.h"

void pg_private_name(
	const uint8_t nonce[32], const char *what, unsigned number, char ret[PG_PRIVATE_NAME_SIZE])
{
	const uint8_t *n = nonce + 24;

	snprintf(ret, PG_PRIVATE_NAME_SIZE, "wayleave_%s_%u_%02x%02x%02x%02x%02x%02x", what, number,
		n[0], n[1], n[2], n[3], n[4], n[5]);
}

/* One message, whose body is a run of strings and two-byte zeros. */
static int put(struct buffer *b, uint8_t type, const char *first, const char *second,
	const char *third, size_t zeros)
{
	static const uint8_t nothing[6];
	const char *const strings[] = {first, second, third};
	size_t mark;
	int r = pg_begin(b, type, &mark);

	for (size_t i = 0; r == 0 && i < 3 && strings[i]; i++)
		r = pg_put_string(b, slice_from_string(strings[i]));
	if (r == 0)
		r = buffer_append(b, nothing, zeros);
	if (r == 0)
		pg_end(b, mark);
	return r;
}

int pg_private_put_parse(struct buffer *b, const char *name, const char *text)
{
	return put(b, 'P', name, text, NULL, 2);
}

int pg_private_put_bind(struct buffer *b, const char *name)
{
	return put(b, 'B', name, name, NULL, 6);
}

int pg_private_put_close(struct buffer *b, char kind, const char *name)
{
	size_t mark;
	int r = pg_begin(b, 'C', &mark);

	if (r == 0)
		r = buffer_append_byte(b, (uint8_t)kind);
	if (r == 0)
		r = pg_put_string(b, slice_from_string(name));
	if (r == 0)
		pg_end(b, mark);
	return r;
}

int pg_private_put_run(struct buffer *b, const char *name)
{
	int r = pg_private_put_bind(b, name);

	if (r == 0)
		r = put(b, 'E', name, NULL, NULL, 4);
	return r < 0 ? r : pg_private_put_close(b, 'P', name);
}

int pg_private_put_query(struct buffer *b, const char *name, const char *text)
{
	int r = pg_private_put_parse(b, name, text);

	if (r == 0)
		r = pg_private_put_run(b, name);
	return r < 0 ? r : pg_private_put_close(b, 'S', name);
}
