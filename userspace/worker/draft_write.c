/* SPDX-License-Identifier: Apache-2.0
 *
 * What people see of a draft: without what looks like a secret or a person's data. The digest, made
 * before (draft.c), is over what is sent.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/text.h"
#include "masking/strategy.h"
#include "recording/secret.h"
#include "worker/draft.h"

/* What looks like a secret or a person's data is masked, as it would be in results. */
static void init_masker(const struct session *s, struct masker *ret)
{
	struct mask_rules rules = {.detects = true};

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = MASK_PARTIAL;
	masker_init(ret, s->worker->detectors, s->worker->hasher, &rules);
}

/* The text as it may be shown: itself, or at the end of `room`, which has room for all of it: a
 * character is never replaced by a longer one. What can't be searched is not shown. */
static bool mask_found(const struct masker *masker, struct slice *text, struct buffer *room)
{
	size_t before = buffer_length(room);
	bool replaced = false;

	if (masker_append_text(masker, *text, room, &replaced) < 0)
		*text = SLICE_EMPTY;
	else if (replaced)
		*text = slice_from(buffer_slice(room), before);
	return replaced;
}

/* Whether it can be shown as text. */
static bool is_text(struct slice data)
{
	return text_is_utf8(data) && !(data.length && memchr(data.data, '\0', data.length));
}

/* As much of one as leaves room for the others: the body of a request is shown whole. */
static size_t value_share(const struct draft *d)
{
	return LIMIT_REVIEW_VALUES / (d->value_count ? d->value_count : 1);
}

/* Whether the protocol may know more of it than its bytes show. */
static bool has_type(const struct protocol *protocol, const struct protocol_value *value)
{
	return value->binary && value->data.data && protocol->show;
}

/* By what the protocol knows of the value's type: at most `share` bytes in `room`, where they were
 * reserved. False: it knows nothing. */
static bool show_by_type(const struct protocol *protocol, const struct masker *masker,
	const struct protocol_value *value, size_t share, struct buffer *room,
	struct question_value *ret)
{
	size_t before = buffer_length(room);
	struct buffer shown;
	int how;

	if (!has_type(protocol, value))
		return false;
	buffer_init(&shown, LIMIT_STATEMENT_BYTES);
	how = protocol->show(masker, value, &shown);
	buffer_append_slice(room, slice_head(buffer_slice(&shown), share));
	if (how != PROTOCOL_SHOWN_AS_IT_IS)
		ret->data = slice_from(buffer_slice(room), before);
	if (how == PROTOCOL_SHOWN_AS_TEXT || how == PROTOCOL_SHOWN_REPLACED) {
		ret->binary = how == PROTOCOL_SHOWN_REPLACED && !is_text(ret->data);
		ret->length = buffer_length(&shown);
	}
	buffer_done(&shown);
	return how != PROTOCOL_SHOWN_AS_IT_IS;
}

/* Parameters. The binary form of text, and of what holds text, has it as it is: in hexadecimal it
 * would be as clear, as would be a number. */
static void fill_values(const struct protocol *protocol, const struct masker *masker,
	struct draft *d, struct buffer *room)
{
	struct question *q = &d->question;

	for (size_t i = 0; i < d->value_count; i++) {
		const struct protocol_value *value = &d->values[i];
		struct question_value *shown = &q->values[q->value_count++];

		*shown = (struct question_value){
			.null = !value->data.data,
			.binary = value->binary,
			.data = slice_head(value->data, value_share(d)),
			.length = value->length,
		};
		if (shown->null ||
			show_by_type(protocol, masker, value, value_share(d), room, shown))
			continue;
		if (mask_found(masker, &shown->data, room))
			shown->binary = value->binary && !is_text(shown->data);
	}
}

static int reserve(const struct protocol *protocol, const struct draft *d, struct buffer *room)
{
	size_t length = d->question.preview.length;
	uint8_t *space;

	for (size_t i = 0; i < d->value_count; i++)
		length += has_type(protocol, &d->values[i])
			? value_share(d)
			: slice_head(d->values[i].data, value_share(d)).length;
	return buffer_reserve(room, length, &space);
}

/* A plan quotes all parameters, also those that are not listed. */
static int mask_values(const struct session *s, struct draft *d, struct buffer *room)
{
	struct masker masker;
	int r = reserve(s->engine->protocol, d, room);

	if (r < 0)
		return r;
	init_masker(s, &masker);
	fill_values(s->engine->protocol, &masker, d, room);
	if (d->question.values_total)
		mask_found(&masker, &d->question.preview, room);
	return 0;
}

/* The text as it may be shown: itself, or in `room` without its passwords. */
static int hide_secrets(struct slice *text, struct buffer *room)
{
	struct secret_found found;
	int r = secret_hide(*text, room, &found);

	if (r == 0 && found.hidden)
		*text = buffer_slice(room);
	return r;
}

/* Each by itself, so that nothing of one is taken for the next one's. */
static int hide_in_parts(struct question *q, struct buffer *room)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->part_count; i++) {
		struct slice text = question_part_text(q, i, &at);
		size_t before;
		struct secret_found found;

		if (i > 0)
			r = buffer_append_string(room, QUESTION_SEPARATOR);
		before = buffer_length(room);
		if (r == 0)
			r = secret_hide(text, room, &found);
		if (r == 0 && !found.hidden)
			r = buffer_append_slice(room, text);
		q->parts[i].text_length = buffer_length(room) - before;
	}
	if (r == 0)
		q->text = buffer_slice(room);
	return r;
}

int draft_write(struct session *s, struct draft *d)
{
	struct question *q = &d->question;
	struct buffer values, text, runs, bytes;
	int r, fd = -1;

	buffer_init(&values, LIMIT_REVIEW_VALUES + q->preview.length);
	buffer_init(&text, 2 * LIMIT_STATEMENT_BYTES);
	buffer_init(&runs, 2 * LIMIT_STATEMENT_BYTES);
	buffer_init(&bytes, QUESTION_BYTES_MOST);
	q->groups = slice_head(q->groups, LIMIT_RECORD_NAME);
	r = mask_values(s, d, &values);
	if (r == 0)
		r = q->part_count ? hide_in_parts(q, &text) : hide_secrets(&q->text, &text);
	if (r == 0)
		r = hide_secrets(&q->runs, &runs);
	if (r == 0)
		r = question_encode(q, &bytes);
	if (r == 0)
		fd = memfd_create("question", MFD_CLOEXEC);
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0)
		r = file_write_all(fd, buffer_slice(&bytes));
	buffer_done(&values);
	buffer_done(&text);
	buffer_done(&runs);
	buffer_done(&bytes);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}
