/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/transcript.h"

#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/postgres/wire.h"

#define STEP_MOST (64u << 20)
#define END_POINT_MOST 256

static const char *const upstream_names[] = {
	[UPSTREAM_TLS_AS_AGENT] = "as-agent",
	[UPSTREAM_TLS_OFF] = "off",
	[UPSTREAM_TLS_ON] = "on",
};

void transcript_init(struct transcript *t)
{
	memset(t, 0, sizeof(*t));
	buffer_init(&t->end_point, END_POINT_MOST);
}

void transcript_done(struct transcript *t)
{
	for (size_t i = 0; i < t->count; i++) {
		buffer_done(&t->steps[i].bytes);
		buffer_done(&t->steps[i].expected);
	}
	buffer_done(&t->end_point);
	free(t->steps);
}

static struct transcript_step *new_step(struct transcript *t, enum side side)
{
	struct transcript_step *step;

	t->steps = memory_resize_array(t->steps, t->count + 1, sizeof(*t->steps));
	step = &t->steps[t->count++];
	*step = (struct transcript_step){.side = side};
	buffer_init(&step->bytes, STEP_MOST);
	buffer_init(&step->expected, STEP_MOST);
	return step;
}

void transcript_add(struct transcript *t, enum side side, struct slice bytes, bool end)
{
	struct transcript_step *step = t->count ? &t->steps[t->count - 1] : NULL;

	if (!step || step->side != side || step->end || step->complete)
		step = new_step(t, side);
	buffer_append_slice(&step->bytes, bytes);
	step->end = end;
}

void transcript_complete(struct transcript *t)
{
	t->steps[t->count - 1].complete = true;
}

/* --- text of bytes --- */

