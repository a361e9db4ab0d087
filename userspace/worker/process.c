/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/process.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"
#include "base/text.h"
#include "masking/strategy.h"
#include "recording/secret.h"
#include "worker/argument.h"
#include "worker/hold.h"
#include "worker/session_internal.h"

#define TEXT_MOST 65536u /* of what is built, before it is cut */
#define CUT " …"

/* --- arguments, which are the agent's own words --- */

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] < 0x80 && !isalnum(s.data[i]) &&
			!memchr("_@%+=:,./-[]", s.data[i], 12))
			return false;
	}
	return s.length > 0;
}

/* Visible, and on one line. */
static int append_line(struct buffer *b, struct slice s)
{
	struct buffer visible;
	struct slice shown;
	int r;

	buffer_init(&visible, TEXT_MOST);
	r = text_append_visible(&visible, s);
	shown = buffer_slice(&visible);
	for (size_t i = 0; r == 0 && i < shown.length; i++)
		r = shown.data[i] < ' ' ? buffer_append_format(b, "\\x%02x", shown.data[i])
					: buffer_append_byte(b, shown.data[i]);
	buffer_done(&visible);
	return r;
}

static int append_quoted(struct buffer *b, struct slice s)
{
	int r = buffer_append_byte(b, '\'');

	for (size_t i = 0; r == 0 && i < s.length; i++)
		r = s.data[i] == '\'' ? buffer_append_string(b, "'\\''")
				      : buffer_append_byte(b, s.data[i]);
	return r < 0 ? r : buffer_append_byte(b, '\'');
}

static int append_argument(struct buffer *b, struct slice argument)
{
	struct buffer line;
	int r;

	buffer_init(&line, TEXT_MOST);
	r = append_line(&line, argument);
	if (r == 0)
		r = is_plain(buffer_slice(&line)) ? buffer_append_slice(b, buffer_slice(&line))
						  : append_quoted(b, buffer_slice(&line));
	buffer_done(&line);
	return r;
}

/* Of what detectors find, names of hosts and people are what a command line is about. */
static void set_detectors(struct mask_rules *rules)
{
	static const enum detector hidden[] = {DETECTOR_CREDIT_CARD, DETECTOR_US_SSN, DETECTOR_IBAN,
		DETECTOR_JWT, DETECTOR_PRIVATE_KEY, DETECTOR_CLOUD_KEY, DETECTOR_SECRET};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		rules->detectors[hidden[i]] = MASK_REDACT;
	rules->detects = true;
}

/* `text`, or what is left of it in `room`. What can't be searched is not shown. */
static int hide(struct slice *text, struct buffer *room, struct detector_engine *detectors,
	struct mask_hasher *hasher)
{
	struct mask_rules rules = {.detects = false};
	struct secret_found found = {0};
	struct masker masker;
	bool replaced = false;
	size_t before;
	int r = secret_hide(*text, room, &found);

	if (r == 0 && found.hidden)
		*text = buffer_slice(room);
	set_detectors(&rules);
	masker_init(&masker, detectors, hasher, &rules);
	before = buffer_length(room);
	/* What it appends to may move what it reads. */
	if (r == 0)
		r = buffer_reserve(room, 2 * text->length + 4096, &(uint8_t *){NULL});
	if (r == 0 && found.hidden)
		*text = slice_head(buffer_slice(room), before);
	if (r == 0)
		r = masker_append_text(&masker, *text, room, &replaced);
	if (r == 0 && replaced)
		*text = slice_from(buffer_slice(room), before);
	return r;
}

/* As much as a record keeps of it. */
static char *finish(struct slice text, bool cut)
{
	size_t most = LIMIT_RECORD_NAME - strlen(CUT);

	if (text.length > most) {
		cut = true;
		while ((text.data[most] & 0xc0) == 0x80)
			most--;
		text = slice_head(text, most);
	}
	return memory_format("%.*s%s", SLICE_PRINT(text), cut ? CUT : "");
}

/* One that is shown, but for its secrets. They are looked for before a shell's quotes tear words
 * apart that belong together. */
static int append_hidden(struct buffer *b, struct slice argument, struct detector_engine *detectors,
	struct mask_hasher *hasher)
{
	struct buffer room, safe;
	int r;

	buffer_init(&room, 8 * TEXT_MOST);
	buffer_init(&safe, 2 * TEXT_MOST);
	r = hide(&argument, &room, detectors, hasher);
	if (r == 0)
		r = argument_append_safe(&safe, argument);
	if (r == 0)
		r = append_argument(b, buffer_slice(&safe));
	buffer_done(&room);
	buffer_done(&safe);
	return r;
}

static int append_judged(struct buffer *b, enum argument_kind kind, size_t shown,
	struct slice argument, struct detector_engine *detectors, struct mask_hasher *hasher)
{
	int r;

