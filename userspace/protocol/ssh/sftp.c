/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests get ids of ours on their way to the host, and files handles of ours on their way to the
 * agent, so that what comes back belongs to what was judged. The end of a packet that carries data
 * or names is passed on as it comes.
 */
#include "protocol/ssh/sftp.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/sftp_internal.h"

/* --- life --- */

struct sftp *sftp_new(struct deeds_host *host)
{
	struct sftp *s = memory_new(sizeof(*s));

	s->base = (struct deeds){&deeds_sftp, host};
	s->host = host;
	for (size_t i = 0; i < ARRAY_SIZE(s->streams); i++)
		buffer_init(&s->streams[i].in, SFTP_LENGTH_SIZE + SFTP_PACKET_MOST + SFTP_HIGH);
	buffer_init(&s->replies, 4 * SFTP_HIGH);
	buffer_init(&s->home, 2 * SFTP_PATH_MOST);
	return s;
}

static void end_question(struct sftp *s, uint32_t question)
{
	const struct bridge_result result = {
		.status = SFTP_CONNECTION_LOST, .signal = slice_from_string("closed")};

	if (question)
		s->host->done(s->host, question, &result);
}

void sftp_free(struct sftp *s)
{
	if (!s)
		return;
	if (s->job.question)
		s->host->done(s->host, s->job.question, NULL);
	sftp_job_done(s);
	for (size_t i = 0; i < LIMIT_SFTP_PENDING; i++) {
		end_question(s, s->pending[i].question);
		buffer_done(&s->pending[i].name);
	}
	sftp_files_done(&s->files, s->host);
	for (size_t i = 0; i < ARRAY_SIZE(s->streams); i++)
		buffer_done(&s->streams[i].in);
	buffer_done(&s->replies);
	buffer_done(&s->home);
	free(s);
}

/* --- requests in flight --- */

static uint32_t id_of(const struct sftp *s, const struct sftp_pending *p)
{
	return (uint32_t)p->serial << 16 | (uint32_t)(p - s->pending);
}

struct sftp_pending *sftp_expect(struct sftp *s, enum sftp_awaited awaited, uint32_t *ret_id)
{
	struct sftp_pending *p;

	while (s->pending[s->hint].awaited != SFTP_AWAITED_NONE)
		s->hint = (s->hint + 1) % LIMIT_SFTP_PENDING;
	p = &s->pending[s->hint];
	*p = (struct sftp_pending){.awaited = awaited, .serial = (uint16_t)(p->serial + 1)};
	s->pending_count++;
	*ret_id = id_of(s, p);
	return p;
}

void sftp_forget(struct sftp *s, struct sftp_pending *p)
{
	buffer_done(&p->name);
	p->awaited = SFTP_AWAITED_NONE;
	p->question = 0;
	s->pending_count--;
}

struct sftp_pending *sftp_find_pending(struct sftp *s, uint32_t id)
{
	struct sftp_pending *p;

	if ((id & 0xffff) >= LIMIT_SFTP_PENDING)
		return NULL;
	p = &s->pending[id & 0xffff];
	return p->awaited != SFTP_AWAITED_NONE && id == id_of(s, p) ? p : NULL;
}

/* --- answers of our own --- */

int sftp_flush_replies(struct sftp *s)
{
	int r;

	if (s->streams[SIDE_SERVER].passing || !buffer_length(&s->replies))
		return 0;
	r = buffer_append_slice(s->host->to[SIDE_AGENT], buffer_slice(&s->replies));
	buffer_clear(&s->replies);
	return r;
}

int sftp_reply(struct sftp *s, uint32_t id, enum sftp_status status, const char *text)
{
	int r = sftp_append_status(&s->replies, id, status, slice_from_string(text));

	return r < 0 ? r : sftp_flush_replies(s);
}

/* --- taking --- */

/* Bytes of a packet's end; how many were there. */
static ssize_t pass(struct sftp *s, enum side from, struct slice in)
{
	struct sftp_stream *stream = &s->streams[from];
	enum sftp_direction way = from == SIDE_AGENT ? SFTP_TO_HOST : SFTP_FROM_HOST;
	struct sftp_file *file;
	int r = 0;

	in = slice_head(in, stream->passing);
	file = stream->digesting ? sftp_files_get(&s->files, stream->file) : NULL;
	if (file && !file->transfers[way].scattered)
		sftp_transfer_add(&file->transfers[way], in);
	if (!stream->dropping)
		r = buffer_append_slice(s->host->to[side_other(from)], in);
	stream->passing -= in.length;
	if (r == 0 && from == SIDE_SERVER)
		r = sftp_flush_replies(s);
	return r < 0 ? r : (ssize_t)in.length;
}

/* How many bytes are to be there before anything can be done; -EBADMSG: this is no packet. */
static ssize_t needs(struct sftp *s, enum side from, struct slice in)
{
	size_t head, length;

	if (in.length < SFTP_HEAD)
		return SFTP_HEAD; /* no packet is shorter */
	length = SFTP_LENGTH_SIZE + (size_t)bytes_get_u32(in.data);
	if (length < SFTP_HEAD || length > SFTP_LENGTH_SIZE + SFTP_PACKET_MOST)
		return -EBADMSG;
	head = from == SIDE_AGENT ? sftp_agent_needs(s, in) : sftp_host_needs(s, in);
	if (head != SFTP_WHOLE && head > length)
		return -EBADMSG;
	return (ssize_t)(head == SFTP_WHOLE ? length : head);
}

