/* SPDX-License-Identifier: Apache-2.0
 *
 * What a job's request would do: in the words of policy, and for people.
 */
#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/ssh/sftp_internal.h"

static unsigned open_flags(struct sftp_request *request)
{
	return bytes_get_u32(sftp_field(request, 'f')->data);
}

/* As OpenSSH and POSIX read them: what is not open for writing alone is open for reading. */
bool sftp_opens_to_read(struct sftp_request *request)
{
	return open_flags(request) & SFTP_OPEN_READ || !(open_flags(request) & SFTP_OPEN_WRITE);
}

bool sftp_opens_to_write(struct sftp_request *request)
{
	return open_flags(request) & ~(unsigned)SFTP_OPEN_READ;
}

bool sftp_opens_to_append(struct sftp_request *request)
{
	return open_flags(request) & SFTP_OPEN_APPEND;
}

static unsigned deeds_of_attributes(struct sftp_request *request)
{
	unsigned attributes = sftp_attributes(*sftp_field(request, 'a'));

	if (attributes == SFTP_ATTRIBUTE_SIZE)
		return 1u << BRIDGE_DEED_WRITE;
	return 1u << BRIDGE_DEED_SETATTR |
		(attributes & SFTP_ATTRIBUTE_SIZE ? 1u << BRIDGE_DEED_WRITE : 0);
}

/* What is done depends on more than the kind. */
static unsigned deeds_of(struct sftp_request *request, size_t place)
{
	if (request->kind->type == SFTP_OPEN)
		return (sftp_opens_to_read(request) ? 1u << BRIDGE_DEED_READ : 0) |
			(sftp_opens_to_write(request) ? 1u << BRIDGE_DEED_WRITE : 0);
	if (request->kind->deeds[place] == 1u << BRIDGE_DEED_SETATTR)
		return deeds_of_attributes(request);
	return request->kind->deeds[place];
}

static size_t add_deeds(
	struct bridge_deed *ret, size_t count, unsigned deeds, bool known, struct slice object)
{
	for (unsigned i = 0; i < BRIDGE_DEED_COUNT; i++) {
		if (deeds & 1u << i)
			ret[count++] =
				(struct bridge_deed){(enum bridge_deed_kind)i, known, object};
	}
	return count;
}

/* Under both its names; where the host does not find it, under the written one, which is only known
 * where nothing is there at all. */
static size_t add_place(struct sftp_job *job, size_t i, struct bridge_deed *ret, size_t count)
{
	struct slice written = buffer_slice(&job->places[i].written);
	struct slice found = buffer_slice(&job->places[i].found);
	unsigned deeds = deeds_of(&job->request, i);
	bool known = written.length && (found.length || job->places[i].status == SFTP_NO_SUCH_FILE);

	if (found.length)
		count = add_deeds(ret, count, deeds, true, found);
	if (found.length && slice_equal(written, found))
		return count;
	if (written.length)
		return add_deeds(ret, count, deeds, known, written);
	if (found.length)
		return count;
	written = job->places[i].given;
	return add_deeds(
		ret, count, deeds, false, written.length ? written : slice_from_string("."));
}

static void describe_flags(struct sftp_job *job, struct buffer *ret)
{
	static const char *const names[] = {
		"read", "write", "append", "create", "truncate", "exclusive"};
	unsigned flags = open_flags(&job->request);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (flags & 1u << i)
			buffer_append_format(ret, " %s", names[i]);
	}
}

static void describe_attributes(struct slice field, struct buffer *ret)
{
	struct sftp_reader r = {.rest = field};
	uint32_t flags = sftp_read_u32(&r);

	if (flags & SFTP_ATTRIBUTE_SIZE)
		buffer_append_format(ret, " size %llu",
			(unsigned long long)bytes_get_u64(sftp_read_bytes(&r, 8).data));
	if (flags & SFTP_ATTRIBUTE_OWNER) {
		uint32_t user = sftp_read_u32(&r);

		buffer_append_format(ret, " owner %u:%u", user, sftp_read_u32(&r));
	}
	if (flags & SFTP_ATTRIBUTE_MODE)
		buffer_append_format(ret, " mode %04o", sftp_read_u32(&r) & 07777);
	if (flags & SFTP_ATTRIBUTE_TIMES) {
		uint32_t accessed = sftp_read_u32(&r);

		buffer_append_format(ret, " times %u %u", accessed, sftp_read_u32(&r));
	}
}

static struct slice name_for_people(const struct sftp_place *place)
{
	if (buffer_length(&place->found))
		return buffer_slice(&place->found);
	if (buffer_length(&place->written))
		return buffer_slice(&place->written);
	return place->given;
}

size_t sftp_ask_deeds(struct sftp_job *job, struct bridge_deed *ret)
{
	struct slice name = buffer_slice(&job->file_name);
	size_t count = 0;

	if (!job->place_count)
		return add_deeds(ret, 0, deeds_of_attributes(&job->request), true, name);
	for (size_t i = 0; i < job->place_count; i++)
		count = add_place(job, i, ret, count);
	return count;
}

int sftp_ask_text(struct sftp_job *job, struct buffer *ret)
{
	int r = buffer_append_string(ret, job->request.kind->verb);

	if (r == 0 && sftp_has_field(&job->request, 'f'))
		describe_flags(job, ret);
	if (r == 0 && sftp_has_field(&job->request, 'a'))
		describe_attributes(*sftp_field(&job->request, 'a'), ret);
	for (size_t i = 0; r == 0 && i < job->place_count; i++) {
		r = buffer_append_byte(ret, ' ');
		if (r == 0)
			r = buffer_append_slice(ret, name_for_people(&job->places[i]));
	}
	if (r == 0 && !job->place_count)
		r = buffer_append_format(ret, " %.*s", SLICE_PRINT(buffer_slice(&job->file_name)));
	return r;
}