	switch (kind) {
	case ARGUMENT_SHOWN:
		return append_hidden(b, argument, detectors, hasher);
	case ARGUMENT_START_SHOWN:
		r = append_argument(b, slice_head(argument, shown));
		return r < 0 ? r : buffer_append_string(b, SECRET_MARK);
	case ARGUMENT_CODE:
		return buffer_append_format(b, "[code, %zu bytes]", argument.length);
	case ARGUMENT_HIDDEN:
	case ARGUMENT_COUNTED:
		break;
	}
	return buffer_append_string(b, SECRET_MARK);
}

static int append_arguments(struct buffer *line, struct slice arguments, bool cut,
	struct detector_engine *detectors, struct mask_hasher *hasher)
{
	struct argument_reader reader = {.begun = false};
	size_t counted = 0;
	int r = 0;

	while (r == 0 && arguments.length) {
		struct slice argument = slice_take_until(&arguments, '\0');
		enum argument_kind kind;
		size_t shown = 0;

		/* Of the last one nobody knows what it would have been. */
		if (cut && arguments.length == 0)
			break;
		kind = argument_judge(&reader, argument, &shown);
		counted += kind == ARGUMENT_COUNTED;
		if (kind == ARGUMENT_COUNTED)
			continue;
		if (buffer_length(line))
			r = buffer_append_byte(line, ' ');
		if (r == 0)
			r = append_judged(line, kind, shown, argument, detectors, hasher);
	}
	if (r == 0 && counted)
		r = buffer_append_format(
			line, " [%zu argument%s]", counted, counted == 1 ? "" : "s");
	return r;
}

char *process_command_line(struct slice arguments, bool cut, struct detector_engine *detectors,
	struct mask_hasher *hasher)
{
	struct buffer line;
	char *shown = NULL;

	buffer_init(&line, TEXT_MOST);
	if (append_arguments(&line, arguments, cut, detectors, hasher) == 0)
		shown = finish(buffer_slice(&line), cut);
	buffer_done(&line);
	return shown;
}

/* --- parents --- */

static int append_parent(struct buffer *b, struct slice parent)
{
	const uint8_t *space = memchr(parent.data, ' ', parent.length);
	struct slice pid = slice_head(parent, space ? (size_t)(space - parent.data) : 0);
	int r = buffer_length(b) ? buffer_append_string(b, " < ") : 0;

	if (r == 0)
		r = append_line(b, slice_from(parent, pid.length + 1));
	if (r == 0)
		r = buffer_append_string(b, " (");
	if (r == 0)
		r = append_line(b, pid);
	return r < 0 ? r : buffer_append_byte(b, ')');
}

char *process_parents(struct slice parents, bool cut)
{
	struct buffer line;
	char *shown = NULL;
	int r = 0;

	buffer_init(&line, TEXT_MOST);
	while (r == 0 && parents.length)
		r = append_parent(&line, slice_take_until(&parents, '\0'));
	if (r == 0 && cut && buffer_length(&line))
		r = buffer_append_string(&line, " <");
	if (r == 0)
		shown = finish(buffer_slice(&line), cut);
	buffer_done(&line);
	return shown;
}

/* --- asking --- */

void process_done(struct process *p)
{
	free(p->arguments);
	free(p->parents);
}

void process_ask(struct session *s)
{
	const struct message_inspect request = {
		.process = {.pid = s->origin.pid,
			.start_time = s->origin.start_time,
			.exe_inode = s->origin.exe_inode,
			.exe_device = s->origin.exe_device},
		.session = s->id,
		.agent = s->origin.agent,
	};

	channel_tell(&s->worker->channel, MESSAGE_INSPECT, slice_of(&request, sizeof(request)));
}

static void take(struct session *s, const struct message_facts *facts, struct slice texts)
{
	struct process *p = &s->process;

	if (facts->hashed)
		text_to_hex(slice_of(facts->hash, sizeof(facts->hash)), p->hash);
	p->arguments = process_command_line(slice_head(texts, facts->arguments_length),
		facts->arguments_cut, s->worker->detectors, s->worker->hasher);
	p->parents =
		process_parents(slice_from(texts, facts->arguments_length), facts->parents_cut);
	session_record_facts(s, false);
}

void process_on_facts(struct worker *w, struct slice payload)
{
	struct message_facts facts;
	struct session *s;
	struct slice texts;

	if (payload.length < sizeof(facts))
		return;
	memcpy(&facts, payload.data, sizeof(facts));
	facts.session.text[IDENTIFIER_SIZE - 1] = '\0';
	texts = slice_from(payload, sizeof(facts));
	s = session_find(w, slice_from_string(facts.session.text));
	if (!s || s->state >= SESSION_CLOSING || s->process.answered ||
		(uint64_t)facts.arguments_length + facts.parents_length != texts.length)
		return;
	s->process.answered = true;
	if (facts.known)
		take(s, &facts, texts);
	session_on_hash(s);
	/* People may be asked now. */
	if (s->state < SESSION_CLOSING)
		hold_on_process(s);
}
