/* SPDX-License-Identifier: Apache-2.0
 *
 * sftp_packet: packets of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02),
 * with the extensions of OpenSSH (its PROTOCOL, section 4). A packet: u32 length of the rest, u8
 * type, u32 id, the fields. Integers are big-endian; a string is a u32 length and its bytes.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SFTP_PACKET_H
#define WAYLEAVE_PROTOCOL_SSH_SFTP_PACKET_H

#include "protocol/ssh/bridge.h"

#define SFTP_VERSION_NUMBER 3u
#define SFTP_LENGTH_SIZE 4u
#define SFTP_HEAD 9u /* length, type, id */
#define SFTP_PATH_MOST 4096u
#define SFTP_HANDLE_MOST 256u
#define SFTP_FIELDS_MOST 6u

enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_SETSTAT = 9,
	SFTP_FSETSTAT = 10,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_STAT = 17,
	SFTP_RENAME = 18,
	SFTP_READLINK = 19,
	SFTP_SYMLINK = 20,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201,
};

enum sftp_status {
	SFTP_OK,
	SFTP_EOF,
	SFTP_NO_SUCH_FILE,
	SFTP_PERMISSION_DENIED,
	SFTP_FAILURE,
	SFTP_BAD_MESSAGE,
	SFTP_NO_CONNECTION,
	SFTP_CONNECTION_LOST,
	SFTP_OP_UNSUPPORTED,
	SFTP_STATUS_COUNT
};

enum sftp_open_flag {
	SFTP_OPEN_READ = 1 << 0,
	SFTP_OPEN_WRITE = 1 << 1,
	SFTP_OPEN_APPEND = 1 << 2,
	SFTP_OPEN_CREATE = 1 << 3,
	SFTP_OPEN_TRUNCATE = 1 << 4,
	SFTP_OPEN_EXCLUSIVE = 1 << 5,
	SFTP_OPEN_ALL = (1 << 6) - 1,
};

enum sftp_attribute {
	SFTP_ATTRIBUTE_SIZE = 1 << 0,
	SFTP_ATTRIBUTE_OWNER = 1 << 1,
	SFTP_ATTRIBUTE_MODE = 1 << 2,
	SFTP_ATTRIBUTE_TIMES = 1 << 3,
	SFTP_ATTRIBUTE_ALL = (1 << 4) - 1, /* without the extended ones, which nobody defined */
};

/* How the server finds a path's file. */
enum sftp_way {
	SFTP_WAY_FOLLOW, /* a link at the end leads on */
	SFTP_WAY_HERE, /* it is the link itself */
	SFTP_WAY_TARGET, /* what a link will hold: relative to the link's folder. That is sent on
			    as it was written only where no other link is on its way */
	SFTP_WAY_HOME, /* the extension says what its word stands for */
};

/* One kind of request. */
struct sftp_kind {
	uint8_t type;
	const char *extension; /* of SFTP_EXTENDED */
	/* Its fields: p, q paths; h, g handles; w a word; f flags of open; a attributes; u a u32; o
	 * a u64; d data to the end. */
	const char *fields;
	const char *verb; /* for people */
	/* Of p and q. A bit per enum bridge_deed_kind; none: the request is about a handle, whose
	 * open was judged. */
	unsigned deeds[2];
	enum sftp_way ways[2];
};

struct sftp_request {
	const struct sftp_kind *kind;
	uint32_t id;
	/* As kind->fields; strings without their length. */
	struct slice fields[SFTP_FIELDS_MOST];
};

/* Reads a packet; what is missing reads as nothing and sets `bad`. */
struct sftp_reader {
	struct slice rest;
	bool bad;
};
uint32_t sftp_read_u32(struct sftp_reader *r);
struct slice sftp_read_bytes(struct sftp_reader *r, size_t length);
struct slice sftp_read_string(struct sftp_reader *r);

/* A request whole, with its length; slices are the packet's. 0; -ENOTSUP: no such request;
 * -EBADMSG: its fields are not right, *ret has its id. */
int sftp_decode(struct slice packet, struct sftp_request *ret);
/* The field of that letter; there must be one. */
struct slice *sftp_field(struct sftp_request *request, char letter);
bool sftp_has_field(const struct sftp_request *request, char letter);
/* Which attributes a setstat or open sets (enum sftp_attribute). */
unsigned sftp_attributes(struct slice field);

int sftp_append_request(struct buffer *to, const struct sftp_request *request, uint32_t id);
int sftp_append_string(struct buffer *to, struct slice s);
int sftp_append_path_request(struct buffer *to, uint8_t type, uint32_t id, struct slice path);
int sftp_append_status(struct buffer *to, uint32_t id, enum sftp_status status, struct slice text);

/* Whether the extension is one of those that are understood. */
bool sftp_knows_extension(struct slice name);
const char *sftp_status_name(uint32_t status);

#endif
