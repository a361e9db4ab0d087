/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's stream: each packet answers a request of the agent's or of ours.
 */
#include <errno.h>

#include "base/bytes.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/sftp_internal.h"

#define DATA_HEAD (SFTP_HEAD + 4)

static bool is_streamed(enum sftp_awaited awaited, uint8_t type)
{
	return awaited == SFTP_AWAITED_ANSWER &&
		(type == SFTP_NAME || type == SFTP_ATTRS || type == SFTP_EXTENDED_REPLY);
}

size_t sftp_host_needs(struct sftp *s, struct slice packet)
{
	struct sftp_pending *p;

	if (s->phase == SFTP_PHASE_GREETED || packet.length < SFTP_HEAD)
		return SFTP_WHOLE;
	p = sftp_find_pending(s, bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1));
	if (p && is_streamed(p->awaited, sftp_packet_type(packet)))
		return SFTP_HEAD;
	return p && p->awaited == SFTP_AWAITED_DATA && sftp_packet_type(packet) == SFTP_DATA
		? DATA_HEAD
		: SFTP_WHOLE;
}

/* Of the extensions only what is understood, so that no client asks for others. */
static int greet_agent(struct sftp *s, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	struct buffer hello;
	uint8_t head[SFTP_HEAD] = {0, 0, 0, 0, SFTP_VERSION, 0, 0, 0, SFTP_VERSION_NUMBER};
	int error;

	buffer_init(&hello, SFTP_LENGTH_SIZE + SFTP_PACKET_MOST);
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

	if (sftp_packet_type(packet) != SFTP_VERSION || packet.length < SFTP_HEAD ||
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

	if (sftp_packet_type(packet) == SFTP_NAME)
		path_append_absolute(
			SLICE_EMPTY, slice_head(sftp_read_string(&r), SFTP_PATH_MOST), &s->home);
	s->phase = SFTP_PHASE_OPEN;
	return sftp_take(s, SIDE_AGENT, SLICE_EMPTY);
}

/* The packet's end stays as it is, but for the id. */
static int append_head(struct buffer *to, struct slice packet, uint32_t id)
{
	uint8_t head[SFTP_HEAD];

	memcpy(head, packet.data, sizeof(head));
	bytes_put_u32(head + SFTP_LENGTH_SIZE + 1, id);
	return buffer_append(to, head, sizeof(head));
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
	sftp_stream_pass(&s->streams[SIDE_SERVER],
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
	sftp_stream_pass(stream, length);
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
	file->appends = p->appends;
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
	struct sftp_pending *p =
		sftp_find_pending(s, bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1));
	uint8_t type = sftp_packet_type(packet);

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

int sftp_host_packet(struct sftp *s, struct slice packet)
{
	return s->phase == SFTP_PHASE_GREETED ? take_version(s, packet) : take_response(s, packet);
}