static void put_quoted(struct buffer *b, struct slice bytes)
{
	buffer_append_byte(b, '"');
	for (size_t i = 0; i < bytes.length; i++) {
		uint8_t c = bytes.data[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			buffer_append_format(b, "\\x%02x", c);
		else
			buffer_append_byte(b, c);
	}
	buffer_append_string(b, "\"\n");
}

/* How long the message is that begins here; 0: none that is complete. */
static size_t message_size(struct slice in)
{
	struct pg_header header;

	if (!pg_header_get(in, &header) || !isalnum(header.type) ||
		in.length < PG_HEADER_SIZE + (size_t)header.length)
		return 0;
	return PG_HEADER_SIZE + (size_t)header.length;
}

static void put_stream(struct buffer *b, const char *prefix, struct slice in)
{
	while (in.length) {
		size_t size = message_size(in);

		if (size) {
			buffer_append_format(b, "%s %c ", prefix, in.data[0]);
			put_quoted(b, slice_from(slice_head(in, size), PG_HEADER_SIZE));
		} else {
			/* A first packet has a length and no type; the rest is what it is. */
			size = in.length >= 4 && in.data[0] == 0 ? bytes_get_u32(in.data)
								 : in.length;
			if (size < 4 || size > in.length)
				size = in.length;
			buffer_append_format(b, "%s - ", prefix);
			put_quoted(b, slice_head(in, size));
		}
		in = slice_from(in, size);
	}
}

/* --- reading --- */

static int unquote(const char *text, struct buffer *ret)
{
	if (*text++ != '"')
		return -EINVAL;
	for (; *text != '"'; text++) {
		unsigned value = (uint8_t)*text;

		if (*text == '\0')
			return -EINVAL;
		if (*text == '\\') {
			if (sscanf(text, "\\x%2x", &value) !=
				1) /* NOLINT(cert-err34-c): two digits */
				return -EINVAL;
			text += 3;
		}
		buffer_append_byte(ret, (uint8_t)value);
	}
	return text[1] == '\0' ? 0 : -EINVAL;
}

static int take_input(struct transcript *t, const char *line)
{
	enum side side = line[1] == 'A' ? SIDE_AGENT : SIDE_SERVER;
	struct buffer message;
	size_t mark = 0;
	int r = 0;

	if ((line[1] != 'A' && line[1] != 'S') || line[2] != ' ')
		return -EINVAL;
	if (strcmp(line + 3, "end") == 0) {
		transcript_add(t, side, SLICE_EMPTY, true);
		return 0;
	}
	if (line[3] == '\0' || line[4] != ' ')
		return -EINVAL;
	buffer_init(&message, STEP_MOST);
	if (line[3] != '-')
		r = pg_begin(&message, (uint8_t)line[3], &mark);
	if (r == 0)
		r = unquote(line + 5, &message);
	if (r == 0 && line[3] != '-')
		pg_end(&message, mark);
	if (r == 0)
		transcript_add(t, side, buffer_slice(&message), false);
	buffer_done(&message);
	return r;
}

static int read_included(struct transcript *t, const char *file, const char *name)
{
	char *folder = memory_copy_string(file);
	char *path = memory_format("%s/%s", dirname(folder), name);
	int r = transcript_read(t, path);

	free(folder);
	free(path);
	return r;
}

int transcript_set_upstream(struct transcript *t, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(upstream_names); i++) {
		if (strcmp(name, upstream_names[i]) == 0) {
			t->upstream_tls = (int)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int take_directive(struct transcript *t, const char *file, const char *line)
{
	if (strncmp(line, "@upstream ", 10) == 0)
		return transcript_set_upstream(t, line + 10);
	if (strncmp(line, "@end-point ", 11) == 0)
		return unquote(line + 11, &t->end_point);
	return read_included(t, file, line + 1);
}

static int take_line(struct transcript *t, const char *file, const char *line)
{
	switch (line[0]) {
	case '#':
	case '\0':
		return 0;
	case '@':
		return take_directive(t, file, line);
	case '<':
		return take_input(t, line);
	case '>':
	case '!':
		if (t->count == 0)
			return -EINVAL;
		transcript_complete(t);
		return buffer_append_format(&t->steps[t->count - 1].expected, "%s\n", line);
	default:
		return -EINVAL;
	}
}

int transcript_read(struct transcript *t, const char *file)
{
	FILE *in = fopen(file, "re");
	size_t size = 0, number = 0;
	char *line = NULL;
	ssize_t length;
	int r = in ? 0 : -errno;

	while (in && r == 0 && (length = getline(&line, &size, in)) >= 0) {
		number++;
		if (length && line[length - 1] == '\n')
			line[length - 1] = '\0';
		r = take_line(t, file, line);
	}
	if (r < 0)
		fprintf(stderr, "%s:%zu: not a transcript: %s\n", file, number, strerror(-r));
	free(line);
	if (in)
		fclose(in);
	return r;
}

void transcript_write(const struct transcript *t, FILE *file)
{
	static const char *const prefixes[] = {"<A", "<S"};
	struct buffer b;

	buffer_init(&b, STEP_MOST);
	if (t->upstream_tls != UPSTREAM_TLS_AS_AGENT)
		buffer_append_format(&b, "@upstream %s\n", upstream_names[t->upstream_tls]);
	if (buffer_length(&t->end_point)) {
		buffer_append_string(&b, "@end-point ");
		put_quoted(&b, buffer_slice(&t->end_point));
	}
	for (size_t i = 0; i < t->count; i++) {
		const struct transcript_step *step = &t->steps[i];

		put_stream(&b, prefixes[step->side], buffer_slice(&step->bytes));
		if (step->end)
			buffer_append_format(&b, "%s end\n", prefixes[step->side]);
		buffer_append_slice(&b, buffer_slice(&step->expected));
	}
	fwrite(buffer_slice(&b).data, 1, buffer_length(&b), file);
	buffer_done(&b);
}

/* --- running --- */

static void take_outcome(struct engine_run *run, struct buffer *ret)
{
	buffer_append_slice(ret, buffer_slice(&run->events));
	put_stream(ret, ">A", buffer_slice(&run->sent[SIDE_AGENT]));
	put_stream(ret, ">S", buffer_slice(&run->sent[SIDE_SERVER]));
	buffer_clear(&run->events);
	buffer_clear(&run->sent[SIDE_SERVER]);
	buffer_clear(&run->sent[SIDE_AGENT]);
}

static void run_step(struct engine_run *run, const struct transcript_step *step,
	transcript_cut *cut, void *context)
{
	struct slice rest = buffer_slice(&step->bytes);

	while (rest.length) {
		size_t n = cut ? cut(context, rest.length) : rest.length;

		engine_run_feed(run, step->side, slice_head(rest, n));
		rest = slice_from(rest, n);
	}
	if (step->end)
		engine_run_end(run, step->side);
}

struct engine_bench transcript_bench(const struct transcript *t, const struct engine_bench *bench)
{
	struct engine_bench own = *bench;

	if (t->upstream_tls != UPSTREAM_TLS_AS_AGENT)
		own.upstream_tls = t->upstream_tls;
	if (buffer_length(&t->end_point))
		own.end_point = buffer_slice(&t->end_point);
	return own;
}

int transcript_run(struct transcript *t, const struct engine_bench *bench,
	struct engine_watch *watch, transcript_cut *cut, void *context, bool bless,
	struct buffer *ret_found)
{
	struct engine_bench own = transcript_bench(t, bench);
	struct engine_run run;
	int wrong = -1;

	engine_run_init(&run, &own, watch);
	engine_run_connected(&run);
	for (size_t i = 0; i < t->count && wrong < 0; i++) {
		struct transcript_step *step = &t->steps[i];
		struct buffer *found = bless ? &step->expected : ret_found;

		buffer_clear(found);
		run_step(&run, step, cut, context);
		take_outcome(&run, found);
		if (!slice_equal(buffer_slice(found), buffer_slice(&step->expected)))
			wrong = (int)i;
	}
	engine_run_done(&run);
	return wrong;
}
