/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/kubernetes/channels.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "masking/json_reader.h"
#include "protocol/kubernetes/archive.h"

void kubernetes_channels_init(struct kubernetes_channels *c, struct http_stream *stream)
{
	memset(c, 0, sizeof(*c));
	c->stream = stream;
	c->masked = stream->request->masked;
	c->output = stream->request->terminal ? KUBERNETES_TEXT : KUBERNETES_UNDECIDED;
	buffer_init(&c->status, KUBERNETES_STATUS_MOST);
	buffer_init(&c->size, KUBERNETES_SIZE_MOST);
	buffer_init(&c->ending, 4 * LIMIT_HTTP_BODY_MASKED);
	for (size_t i = 0; i < 2; i++) {
		buffer_init(&c->leaves[i], 4 * LIMIT_HTTP_BODY_MASKED);
		if (c->masked)
			mask_stream_init_with(&c->masks[i], &stream->request->mask->masker);
	}
}

void kubernetes_channels_done(struct kubernetes_channels *c)
{
	buffer_wipe(&c->status);
	buffer_done(&c->size);
	buffer_wipe(&c->ending);
	for (size_t i = 0; i < 2; i++) {
		buffer_wipe(&c->leaves[i]);
		if (c->masked)
			mask_stream_done(&c->masks[i]);
	}
}

enum side kubernetes_channel_writer(enum kubernetes_channel channel)
{
	return channel == KUBERNETES_STDIN || channel == KUBERNETES_RESIZE ? SIDE_AGENT
									   : SIDE_SERVER;
}

/* --- sizes and Status --- */

/* A number of an object's member; 0: none, or no size. */
static uint16_t number_of(struct slice json, const char *wanted)
{
	struct json_reader r;
	enum json_token token;
	uint64_t number = 0;
	bool its = false;

	json_reader_init(&r, json);
	while ((token = json_next(&r)) != JSON_END && token != JSON_BAD) {
		struct slice text = slice_of(json.data + r.start, r.end - r.start);

		if (token == JSON_NUMBER && its && r.depth == 1 &&
			text_to_number(text, UINT16_MAX, &number) < 0)
			number = 0;
		its = token == JSON_NAME && slice_equal_string(text, wanted);
	}
	return token == JSON_END ? (uint16_t)number : 0;
}

static void read_size(struct kubernetes_channels *c)
{
	struct slice json = buffer_slice(&c->size);
	uint16_t columns = number_of(json, "Width"), rows = number_of(json, "Height");

	if (columns && rows)
		event_queue_add(c->stream->events, EVENT_DATA)->data =
			(struct protocol_data){.action = c->stream->request->number,
				.kind = DATA_WINDOW,
				.columns = columns,
				.rows = rows};
}

/* What a Status says of how the program ended: one of its causes has the exit code. */
struct ending {
	bool success, is_code;
	struct slice message; /* of the cause in hand */
	unsigned code;
};

/* Root, "details", "causes", one of them. */
#define CAUSE_DEPTH 4u

static void take_member(struct ending *e, unsigned depth, struct slice name, struct slice value)
{
	if (depth == 1 && slice_equal_string(name, "status"))
		e->success = slice_equal_string(value, "Success");
	if (depth == CAUSE_DEPTH && slice_equal_string(name, "reason"))
		e->is_code = slice_equal_string(value, "ExitCode");
	if (depth == CAUSE_DEPTH && slice_equal_string(name, "message"))
		e->message = value;
}

static void end_cause(struct ending *e)
{
	uint64_t code;

	if (e->is_code && text_to_number(e->message, UINT8_MAX, &code) == 0)
		e->code = (unsigned)code;
	e->is_code = false;
	e->message = SLICE_EMPTY;
}

static struct ending read_ending(struct slice json)
{
	struct ending ending = {.success = false};
	struct slice name = SLICE_EMPTY;
	struct json_reader r;
	enum json_token token;

