/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/meanings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static const struct {
	const char *name, *usual;
} meanings[PG_MEANING_COUNT] = {
#define MEANING(name, usual) {name, usual},
#include "protocol/postgres/meanings.inc"
#undef MEANING
};

/* A TimeZone may have any character in it, and each setting is a line of what people read. */
static bool is_fit(struct slice value)
{
	if (value.length > PG_MEANING_MOST)
		return false;
	for (size_t i = 0; i < value.length; i++) {
		if (value.data[i] < ' ' || value.data[i] == 0x7f)
			return false;
	}
	return true;
}

static void set(struct pg_meanings *m, size_t index, struct slice value)
{
	free(m->values[index]);
	m->values[index] = memory_copy_text(value.data, value.length);
}

int pg_meanings_take(struct pg_meanings *m, struct slice values)
{
	struct slice each[PG_MEANING_COUNT];
	size_t count = 0;

	while (values.length) {
		const uint8_t *end = memchr(values.data, '\n', values.length);

		if (!end || count == PG_MEANING_COUNT)
			return -EBADMSG;
		each[count] = slice_head(values, (size_t)(end - values.data));
		values = slice_from(values, each[count].length + 1);
		if (!is_fit(each[count++]))
			return -EBADMSG;
	}
	if (count != PG_MEANING_COUNT)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++)
		set(m, i, each[i]);
	m->unfit = false;
	return 0;
}

void pg_meanings_on_status(struct pg_meanings *m, struct slice name, struct slice value)
{
	for (size_t i = 0; i < PG_MEANING_COUNT; i++) {
		if (!slice_equal_string(name, meanings[i].name))
			continue;
		if (is_fit(value))
			set(m, i, value);
		else
			m->unfit = true;
	}
}

static int put(struct buffer *b, const char *name, const char *value)
{
	return buffer_append_format(b, "%s%s: %s", buffer_length(b) ? "\n" : "", name, value);
}

int pg_meanings_put(const struct pg_meanings *m, struct buffer *b)
{
	int r = m->unfit ? -ENOTSUP : 0;

	for (size_t i = 0; r == 0 && i < PG_MEANING_COUNT; i++) {
		const char *value = m->values[i], *usual = meanings[i].usual;

		if (value && !(usual && strcmp(value, usual) == 0))
			r = put(b, meanings[i].name, value);
	}
	return r;
}

void pg_meanings_done(struct pg_meanings *m)
{
	for (size_t i = 0; i < PG_MEANING_COUNT; i++)
		free(m->values[i]);
	*m = (struct pg_meanings){0};
}
