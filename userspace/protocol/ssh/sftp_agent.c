/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's stream: what may be done is sent on, the rest is answered here.
 */
#include <errno.h>

#include "base/bytes.h"
#include "protocol/ssh/sftp_internal.h"

#define WRITE_HEAD (SFTP_HEAD + 4) /* up to the length of the handle */
#define WRITE_REST 12u /* offset, length of the data */

size_t sftp_agent_needs(const struct sftp *s, struct slice packet)
{
	if (s->phase != SFTP_PHASE_OPEN || packet.length < SFTP_LENGTH_SIZE + 1 ||
		sftp_packet_type(packet) != SFTP_WRITE)
		return SFTP_WHOLE;
	if (packet.length < WRITE_HEAD)
		return WRITE_HEAD;
	return WRITE_HEAD + (size_t)bytes_get_u32(packet.data + SFTP_HEAD) + WRITE_REST;
}

static int take_init(struct sftp *s, struct slice packet)
{
	uint8_t hello[SFTP_HEAD] = {0, 0, 0, 5, SFTP_INIT, 0, 0, 0, SFTP_VERSION_NUMBER};

	if (sftp_packet_type(packet) != SFTP_INIT || packet.length < SFTP_HEAD ||
		bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1) < SFTP_VERSION_NUMBER)
		return -EBADMSG;
	s->phase = SFTP_PHASE_GREETED;
	return buffer_append(s->host->to[SIDE_SERVER], hello, sizeof(hello));
}

/* The head of a write is there; the data follows, to the host or nowhere. */
static int take_write(struct sftp *s, struct slice packet)
{
	struct sftp_stream *stream = &s->streams[SIDE_AGENT];
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	struct slice handle = sftp_read_string(&r), offset = sftp_read_bytes(&r, 8);
	uint32_t length = sftp_read_u32(&r), agent_id, id;
	struct buffer *to = s->host->to[SIDE_SERVER];
	struct sftp_reference reference;
	struct sftp_file *file;
	struct sftp_pending *p;
	int error;

	if (r.bad || packet.length + length != SFTP_LENGTH_SIZE + bytes_get_u32(packet.data))
		return -EBADMSG;
	agent_id = bytes_get_u32(packet.data + SFTP_LENGTH_SIZE + 1);
	file = sftp_files_find(&s->files, handle, &reference);
	sftp_stream_pass(stream, length);
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
		(uint32_t)(packet.length - SFTP_LENGTH_SIZE - handle.length + file->handle_length +
			length));
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
	/* What was allowed for adding to it was not for making it shorter. */
	if (request->kind->type == SFTP_FSETSTAT &&
		!(file->writable && !file->appends &&
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

int sftp_agent_packet(struct sftp *s, struct slice packet)
{
	if (s->phase == SFTP_PHASE_NEW)
		return take_init(s, packet);
	return sftp_packet_type(packet) == SFTP_WRITE ? take_write(s, packet)
						      : take_request(s, packet);
}
