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

#define PACKET_MOST (256u << 10) /* OpenSSH's SFTP_MAX_MSG_LENGTH */
#define WRITE_HEAD (SFTP_HEAD + 4) /* up to the length of the handle */
#define WRITE_REST 12u /* offset, length of the data */
#define DATA_HEAD (SFTP_HEAD + 4)
#define WHOLE SIZE_MAX

/* --- life --- */

struct sftp *sftp_new(struct deeds_host *host)
{
	struct sftp *s = memory_new(sizeof(*s));

	s->base = (struct deeds){&deeds_sftp, host};
	s->host = host;
	for (size_t i = 0; i < ARRAY_SIZE(s->streams); i++)
		buffer_init(&s->streams[i].in, SFTP_LENGTH_SIZE + PACKET_MOST + SFTP_HIGH);
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

static struct sftp_pending *find_pending(struct sftp *s, uint32_t id)
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

/* --- what both streams have --- */

static uint8_t type_of(struct slice packet)
{
	return packet.data[SFTP_LENGTH_SIZE];
}

/* `length` bytes follow, of which the first may be there. */
static void pass_rest(struct sftp_stream *stream, size_t length)
{
	stream->passing = length;
	stream->dropping = stream->digesting = false;
}

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

/* The packet's end stays as it is, but for the id. */
static int append_head(struct buffer *to, struct slice packet, uint32_t id)
{
	uint8_t head[SFTP_HEAD];

	memcpy(head, packet.data, sizeof(head));
	bytes_put_u32(head + SFTP_LENGTH_SIZE + 1, id);
	return buffer_append(to, head, sizeof(head));
}

/* --- the agent's stream --- */

/* How many bytes of the packet are to be there; WHOLE: all. */
static size_t agent_head(const struct sftp *s, struct slice packet)
{
	if (s->phase != SFTP_PHASE_OPEN || packet.length < SFTP_LENGTH_SIZE + 1 ||
		type_of(packet) != SFTP_WRITE)
		return WHOLE;
	if (packet.length < WRITE_HEAD)
		return WRITE_HEAD;
	return WRITE_HEAD + (size_t)bytes_get_u32(packet.data + SFTP_HEAD) + WRITE_REST;
}

static int take_init(struct sftp *s, struct slice packet)
{
	uint8_t hello[SFTP_HEAD] = {0, 0, 0, 5, SFTP_INIT, 0, 0, 0, SFTP_VERSION_NUMBER};

	if (type_of(packet) != SFTP_INIT || packet.length < SFTP_HEAD ||
		bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1) < SFTP_VERSION_NUMBER)
		return -EBADMSG;
	s->phase = SFTP_PHASE_GREETED;
	return buffer_append(s->host->to[SIDE_SERVER], hello, sizeof(hello));
}

/* The head of a write is there; the data follows, to the host or nowhere. */
static int take_write(struct sftp *s, struct slice packet, size_t head)
{
	struct sftp_stream *stream = &s->streams[SIDE_AGENT];
	struct sftp_reader r = {.rest = slice_of(packet.data + SFTP_HEAD, head - SFTP_HEAD)};
	struct slice handle = sftp_read_string(&r), offset = sftp_read_bytes(&r, 8);
	uint32_t length = sftp_read_u32(&r), agent_id, id;
	struct buffer *to = s->host->to[SIDE_SERVER];
	struct sftp_reference reference;
	struct sftp_file *file;
	struct sftp_pending *p;
	int error;

	if (r.bad || head + length != SFTP_LENGTH_SIZE + bytes_get_u32(packet.data))
		return -EBADMSG;
	agent_id = bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1);
	file = sftp_files_find(&s->files, handle, &reference);
	pass_rest(stream, length);
	stream->dropping = !file || !file->writable;
	if (stream->dropping)
		return sftp_reply(s, agent_id, SFTP_PERMISSION_DENIED,
			"wayleave: this file is not open for writing");
	p = sftp_expect(s, SFTP_AWAITED_WRITTEN, &id);
	p->id = agent_id;
	p->file = stream->file = reference;
	stream->digesting = sftp_transfer_begin(
		&file->transfers[SFTP_TO_HOST], bytes_get_u64(offset.data), length);
	error = buffer_append_u32(to,
		(uint32_t)(head - SFTP_LENGTH_SIZE - handle.length + file->handle_length + length));
	if (error == 0)
		error = buffer_append_byte(to, SFTP_WRITE);
	if (error == 0)
		error = buffer_append_u32(to, id);
	if (error == 0)
		error = sftp_append_string(to, slice_of(file->handle, file->handle_length));
	if (error == 0)
		error = buffer_append_slice(to, offset);
	return error < 0 ? error : buffer_append_u32(to, length);
}

