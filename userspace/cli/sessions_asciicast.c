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

/* JSON has valid UTF-8 alone. */
static void print_text(struct cast *c, bool input, struct slice bytes)
{
	uint8_t *held = c->streams[input].held;
	size_t *count = &c->streams[input].count;

	for (size_t i = 0; i < bytes.length; i++) {
		uint8_t b = bytes.data[i];

		if (b < 0x80) {
			*count = 0;
			print_byte(b);
			continue;
		}
		held[(*count)++] = b;
		if (text_utf8_sequence(slice_of(held, *count)) == *count)
			fwrite(held, 1, *count, stdout);
		else if (*count < sizeof(c->streams[0].held))
			continue;
		else
			fputs("\\ufffd", stdout);
		*count = 0;
	}
}

static void print_event(struct cast *c, const struct entry *entry)
{
	uint64_t kind = entry_number(entry, FIELD_DATA_KIND);
	double time = (double)(entry->time - c->start) / (double)NANOSECONDS_PER_SECOND;

	if (kind == RECORD_DATA_WINDOW) {
		printf("[%.6f, \"r\", \"%" PRIu64 "x%" PRIu64 "\"]\n", time,
			entry_number(entry, FIELD_WIDTH), entry_number(entry, FIELD_HEIGHT));
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
	if (!c.action)
		return cli_fail("sessions", CLI_REFUSED,
			"no terminal and no command's output is recorded in this session");
	print_head(&c);
	each_entry(s, &c, print_its);
	return CLI_DONE;
}
