/* SPDX-License-Identifier: Apache-2.0
 *
 * sftp_internal: what the files of sftp share.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SFTP_INTERNAL_H
#define WAYLEAVE_PROTOCOL_SSH_SFTP_INTERNAL_H

#include <openssl/evp.h>

#include "base/limits.h"
#include "protocol/ssh/sftp.h"
#include "protocol/ssh/sftp_packet.h"

#define SFTP_PLACES_MOST 2u
#define SFTP_PACKET_MOST (256u << 10) /* OpenSSH's SFTP_MAX_MSG_LENGTH */
#define SFTP_HIGH (256u << 10) /* beyond this no more is made for a side */

/* --- sftp_files.c --- */

/* What went through an open file in one direction. */
struct sftp_transfer {
	EVP_MD_CTX *digest; /* NULL: nothing yet */
	uint64_t start, next, bytes;
	bool scattered; /* not one byte behind the other: no digest says anything of it */
	bool failed; /* the host did not take all of it */
};

enum sftp_direction { SFTP_FROM_HOST, SFTP_TO_HOST, SFTP_DIRECTION_COUNT };

struct sftp_file {
	uint32_t serial; /* 0: free */
	bool closing, folder, readable, writable, appends;
	uint8_t handle[SFTP_HANDLE_MOST]; /* the host's */
	size_t handle_length;
	struct buffer name; /* absolute, for policy */
	uint32_t question;
	struct sftp_transfer transfers[SFTP_DIRECTION_COUNT];
};

/* A file that may be closed by the time it is looked for. */
struct sftp_reference {
	uint32_t index, serial;
};
#define SFTP_HANDLE_SIZE 8u /* of ours: the reference */

struct sftp_files {
	struct sftp_file *items[LIMIT_SFTP_FILES];
	uint32_t last_serial;
	size_t count;
};

void sftp_files_done(struct sftp_files *f, struct deeds_host *host);
/* NULL: as many are open as may be. */
struct sftp_file *sftp_files_add(struct sftp_files *f, struct sftp_reference *ret);
struct sftp_file *sftp_files_get(const struct sftp_files *f, struct sftp_reference reference);
/* By what we gave the agent; NULL: it is none, or is being closed. */
struct sftp_file *sftp_files_find(
	const struct sftp_files *f, struct slice handle, struct sftp_reference *ret);
/* Says what came of it, and forgets it. */
void sftp_files_close(
	struct sftp_files *f, struct deeds_host *host, struct sftp_reference reference);
/* A run of `length` bytes from `offset` begins; false: its bytes say nothing. */
bool sftp_transfer_begin(struct sftp_transfer *t, uint64_t offset, uint64_t length);
void sftp_transfer_add(struct sftp_transfer *t, struct slice bytes);

/* --- jobs --- */

enum sftp_step { SFTP_STEP_NONE, SFTP_STEP_FINDING, SFTP_STEP_ASKING };

/* A file that the request names. */
struct sftp_place {
	struct slice given; /* of the packet */
	struct slice name; /* SFTP_WAY_HERE: its last part; else empty */
	struct buffer written; /* absolute, as the agent wrote it; empty: only the host knows */
	struct buffer found; /* as the host calls it; empty: it has no such thing */
	uint32_t status; /* why not */
};

struct sftp_job {
	enum sftp_step step;
	struct buffer packet;
	struct sftp_request request;
	struct sftp_place places[SFTP_PLACES_MOST];
	size_t place_count, at; /* no place: it is about an open file */
	struct buffer file_name; /* of that file */
	struct buffer answer; /* the host's to a realpath, behind its id */
	uint32_t question;
};

/* --- sftp.c --- */

enum sftp_awaited {
	SFTP_AWAITED_NONE, /* a free place */
	SFTP_AWAITED_ANSWER, /* any, for the agent */
	SFTP_AWAITED_DATA,
	SFTP_AWAITED_WRITTEN,
	SFTP_AWAITED_OPEN,
	SFTP_AWAITED_CLOSE,
	SFTP_AWAITED_PLACE, /* ours: a path of the job */
	SFTP_AWAITED_HOME, /* ours: where relative paths begin */
};