/* Whether what the request does with the file is what it was opened for. */
static bool may(const struct sftp_request *request, const struct sftp_file *file)
{
	switch (request->kind->type) {
	case SFTP_READ:
		return file->readable;
	case SFTP_READDIR:
		return file->folder;
	case SFTP_EXTENDED:
		return !sftp_has_field(request, 'g') || file->readable;
	default:
		return true;
	}
}

static void expect_of_file(
	struct sftp_pending *p, struct sftp_request *request, struct sftp_file *file)
{
	if (request->kind->type == SFTP_READ) {
		p->awaited = SFTP_AWAITED_DATA;
		p->offset = bytes_get_u64(sftp_field(request, 'o')->data);
		p->length = bytes_get_u32(sftp_field(request, 'u')->data);
	} else if (request->kind->type == SFTP_CLOSE) {
		p->awaited = SFTP_AWAITED_CLOSE;
		file->closing = true;
	}
}

/* The file that is written by the host's own copying. */
static bool copy_to(struct sftp *s, struct sftp_request *request)
{
	struct sftp_reference reference;
	struct sftp_file *to;

	if (!sftp_has_field(request, 'g'))
		return true;
	to = sftp_files_find(&s->files, *sftp_field(request, 'g'), &reference);
	if (!to || !to->writable)
		return false;
	to->transfers[SFTP_TO_HOST].scattered = true;
	*sftp_field(request, 'g') = slice_of(to->handle, to->handle_length);
	return true;
}

static int take_of_file(struct sftp *s, struct sftp_request *request, struct slice packet)
{
	struct sftp_reference reference;
	struct sftp_file *file = sftp_files_find(&s->files, *sftp_field(request, 'h'), &reference);
	struct sftp_pending *p;
	uint32_t id;

	if (!file || !may(request, file) || !copy_to(s, request))
		return sftp_reply(s, request->id, SFTP_PERMISSION_DENIED,
			"wayleave: this file is not open for that");
	if (request->kind->type == SFTP_FSETSTAT &&
		!(file->writable &&
			sftp_attributes(*sftp_field(request, 'a')) == SFTP_ATTRIBUTE_SIZE))
		return sftp_job_begin_on_file(s, packet, file);
	p = sftp_expect(s, SFTP_AWAITED_ANSWER, &id);
	p->id = request->id;
	p->file = reference;
	expect_of_file(p, request, file);
	*sftp_field(request, 'h') = slice_of(file->handle, file->handle_length);
	return sftp_append_request(s->host->to[SIDE_SERVER], request, id);
}

static int send_as_it_is(struct sftp *s, const struct sftp_request *request)
{
	uint32_t id;

	sftp_expect(s, SFTP_AWAITED_ANSWER, &id)->id = request->id;
	return sftp_append_request(s->host->to[SIDE_SERVER], request, id);
}

static int take_request(struct sftp *s, struct slice packet)
{
	struct sftp_request request;
	int r = sftp_decode(packet, &request);

	if (r == -ENOTSUP)
		return sftp_reply(s, request.id, SFTP_OP_UNSUPPORTED,
			"wayleave: this request is not understood");
	if (r < 0)
		return sftp_reply(
			s, request.id, SFTP_BAD_MESSAGE, "wayleave: this request is malformed");
	if (sftp_has_field(&request, 'p'))
		return sftp_job_begin(s, &request, packet);
	if (sftp_has_field(&request, 'h'))
		return take_of_file(s, &request, packet);
	return send_as_it_is(s, &request);
}

/* --- the host's stream --- */

static bool is_streamed(enum sftp_awaited awaited, uint8_t type)
{
	return awaited == SFTP_AWAITED_ANSWER &&
		(type == SFTP_NAME || type == SFTP_ATTRS || type == SFTP_EXTENDED_REPLY);
}

static size_t server_head(struct sftp *s, struct slice packet)
{
	struct sftp_pending *p;

	if (s->phase == SFTP_PHASE_GREETED || packet.length < SFTP_HEAD)
		return WHOLE;
	p = find_pending(s, bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1));
	if (p && is_streamed(p->awaited, type_of(packet)))
		return SFTP_HEAD;
	return p && p->awaited == SFTP_AWAITED_DATA && type_of(packet) == SFTP_DATA ? DATA_HEAD
										    : WHOLE;
}