/* Whether a packet of the side can be handled now. */
static bool is_ready(const struct sftp *s, enum side from)
{
	if (buffer_length(s->host->to[SIDE_AGENT]) >= SFTP_HIGH)
		return false;
	/* A host may read no more before its answers are read. */
	if (from == SIDE_SERVER)
		return s->phase != SFTP_PHASE_NEW;
	if (buffer_length(s->host->to[SIDE_SERVER]) >= SFTP_HIGH)
		return false;
	if (s->phase == SFTP_PHASE_NEW)
		return true;
	return s->phase == SFTP_PHASE_OPEN && s->job.step == SFTP_STEP_NONE &&
		s->pending_count < LIMIT_SFTP_PENDING && buffer_length(&s->replies) < SFTP_HIGH;
}

/* The first packet of `in`, or a part of it. How many bytes were taken; 0: more are needed, or
 * something else. */
static ssize_t step(struct sftp *s, enum side from, struct slice in)
{
	struct sftp_stream *stream = &s->streams[from];
	ssize_t length;
	int r;

	stream->stuck = false;
	if (stream->passing)
		return in.length ? pass(s, from, in) : 0;
	length = needs(s, from, in);
	if (length < 0)
		return length;
	if (in.length < (size_t)length)
		return 0;
	stream->stuck = !is_ready(s, from);
	if (stream->stuck)
		return 0;
	in = slice_head(in, (size_t)length);
	r = from == SIDE_AGENT ? sftp_agent_packet(s, in) : sftp_host_packet(s, in);
	return r < 0 ? r : length;
}

/* As much of `in` as can be; how much that was. */
static ssize_t take_all(struct sftp *s, enum side from, struct slice in)
{
	size_t total = 0;
	ssize_t n;

	do {
		n = step(s, from, slice_from(in, total));
		if (n < 0)
			return n;
		total += (size_t)n;
	} while (n > 0);
	return (ssize_t)total;
}

static int take_kept(struct sftp *s, enum side from)
{
	struct buffer *kept = &s->streams[from].in;
	ssize_t n;

	do {
		n = buffer_length(kept) ? step(s, from, buffer_slice(kept)) : 0;
		if (n < 0)
			return (int)n;
		buffer_consume(kept, (size_t)n);
	} while (n > 0);
	return 0;
}

/* Completes the packet that was begun with no more than it needs, so that what stands behind it is
 * not copied. */
static int complete(struct sftp *s, enum side from, struct slice *in)
{
	struct sftp_stream *stream = &s->streams[from];
	int r = take_kept(s, from);

	while (r == 0 && in->length && buffer_length(&stream->in)) {
		size_t have = buffer_length(&stream->in), wanted = in->length;
		ssize_t needed = needs(s, from, buffer_slice(&stream->in));

		if (needed < 0)
			return (int)needed;
		if ((size_t)needed > have && (size_t)needed - have < wanted)
			wanted = (size_t)needed - have;
		r = buffer_append_slice(&stream->in, slice_head(*in, wanted));
		*in = slice_from(*in, wanted);
		if (r == 0)
			r = take_kept(s, from);
	}
	return r;
}

int sftp_take(struct sftp *s, enum side from, struct slice in)
{
	int r = complete(s, from, &in);
	ssize_t n;

	if (r < 0 || !in.length)
		return r;
	n = take_all(s, from, in);
	if (n < 0)
		return (int)n;
	return buffer_append_slice(&s->streams[from].in, slice_from(in, (size_t)n));
}

bool sftp_wants(const struct sftp *s, enum side from)
{
	const struct sftp_stream *stream = &s->streams[from];

	return is_ready(s, from) && buffer_length(&stream->in) < SFTP_PACKET_MOST;
}

bool sftp_is_dry(const struct sftp *s, enum side from)
{
	return !s->streams[from].stuck && (from != SIDE_AGENT || s->job.step == SFTP_STEP_NONE);
}

/* --- as deeds --- */

static struct sftp *sftp_of(const struct deeds *d)
{
	return container_of(d, struct sftp, base);
}

static struct deeds *deeds_open(struct deeds_host *host)
{
	return &sftp_new(host)->base;
}

static void deeds_close(struct deeds *d)
{
	sftp_free(sftp_of(d));
}

static int deeds_take(struct deeds *d, enum side from, struct slice in)
{
	return sftp_take(sftp_of(d), from, in);
}

static bool deeds_wants(const struct deeds *d, enum side from)
{
	return sftp_wants(sftp_of(d), from);
}

static bool deeds_is_dry(const struct deeds *d, enum side from)
{
	return sftp_is_dry(sftp_of(d), from);
}

static int deeds_answer(struct deeds *d, bool allowed, struct slice text, struct slice object)
{
	(void)object;
	return sftp_answer(sftp_of(d), allowed, text);
}

static int deeds_again(struct deeds *d)
{
	return sftp_again(sftp_of(d));
}

const struct deeds_protocol deeds_sftp = {
	.open = deeds_open,
	.close = deeds_close,
	.take = deeds_take,
	.wants = deeds_wants,
	.is_dry = deeds_is_dry,
	.answer = deeds_answer,
	.again = deeds_again,
};
