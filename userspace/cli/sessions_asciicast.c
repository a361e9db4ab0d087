/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave sessions replay --asciicast: a terminal's recording in asciicast v2, for asciinema's
 * players: the first terminal of the session, else the first command whose output was recorded.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/recordings.h"

#define WIDTH 80 /* of what had no terminal */
#define HEIGHT 24

struct cast {
	uint64_t action; /* 0: none found */
	uint64_t start; /* wall clock of its first record */
	uint64_t latest; /* … of what was printed: the clock may be set back, a cast's is not */
	uint64_t width, height;
	struct {
		uint8_t held[4]; /* of a character that goes on in the next record */
		size_t count;
	} streams[2]; /* output, input */
};

static bool is_window(const struct entry *entry)
{
	return entry_number(entry, FIELD_DATA_KIND) == RECORD_DATA_WINDOW;
}

static void consider(struct cast *c, const struct entry *entry)
{
	if (entry->type != RECORD_DATA || c->width || (c->action && !is_window(entry)))
		return;
	c->action = entry_number(entry, FIELD_NUMBER);
	c->start = entry->time;
	if (is_window(entry)) {
		c->width = entry_number(entry, FIELD_WIDTH);
		c->height = entry_number(entry, FIELD_HEIGHT);
	}
}

static void print_byte(uint8_t c)
{
	if (c < ' ' || c == 0x7f)
		printf("\\u%04x", c);
	else if (c == '"' || c == '\\')
		printf("\\%c", c);
	else
		putchar(c);
}

/* Whether the bytes, none of them ASCII, may be the beginning of a character (RFC 3629). */
static bool may_begin_character(const uint8_t *bytes, size_t count)
{
	size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;

	if (bytes[0] < 0xc2 || bytes[0] > 0xf4)
		return false;
	for (size_t i = 1; i < count; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return false;
	}
	return count < length;
}

/* Prints the characters that are complete, and in the place of each byte that can't belong to one
 * the character for that; `last`: none of them goes on. */
static void print_held(uint8_t *held, size_t *count, bool last)
{
	while (*count) {
		size_t n = text_utf8_sequence(slice_of(held, *count));

		if (n == 0 && !last && may_begin_character(held, *count))
			return;
		if (n)
			fwrite(held, 1, n, stdout);
		else
			fputs("\\ufffd", stdout);
		n = n ? n : 1;
		*count -= n;
		memmove(held, held + n, *count);
	}
}

/* JSON has valid UTF-8 alone. */
static void print_text(struct cast *c, bool input, struct slice bytes)
{
	uint8_t *held = c->streams[input].held;
	size_t *count = &c->streams[input].count;

	for (size_t i = 0; i < bytes.length; i++) {
		uint8_t b = bytes.data[i];

		if (b >= 0x80)
			held[(*count)++] = b;
		print_held(held, count, b < 0x80);
		if (b < 0x80)
			print_byte(b);
	}
}

static void print_event(struct cast *c, const struct entry *entry)
{
	uint64_t kind = entry_number(entry, FIELD_DATA_KIND);
	uint64_t width = entry_number(entry, FIELD_WIDTH);
	uint64_t height = entry_number(entry, FIELD_HEIGHT);
	double time;

	c->latest = entry->time > c->latest ? entry->time : c->latest;
	time = (double)(c->latest - c->start) / (double)NANOSECONDS_PER_SECOND;
	if (kind == RECORD_DATA_WINDOW) {
		/* Of clients that don't know it. */
		if (width && height)
			printf("[%.6f, \"r\", \"%" PRIu64 "x%" PRIu64 "\"]\n", time, width, height);
		return;
	}
	printf("[%.6f, \"%c\", \"", time, kind == RECORD_DATA_INPUT ? 'i' : 'o');
	print_text(c, kind == RECORD_DATA_INPUT, entry_bytes(entry, FIELD_DATA));
	puts("\"]");
}

static void print_head(const struct cast *c)
{
	printf("{\"version\": 2, \"width\": %" PRIu64 ", \"height\": %" PRIu64
	       ", \"timestamp\": %" PRIu64 "}\n",
		c->width ? c->width : WIDTH, c->height ? c->height : HEIGHT,
		(uint64_t)(c->start / NANOSECONDS_PER_SECOND));
}

static void each_entry(const struct cli_session *s, struct cast *c,
	void (*take)(struct cast *c, const struct entry *entry))
{
	enum playback_status status;
	struct playback playback;
	struct entry entry;

	playback_init(&playback, s->recordings->recordings_folder, s->session);
	while ((status = playback_next(&playback, &entry)) != PLAYBACK_END) {
		if (status != PLAYBACK_MISSING)
			take(c, &entry);
	}
	playback_done(&playback);
}

static void print_its(struct cast *c, const struct entry *entry)
{
	if (entry->type == RECORD_DATA && entry_number(entry, FIELD_NUMBER) == c->action)
		print_event(c, entry);
}

int cli_session_asciicast(const struct cli_session *s)
{
	struct cast c = {0};

	each_entry(s, &c, consider);
	c.latest = c.start;
	if (!c.action)
		return cli_fail("sessions", CLI_REFUSED,
			"no terminal and no command's output is recorded in this session");
	print_head(&c);
	each_entry(s, &c, print_its);
	return CLI_DONE;
}