/* Of the extensions only what is understood, so that no client asks for others. */
static int greet_agent(struct sftp *s, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	struct buffer hello;
	uint8_t head[SFTP_HEAD] = {0, 0, 0, 0, SFTP_VERSION, 0, 0, 0, SFTP_VERSION_NUMBER};
	int error;

	buffer_init(&hello, SFTP_LENGTH_SIZE + PACKET_MOST);
	error = buffer_append(&hello, head, sizeof(head));
	while (r.rest.length && !r.bad && error == 0) {
		struct slice name = sftp_read_string(&r), value = sftp_read_string(&r);

		if (slice_equal_string(name, "posix-rename@openssh.com"))
			s->links_as_openssh = true;
		if (r.bad || !sftp_knows_extension(name))
			continue;
		error = sftp_append_string(&hello, name);
		if (error == 0)
			error = sftp_append_string(&hello, value);
	}
	if (error == 0) {
		bytes_put_u32(hello.data + hello.start,
			(uint32_t)(buffer_length(&hello) - SFTP_LENGTH_SIZE));
		error = buffer_append_slice(s->host->to[SIDE_AGENT], buffer_slice(&hello));
	}
	buffer_done(&hello);
	return r.bad ? -EBADMSG : error;
}

static int take_version(struct sftp *s, struct slice packet)
{
	uint32_t id;
	int r;

	if (type_of(packet) != SFTP_VERSION || packet.length < SFTP_HEAD ||
		bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1) != SFTP_VERSION_NUMBER)
		return -EBADMSG;
	r = greet_agent(s, packet);
	if (r < 0)
		return r;
	s->phase = SFTP_PHASE_HOMING;
	sftp_expect(s, SFTP_AWAITED_HOME, &id);
	return sftp_append_path_request(
		s->host->to[SIDE_SERVER], SFTP_REALPATH, id, slice_from_string("."));
}

static int take_home(struct sftp *s, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD + 4)};

	if (type_of(packet) == SFTP_NAME)
		path_append_absolute(
			SLICE_EMPTY, slice_head(sftp_read_string(&r), SFTP_PATH_MOST), &s->home);
	s->phase = SFTP_PHASE_OPEN;
	return sftp_take(s, SIDE_AGENT, SLICE_EMPTY);
}

static void end_answer(struct sftp *s, struct sftp_pending *p, uint32_t status)
{
	const struct bridge_result result = {
		.status = status, .signal = slice_from_string(sftp_status_name(status))};

	if (p->question)
		s->host->done(s->host, p->question, &result);
	sftp_forget(s, p);
}

/* The answer goes on; its end is yet to come. */
static int take_streamed(struct sftp *s, struct sftp_pending *p, struct slice packet)
{
	pass_rest(&s->streams[SIDE_SERVER],
		SFTP_LENGTH_SIZE + bytes_get_u32(packet.data) - SFTP_HEAD);
	if (append_head(s->host->to[SIDE_AGENT], packet, p->id) < 0)
		return -E2BIG;
	end_answer(s, p, SFTP_OK);
	return 0;
}

static int take_data(struct sftp *s, struct sftp_pending *p, struct slice packet)
{
	struct sftp_stream *stream = &s->streams[SIDE_SERVER];
	uint32_t length = bytes_get_u32(packet.data + SFTP_HEAD);
	struct sftp_file *file = sftp_files_get(&s->files, p->file);
	int r;

	if (length > p->length ||
		DATA_HEAD + length != SFTP_LENGTH_SIZE + bytes_get_u32(packet.data))
		return -EBADMSG;
	pass_rest(stream, length);
	stream->file = p->file;
	stream->digesting =
		file && sftp_transfer_begin(&file->transfers[SFTP_FROM_HOST], p->offset, length);
	r = append_head(s->host->to[SIDE_AGENT], packet, p->id);
	sftp_forget(s, p);
	return r < 0 ? r : buffer_append_u32(s->host->to[SIDE_AGENT], length);
}