	json_reader_init(&r, json);
	while ((token = json_next(&r)) != JSON_END && token != JSON_BAD) {
		struct slice text = slice_of(json.data + r.start, r.end - r.start);

		if (token == JSON_STRING)
			take_member(&ending, r.depth, name, text);
		else if (token == JSON_CLOSE && r.depth + 1 == CAUSE_DEPTH)
			end_cause(&ending);
		name = token == JSON_NAME ? text : SLICE_EMPTY;
	}
	return ending;
}

static void read_status(struct kubernetes_channels *c)
{
	struct slice json = buffer_slice(&c->status);
	struct ending ending = read_ending(json);
	char *tag = c->stream->tag;

	/* Some are sent empty, to say that the stream stands. */
	if (json.length == 0)
		return;
	if (ending.success || ending.code)
		snprintf(tag, sizeof(c->stream->tag), "exit %u", ending.code);
	else
		snprintf(tag, sizeof(c->stream->tag), "failed");
}

static int collect(struct kubernetes_channels *c, struct buffer *to, struct slice bytes)
{
	int r = buffer_append_slice(to, bytes);

	return r == -E2BIG ? http_stream_refuse(c->stream, REASON_LIMIT,
				     "denied: a message of a Kubernetes stream is too long")
			   : r;
}

/* --- data --- */

static void record_output(
	struct kubernetes_channels *c, enum kubernetes_channel channel, struct slice bytes)
{
	const struct http_request *r = c->stream->request;

	if (!r->terminal && !r->records && c->recorded < KUBERNETES_RECORDED)
		bytes = slice_head(bytes, (size_t)(KUBERNETES_RECORDED - c->recorded));
	else if (!r->terminal && !r->records)
		return;
	c->recorded += bytes.length;
	http_stream_record(
		c->stream, channel == KUBERNETES_STDOUT ? DATA_OUTPUT : DATA_ERROR, bytes);
}

int kubernetes_channels_note(struct kubernetes_channels *c, enum kubernetes_channel channel,
	struct slice bytes, bool ends)
{
	bool is_size = channel == KUBERNETES_RESIZE;
	struct buffer *held = is_size ? &c->size : &c->status;
	int r;

	switch (channel) {
	case KUBERNETES_STDIN:
		http_stream_record(c->stream, DATA_INPUT, bytes);
		return 0;
	case KUBERNETES_STDOUT:
	case KUBERNETES_STDERR:
		record_output(c, channel, bytes);
		return 0;
	default:
		break;
	}
	r = collect(c, held, bytes);
	if (r < 0 || !ends)
		return r;
	if (is_size)
		read_size(c);
	else
		read_status(c);
	/* It leaves masked, from there. */
	if (is_size || !c->masked)
		buffer_clear(held);
	return 0;
}

/* A prompt, at which somebody waits to be asked. */
static bool is_prompt(struct slice text)
{
	while (text.length && text.data[text.length - 1] == ' ')
		text.length--;
	return text.length && memchr(":?>#$%)]", text.data[text.length - 1], 8);
}

#define SETTLED 1024u /* a terminal's output that comes in more at a time has more behind it */

/* What may be the begin of a value is kept back; not where people or programs wait for what they
 * see. */
static bool is_shown_at_once(const struct kubernetes_channels *c, unsigned output)
{
	const struct mask_stream *mask = &c->masks[output];
	struct slice kept = slice_from(buffer_slice(&mask->held), mask->passed);

	return kept.length &&
		((c->stream->request->terminal && c->came[output] < SETTLED) || is_prompt(kept));
}

/* --- archives --- */

/* It was found out to be one. */
static int begin_archive(struct kubernetes_channels *c)
{
	enum mask_binary binary = c->stream->request->mask->binary;
	struct protocol_event *event;

	c->output = KUBERNETES_ARCHIVE;
	if (binary == MASK_BINARY_REFUSE)
		return http_stream_refuse(c->stream, REASON_MASK_IMPOSSIBLE,
			"denied: an archive is binary, which the rule refuses");
	if (binary == MASK_BINARY_PASS) {
		event = event_queue_add(c->stream->events, EVENT_NOTE);
		event->note.reason = REASON_NONE;
		event->note.text = slice_from_string("an archive is binary, and passes unmasked");
	}
	return 0;
}

