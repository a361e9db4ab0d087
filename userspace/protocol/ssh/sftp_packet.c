/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/sftp_packet.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/memory.h"

#define DEED(name) (1u << BRIDGE_DEED_##name)
#define BOTH (DEED(READ) | DEED(WRITE))

/* What a link leads to is as good as read and written by who makes it. OpenSSH's symlink has its
 * two paths the other way round than the draft. The deeds of open and setstat depend on more. */
static const struct sftp_kind kinds[] = {
	{SFTP_OPEN, NULL, "pfa", "open", {BOTH}, {SFTP_WAY_FOLLOW}},
	{SFTP_CLOSE, NULL, "h", "close", {0}, {0}},
	{SFTP_READ, NULL, "hou", "read", {0}, {0}},
	{SFTP_WRITE, NULL, "hod", "write", {0}, {0}},
	{SFTP_LSTAT, NULL, "p", "lstat", {DEED(LIST)}, {SFTP_WAY_HERE}},
	{SFTP_FSTAT, NULL, "h", "fstat", {0}, {0}},
	{SFTP_SETSTAT, NULL, "pa", "setstat", {DEED(SETATTR)}, {SFTP_WAY_FOLLOW}},
	{SFTP_FSETSTAT, NULL, "ha", "setstat", {0}, {0}},
	{SFTP_OPENDIR, NULL, "p", "list", {DEED(LIST)}, {SFTP_WAY_FOLLOW}},
	{SFTP_READDIR, NULL, "h", "readdir", {0}, {0}},
	{SFTP_REMOVE, NULL, "p", "remove", {DEED(REMOVE)}, {SFTP_WAY_HERE}},
	{SFTP_MKDIR, NULL, "pa", "mkdir", {DEED(MKDIR)}, {SFTP_WAY_HERE}},
	{SFTP_RMDIR, NULL, "p", "rmdir", {DEED(REMOVE)}, {SFTP_WAY_HERE}},
	{SFTP_REALPATH, NULL, "p", "realpath", {DEED(LIST)}, {SFTP_WAY_FOLLOW}},
	{SFTP_STAT, NULL, "p", "stat", {DEED(LIST)}, {SFTP_WAY_FOLLOW}},
	{SFTP_RENAME, NULL, "pq", "rename", {DEED(RENAME), DEED(RENAME)},
		{SFTP_WAY_HERE, SFTP_WAY_HERE}},
	{SFTP_READLINK, NULL, "p", "readlink", {DEED(LIST)}, {SFTP_WAY_HERE}},
	{SFTP_SYMLINK, NULL, "qp", "symlink", {DEED(WRITE), BOTH},
		{SFTP_WAY_HERE, SFTP_WAY_TARGET}},
	{SFTP_EXTENDED, "posix-rename@openssh.com", "pq", "rename replace",
		{DEED(RENAME), DEED(RENAME)}, {SFTP_WAY_HERE, SFTP_WAY_HERE}},
	{SFTP_EXTENDED, "hardlink@openssh.com", "pq", "hardlink", {BOTH, DEED(WRITE)},
		{SFTP_WAY_HERE, SFTP_WAY_HERE}},
	{SFTP_EXTENDED, "lsetstat@openssh.com", "pa", "setstat", {DEED(SETATTR)}, {SFTP_WAY_HERE}},
	{SFTP_EXTENDED, "statvfs@openssh.com", "p", "statvfs", {DEED(LIST)}, {SFTP_WAY_FOLLOW}},
	{SFTP_EXTENDED, "fstatvfs@openssh.com", "h", "fstatvfs", {0}, {0}},
	{SFTP_EXTENDED, "fsync@openssh.com", "h", "fsync", {0}, {0}},
	{SFTP_EXTENDED, "copy-data", "hoogo", "copy", {0}, {0}},
	{SFTP_EXTENDED, "limits@openssh.com", "", "limits", {0}, {0}},
	{SFTP_EXTENDED, "expand-path@openssh.com", "p", "realpath", {DEED(LIST)}, {SFTP_WAY_HOME}},
	{SFTP_EXTENDED, "home-directory", "p", "home-directory", {DEED(LIST)}, {SFTP_WAY_HOME}},
	{SFTP_EXTENDED, "users-groups-by-id@openssh.com", "ww", "names", {0}, {0}},
};

static const char *const status_names[SFTP_STATUS_COUNT] = {
	[SFTP_OK] = "ok",
	[SFTP_EOF] = "end of file",
	[SFTP_NO_SUCH_FILE] = "no such file",
	[SFTP_PERMISSION_DENIED] = "permission denied by the host",
	[SFTP_FAILURE] = "failed",
	[SFTP_BAD_MESSAGE] = "bad message",
	[SFTP_NO_CONNECTION] = "no connection",
	[SFTP_CONNECTION_LOST] = "connection lost",
	[SFTP_OP_UNSUPPORTED] = "not supported by the host",
};

const char *sftp_status_name(uint32_t status)
{
	return status < SFTP_STATUS_COUNT ? status_names[status] : "failed";
}

/* --- reading --- */

struct slice sftp_read_bytes(struct sftp_reader *r, size_t length)
{
	struct slice found;

	if (r->rest.length < length) {
		r->bad = true;
		length = 0;
	}
	found = slice_head(r->rest, length);
	r->rest = slice_from(r->rest, length);
	return found;
}

uint32_t sftp_read_u32(struct sftp_reader *r)
{
	struct slice bytes = sftp_read_bytes(r, sizeof(uint32_t));

	return bytes.length ? bytes_get_u32(bytes.data) : 0;
}