/* The agent gets a handle of ours. */
static int take_handle(struct sftp *s, struct sftp_pending *p, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	struct slice handle = sftp_read_string(&r);
	struct buffer *to = s->host->to[SIDE_AGENT];
	uint8_t answer[SFTP_HEAD + 4 + SFTP_HANDLE_SIZE] = {
		0, 0, 0, sizeof(answer) - SFTP_LENGTH_SIZE, SFTP_HANDLE};
	struct sftp_reference reference;
	struct sftp_file *file;

	if (r.bad || r.rest.length || handle.length > SFTP_HANDLE_MOST)
		return -EBADMSG;
	file = sftp_files_add(&s->files, &reference);
	file->folder = p->folder;
	file->readable = p->readable;
	file->writable = p->writable;
	file->question = p->question;
	if (handle.length)
		memcpy(file->handle, handle.data, handle.length);
	file->handle_length = handle.length;
	buffer_append_slice(&file->name, buffer_slice(&p->name));
	bytes_put_u32(answer + SFTP_LENGTH_SIZE + 1, p->id);
	bytes_put_u32(answer + SFTP_HEAD, SFTP_HANDLE_SIZE);
	bytes_put_u32(answer + SFTP_HEAD + 4, reference.index);
	bytes_put_u32(answer + SFTP_HEAD + 8, reference.serial);
	s->opening--;
	sftp_forget(s, p);
	return buffer_append(to, answer, sizeof(answer));
}

/* A status, which may be about anything. */
static int take_status(struct sftp *s, struct sftp_pending *p, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	uint32_t status = sftp_read_u32(&r);
	struct buffer *to = s->host->to[SIDE_AGENT];
	struct sftp_file *file = sftp_files_get(&s->files, p->file);

	if (r.bad)
		return -EBADMSG;
	if (append_head(to, packet, p->id) < 0 ||
		buffer_append_slice(to, slice_from(packet, SFTP_HEAD)) < 0)
		return -E2BIG;
	if (p->awaited == SFTP_AWAITED_OPEN)
		s->opening--;
	if (p->awaited == SFTP_AWAITED_WRITTEN && file && status != SFTP_OK)
		file->transfers[SFTP_TO_HOST].failed = true;
	if (p->awaited == SFTP_AWAITED_CLOSE)
		sftp_files_close(&s->files, s->host, p->file);
	end_answer(s, p, status);
	return 0;
}

static int take_response(struct sftp *s, struct slice packet)
{
	struct sftp_pending *p = find_pending(s, bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1));
	uint8_t type = type_of(packet);

	if (!p)
		return -EBADMSG;
	if (p->awaited == SFTP_AWAITED_HOME || p->awaited == SFTP_AWAITED_PLACE) {
		bool home = p->awaited == SFTP_AWAITED_HOME;

		sftp_forget(s, p);
		if (type != SFTP_NAME && type != SFTP_STATUS)
			return -EBADMSG;
		return home ? take_home(s, packet) : sftp_job_found(s, packet);
	}
	if (type == SFTP_STATUS)
		return take_status(s, p, packet);
	if (is_streamed(p->awaited, type))
		return take_streamed(s, p, packet);
	if (p->awaited == SFTP_AWAITED_DATA && type == SFTP_DATA)
		return take_data(s, p, packet);
	if (p->awaited == SFTP_AWAITED_OPEN && type == SFTP_HANDLE)
		return take_handle(s, p, packet);
	return -EBADMSG;
}

/* --- taking --- */

/* How many bytes are to be there before anything can be done; -EBADMSG: this is no packet. */
static ssize_t needs(struct sftp *s, enum side from, struct slice in)
{
	size_t head, length;

	if (in.length < SFTP_HEAD)
		return SFTP_HEAD; /* no packet is shorter */
	length = SFTP_LENGTH_SIZE + (size_t)bytes_get_u32(in.data);
	if (length < SFTP_HEAD || length > SFTP_LENGTH_SIZE + PACKET_MOST)
		return -EBADMSG;
	head = from == SIDE_AGENT ? agent_head(s, in) : server_head(s, in);
	if (head != WHOLE && head > length)
		return -EBADMSG;
	return (ssize_t)(head == WHOLE ? length : head);
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

static int handle(struct sftp *s, enum side from, struct slice packet, size_t length)
{
	if (from == SIDE_SERVER)
		return s->phase == SFTP_PHASE_GREETED ? take_version(s, packet)
						      : take_response(s, packet);
	if (s->phase == SFTP_PHASE_NEW)
		return take_init(s, packet);
	if (type_of(packet) == SFTP_WRITE)
		return take_write(s, packet, length);
	return take_request(s, packet);
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
	r = handle(s, from, slice_head(in, (size_t)length), (size_t)length);
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

	return is_ready(s, from) && buffer_length(&stream->in) < PACKET_MOST;
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

const struct deeds_protocol deeds_sftp = {
	.open = deeds_open,
	.close = deeds_close,
	.take = deeds_take,
	.wants = deeds_wants,
	.is_dry = deeds_is_dry,
	.answer = deeds_answer,
};