/* A file in it that has another length than its header says parts all that follows from its
 * headers. */
static int refuse_archive(struct kubernetes_channels *c)
{
	return http_stream_refuse(c->stream, REASON_MASK_IMPOSSIBLE,
		"denied: the archive holds what is masked, and could not be read without it");
}

/* Keeps what comes until its first message, or the command, has shown what it is. */
static int find_out(struct kubernetes_channels *c, struct slice bytes, enum kubernetes_more more)
{
	bool archives = c->stream->request->archives;
	struct mask_stream *mask = &c->masks[0];
	int r = mask_stream_keep(mask, bytes);
	struct slice begin = buffer_slice(&mask->held);

	if (r < 0)
		return http_stream_refuse_mask(c->stream, r);
	if (begin.length == 0 ||
		(!archives && begin.length < KUBERNETES_ARCHIVE_HEADER &&
			more == KUBERNETES_WITHIN))
		return 0;
	c->output = KUBERNETES_TEXT;
	return archives || kubernetes_begins_archive(begin) ? begin_archive(c) : 0;
}

/* --- masks --- */

#define PART 65536u /* is searched at a time */

static int search(struct kubernetes_channels *c, unsigned output, struct slice bytes,
	enum kubernetes_more more)
{
	struct mask_stream *mask = &c->masks[output];
	struct buffer *leaves = &c->leaves[output];
	bool worth = more == KUBERNETES_LAST || mask_stream_is_worth(mask, bytes.length);
	int r = worth ? 0 : mask_stream_keep(mask, bytes);

	for (; worth && r == 0 && bytes.length; bytes = slice_from(bytes, PART))
		r = mask_stream_pass(mask, slice_head(bytes, PART), false, leaves);
	if (r == 0 &&
		(more == KUBERNETES_LAST ||
			(more == KUBERNETES_AWAITS && (worth || mask_stream_may_end(mask)) &&
				is_shown_at_once(c, output))))
		r = mask_stream_pass(mask, SLICE_EMPTY, true, leaves);
	return r;
}

static int take_output(struct kubernetes_channels *c, unsigned output, struct slice bytes,
	enum kubernetes_more more)
{
	bool is_archive = output == 0 && c->output == KUBERNETES_ARCHIVE;
	int r;

	if (is_archive && c->stream->request->mask->binary == MASK_BINARY_PASS)
		r = buffer_append_slice(&c->leaves[output], bytes);
	else
		r = search(c, output, bytes, more);
	if (r < 0)
		return http_stream_refuse_mask(c->stream, r);
	return is_archive && c->masks[output].replaced ? refuse_archive(c) : 0;
}

int kubernetes_channels_mask(struct kubernetes_channels *c, enum kubernetes_channel channel,
	struct slice bytes, enum kubernetes_more more)
{
	unsigned output = channel - KUBERNETES_STDOUT;
	struct buffer kept;
	int r = 0;

	c->came[output] += bytes.length;
	buffer_clear(&c->leaves[output]);
	buffer_init(&kept, 0);
	if (output == 0 && c->output == KUBERNETES_UNDECIDED) {
		r = find_out(c, bytes, more);
		if (r < 0 || c->output == KUBERNETES_UNDECIDED)
			return r;
		/* As if it came now. */
		kept = c->masks[0].held;
		bytes = buffer_slice(&kept);
		buffer_init(&c->masks[0].held, kept.limit);
	}
	r = take_output(c, output, bytes, more);
	buffer_wipe(&kept);
	if (r < 0)
		return r;
	if (more != KUBERNETES_WITHIN)
		c->came[output] = 0;
	record_output(c, channel, buffer_slice(&c->leaves[output]));
	return 0;
}

int kubernetes_channels_mask_status(struct kubernetes_channels *c)
{
	struct http_mask *mask = c->stream->request->mask;
	int r;

	buffer_clear(&c->ending);
	http_mask_begin_message(mask, false);
	r = http_mask_pass(mask, buffer_slice(&c->status), true, &c->ending);
	buffer_clear(&c->status);
	return r < 0 ? http_stream_refuse_mask(c->stream, r) : 0;
}