struct slice sftp_read_string(struct sftp_reader *r)
{
	return sftp_read_bytes(r, sftp_read_u32(r));
}

/* A server in C would read a shorter path than we. */
static struct slice read_path(struct sftp_reader *r)
{
	struct slice path = sftp_read_string(r);

	r->bad |= path.length > SFTP_PATH_MOST ||
		(path.length && memchr(path.data, '\0', path.length));
	return path;
}

static struct slice read_attributes(struct sftp_reader *r)
{
	static const uint8_t sizes[] = {8, 8, 4, 8};
	struct slice start = r->rest;
	uint32_t flags = sftp_read_u32(r);

	r->bad |= (flags & ~(uint32_t)SFTP_ATTRIBUTE_ALL) != 0;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (flags & 1u << i)
			sftp_read_bytes(r, sizes[i]);
	}
	return slice_head(start, start.length - r->rest.length);
}

static struct slice read_field(struct sftp_reader *r, char letter)
{
	struct slice field;

	switch (letter) {
	case 'p':
	case 'q':
		return read_path(r);
	case 'h':
	case 'g':
		field = sftp_read_string(r);
		r->bad |= field.length > SFTP_HANDLE_MOST;
		return field;
	case 'f':
		field = sftp_read_bytes(r, 4);
		r->bad |= !r->bad && bytes_get_u32(field.data) & ~(uint32_t)SFTP_OPEN_ALL;
		return field;
	case 'a':
		return read_attributes(r);
	case 'u':
		return sftp_read_bytes(r, 4);
	case 'o':
		return sftp_read_bytes(r, 8);
	default:
		return sftp_read_string(r);
	}
}

static const struct sftp_kind *find_kind(uint8_t type, struct slice extension)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].type == type &&
			(!kinds[i].extension || slice_equal_string(extension, kinds[i].extension)))
			return &kinds[i];
	}
	return NULL;
}

bool sftp_knows_extension(struct slice name)
{
	return find_kind(SFTP_EXTENDED, name) != NULL;
}

int sftp_decode(struct slice packet, struct sftp_request *ret)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_LENGTH_SIZE + 1)};
	struct slice extension = SLICE_EMPTY;

	*ret = (struct sftp_request){.id = sftp_read_u32(&r)};
	if (r.bad)
		return -EBADMSG;
	if (packet.data[SFTP_LENGTH_SIZE] == SFTP_EXTENDED)
		extension = sftp_read_string(&r);
	ret->kind = find_kind(packet.data[SFTP_LENGTH_SIZE], extension);
	if (!ret->kind)
		return -ENOTSUP;
	for (size_t i = 0; ret->kind->fields[i]; i++)
		ret->fields[i] = read_field(&r, ret->kind->fields[i]);
	return r.bad || r.rest.length ? -EBADMSG : 0;
}

struct slice *sftp_field(struct sftp_request *request, char letter)
{
	return &request->fields[strchr(request->kind->fields, letter) - request->kind->fields];
}

bool sftp_has_field(const struct sftp_request *request, char letter)
{
	return strchr(request->kind->fields, letter) != NULL;
}

unsigned sftp_attributes(struct slice field)
{
	return field.length >= 4 ? bytes_get_u32(field.data) : 0;
}

/* --- writing --- */

int sftp_append_string(struct buffer *to, struct slice s)
{
	int r = buffer_append_u32(to, (uint32_t)s.length);

	return r < 0 ? r : buffer_append_slice(to, s);
}

static bool is_string(char letter)
{
	return strchr("pqhgwd", letter);
}

static int begin(struct buffer *to, size_t length, uint8_t type, uint32_t id)
{
	int r = buffer_append_u32(to, (uint32_t)length);

	if (r == 0)
		r = buffer_append_byte(to, type);
	return r < 0 ? r : buffer_append_u32(to, id);
}

int sftp_append_request(struct buffer *to, const struct sftp_request *request, uint32_t id)
{
	const struct sftp_kind *kind = request->kind;
	struct slice extension = slice_from_string(kind->extension);
	size_t length =
		SFTP_HEAD - SFTP_LENGTH_SIZE + (extension.length ? 4 + extension.length : 0);
	int r;

	for (size_t i = 0; kind->fields[i]; i++)
		length += request->fields[i].length + (is_string(kind->fields[i]) ? 4 : 0);
	r = begin(to, length, kind->type, id);
	if (r == 0 && extension.length)
		r = sftp_append_string(to, extension);
	for (size_t i = 0; r == 0 && kind->fields[i]; i++) {
		if (is_string(kind->fields[i]))
			r = sftp_append_string(to, request->fields[i]);
		else
			r = buffer_append_slice(to, request->fields[i]);
	}
	return r;
}

int sftp_append_path_request(struct buffer *to, uint8_t type, uint32_t id, struct slice path)
{
	int r = begin(to, SFTP_HEAD - SFTP_LENGTH_SIZE + 4 + path.length, type, id);

	return r < 0 ? r : sftp_append_string(to, path);
}

int sftp_append_status(struct buffer *to, uint32_t id, enum sftp_status status, struct slice text)
{
	int r = begin(to, SFTP_HEAD - SFTP_LENGTH_SIZE + 4 + 4 + text.length + 4, SFTP_STATUS, id);

	if (r == 0)
		r = buffer_append_u32(to, status);
	if (r == 0)
		r = sftp_append_string(to, text);
	return r < 0 ? r : sftp_append_string(to, SLICE_EMPTY); /* the language */
}