/* A request that the host has yet to answer. */
struct sftp_pending {
	enum sftp_awaited awaited;
	uint16_t serial;
	uint32_t id; /* the agent's */
	uint32_t question; /* 0: none */
	struct sftp_reference file;
	uint64_t offset;
	uint32_t length;
	bool folder, readable, writable, appends; /* SFTP_AWAITED_OPEN */
	struct buffer name; /* SFTP_AWAITED_OPEN */
};

enum sftp_phase { SFTP_PHASE_NEW, SFTP_PHASE_GREETED, SFTP_PHASE_HOMING, SFTP_PHASE_OPEN };

/* One direction. What a packet's end carries is passed on as it comes. */
struct sftp_stream {
	struct buffer in;
	size_t passing; /* bytes of a packet's end that have yet to come */
	bool dropping; /* they go nowhere */
	bool digesting;
	struct sftp_reference file; /* whose they are */
	bool stuck; /* what is kept waits for something else than more bytes */
};

struct sftp {
	struct deeds base;
	struct deeds_host *host;
	enum sftp_phase phase;
	struct sftp_stream streams[2];
	struct buffer replies; /* ours to the agent, between two packets of the host */
	struct sftp_pending pending[LIMIT_SFTP_PENDING];
	uint32_t hint; /* where a free place may be */
	size_t pending_count;
	struct buffer home; /* empty: not known */
	bool links_as_openssh; /* the order of a symlink's paths */
	struct sftp_files files;
	size_t opening;
	struct sftp_job job;
};

/* The place of a request that is sent now, and its id; there must be room. */
struct sftp_pending *sftp_expect(struct sftp *s, enum sftp_awaited awaited, uint32_t *ret_id);
void sftp_forget(struct sftp *s, struct sftp_pending *p);
/* NULL: the host was asked no such thing. */
struct sftp_pending *sftp_find_pending(struct sftp *s, uint32_t id);
int sftp_reply(struct sftp *s, uint32_t id, enum sftp_status status, const char *text);
/* Replies that were made while a packet of the host was passed on. */
int sftp_flush_replies(struct sftp *s);

static inline uint8_t sftp_packet_type(struct slice packet)
{
	return packet.data[SFTP_LENGTH_SIZE];
}

/* `length` bytes follow, of which the first may be there. */
static inline void sftp_stream_pass(struct sftp_stream *stream, size_t length)
{
	stream->passing = length;
	stream->dropping = stream->digesting = false;
}

/* --- sftp_agent.c, sftp_host.c --- */

#define SFTP_WHOLE SIZE_MAX

/* Of a packet at least SFTP_HEAD bytes are there. How many there must be; SFTP_WHOLE: all. */
size_t sftp_agent_needs(const struct sftp *s, struct slice packet);
size_t sftp_host_needs(struct sftp *s, struct slice packet);
/* So much of it. */
int sftp_agent_packet(struct sftp *s, struct slice packet);
int sftp_host_packet(struct sftp *s, struct slice packet);

/* --- sftp_job.c --- */

/* A request that names files; its packet is copied. */
int sftp_job_begin(struct sftp *s, const struct sftp_request *request, struct slice packet);
/* The host's answer, whole. */
int sftp_job_found(struct sftp *s, struct slice packet);
/* A change of an open file's attributes, by its name. */
int sftp_job_begin_on_file(struct sftp *s, struct slice packet, const struct sftp_file *file);
void sftp_job_done(struct sftp *s);

/* --- sftp_ask.c --- */

#define SFTP_DEEDS_MOST (2 * SFTP_PLACES_MOST * BRIDGE_DEED_COUNT)

/* How many; slices are the job's. */
size_t sftp_ask_deeds(struct sftp_job *job, struct bridge_deed *ret);
/* What people and recordings are shown. */
int sftp_ask_text(struct sftp_job *job, struct buffer *ret);
/* Of SFTP_OPEN. */
bool sftp_opens_to_read(struct sftp_request *request);
bool sftp_opens_to_write(struct sftp_request *request);
bool sftp_opens_to_append(struct sftp_request *request);

#endif
