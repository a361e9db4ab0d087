/* SPDX-License-Identifier: Apache-2.0
 *
 * bridge: between a worker and the process that carries one SSH session (userspace/ssh/), over a
 * stream socket. The process speaks SSH to both sides; the worker judges, masks and records.
 * Neither trusts the other's lengths.
 *
 * A frame: u32 length of the body, u8 type, u32 lane, the body. Integers are big-endian. A lane is
 * a channel that was opened, what the server listens on, or one deed in a channel, numbered from 1;
 * it asks for one thing at a time. Lane 0 is the connection.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_BRIDGE_H
#define WAYLEAVE_PROTOCOL_SSH_BRIDGE_H

#include "base/buffer.h"

#define BRIDGE_HEAD 9
#define BRIDGE_BODY_MOST (256u << 10) /* a command line is shorter: one SSH packet */
#define BRIDGE_DATA_MOST (32u << 10) /* bytes of a channel in one frame */

enum bridge_type {
	/* process → worker */
	BRIDGE_LOGIN = 1, /* the server let us in; the user's name */
	BRIDGE_FAILED, /* it did not, or is not whom we know; why */
	BRIDGE_REQUEST, /* struct bridge_request: wait for BRIDGE_ALLOW or BRIDGE_DENY */
	BRIDGE_GONE, /* nobody waits for that answer any more: the channel was closed */
	BRIDGE_RESULT, /* struct bridge_result: what was allowed is over */
	BRIDGE_WINDOW, /* u16 columns, u16 rows: the terminal has another size */
	BRIDGE_HOST_GONE, /* last of all, where it was not the agent that ended the session */
	/* both ways */
	BRIDGE_DATA, /* u8 enum bridge_stream, bytes: to be recorded or masked, and as it shall
			be passed on. Of a forward, empty: it ended. Of what is masked, empty: it
			ended, or what the worker keeps of it has waited long enough */
	/* worker → process */
	/* With two descriptors: the connection to the server, and a SOCK_SEQPACKET socket over
	 * which further ones come (monitor/control.h); its name. */
	BRIDGE_CONNECTED,
	BRIDGE_REFUSED, /* the session: every channel is answered so */
	BRIDGE_ALLOW, /* u8 enum bridge_inspect, or-ed */
	BRIDGE_DENY, /* text for the agent; of deeds, behind a NUL, the object that is refused */
	BRIDGE_NOTICE, /* text for the agent, while its request waits */
	BRIDGE_AGAIN, /* of BRIDGE_DEEDS alone: what its names mean is to be found once more, and
			 the request sent again */
	BRIDGE_COLLECT, /* of BRIDGE_EXEC and _SHELL, whose input is commands: the agent is told
			   that it runs, and BRIDGE_SCRIPT follows */
	BRIDGE_MASKED, /* struct bridge_masked, to each BRIDGE_DATA of what is masked */
	/* Of a forward: it is carried as a connection of its own from here on. With the next two
	 * sockets over the other way: what the agent sends goes to the first, and what comes from
	 * there to the agent; the second is the same for the server. What the worker has of it
	 * comes back first. */
	BRIDGE_CARRY,
	BRIDGE_AGENT, /* before all others, with a descriptor: the agent's connection */
	/* process → worker */
	BRIDGE_CARRIED, /* of what runs: a file that passed, for the recording */
	/* Both ways, u64: bytes of both connections. The process has taken so many, and asks for
	 * more; the worker lets it take so many in all, UINT64_MAX: any number. The process counts
	 * from where both are let in. */
	BRIDGE_ALLOWANCE,
	/* process → worker: the connection to the server is used up before BRIDGE_LOGIN, and
	 * another one is wanted: once, with which BRIDGE_CONNECTED comes again. */
	BRIDGE_CONNECT,
	BRIDGE_TYPE_COUNT
};

enum bridge_kind {
	BRIDGE_EXEC = 1, /* the command line */
	BRIDGE_SHELL,
	BRIDGE_SUBSYSTEM, /* its name */
	BRIDGE_ENV, /* NAME=VALUE */
	BRIDGE_FORWARD, /* HOST:PORT */
	BRIDGE_REMOTE_FORWARD, /* HOST:PORT that the server is to listen on */
	BRIDGE_AGENT_FORWARD,
	BRIDGE_X11,
	BRIDGE_SCRIPT, /* u8 whether that is all, what the agent sent for the shell to read */
	BRIDGE_DEEDS, /* u16 count, that many struct bridge_deed, text for people */
	BRIDGE_LINE, /* that was typed into a shell; empty: one that can't be known */
	/* "HOST:PORT from ADDRESS:PORT": a connection to what the server listens on, by whom the
	 * server says */
	BRIDGE_FORWARDED,
	BRIDGE_KIND_COUNT
};

/* What is done by a subsystem or program that is understood, in the words of policy. */
enum bridge_deed_kind {
	BRIDGE_DEED_READ, /* files by sftp */
	BRIDGE_DEED_LIST,
	BRIDGE_DEED_WRITE,
	BRIDGE_DEED_REMOVE,
	BRIDGE_DEED_RENAME,
	BRIDGE_DEED_MKDIR,
	BRIDGE_DEED_SETATTR,
	BRIDGE_DEED_GIT_PUSH,
	BRIDGE_DEED_COUNT
};

#define BRIDGE_DEEDS_MOST 256u

/* u8 kind, u8 known, u32 length of the object, the object. */
struct bridge_deed {
	enum bridge_deed_kind kind;
	bool known; /* else `object` is as it was written, and may mean another one */
	struct slice object;
};

enum bridge_stream { BRIDGE_STDIN, BRIDGE_STDOUT, BRIDGE_STDERR, BRIDGE_STREAM_COUNT };

enum bridge_inspect {
	BRIDGE_INSPECT_INPUT = 1 << 0, /* BRIDGE_DATA of stdin */
	BRIDGE_INSPECT_OUTPUT = 1 << 1, /* … of stdout and stderr */
	BRIDGE_INSPECT_SFTP = 1 << 2, /* what is done with files is asked for one by one */
	BRIDGE_INSPECT_PUSH = 1 << 3, /* the refs of a git push are asked for */
	BRIDGE_INSPECT_OBSERVE = 1 << 4, /* what is not understood inside passes all the same */
	/* BRIDGE_DATA of stderr, at least; what the agent gets of output comes as BRIDGE_MASKED */
	BRIDGE_INSPECT_MASK = 1 << 5,
	BRIDGE_INSPECT_LINES = 1 << 6, /* of stdin, each is asked for before the shell has it */
};

/* u8 kind, u8 terminal, u16 columns, u16 rows, text. */
struct bridge_request {
	enum bridge_kind kind;
	bool terminal; /* the channel has one, of this size */
	uint16_t columns, rows;
	struct slice text;
};

/* u64 to_agent, u64 to_server, u32 status, text. */
struct bridge_result {
	uint64_t to_agent, to_server; /* bytes of the channel's data */
	uint32_t status; /* exit status; BRIDGE_NO_STATUS: there was none. Of deeds: 0 or not */
	struct slice signal; /* that ended it; empty: none. Of deeds: what came of them */
};
#define BRIDGE_NO_STATUS UINT32_MAX

/* u8 stream, u8 last, u32 settled, bytes. */
struct bridge_masked {
	enum bridge_stream stream;
	bool last; /* of the frames that answer one BRIDGE_DATA */
	uint32_t settled; /* bytes of the stream, of this BRIDGE_DATA or earlier ones, that are
			     passed on by this; others are kept back */
	struct slice bytes;
};

struct bridge_frame {
	enum bridge_type type;
	uint32_t lane;
	struct slice body; /* of the input */
};

/* The first frame of `in`. 0, with its length in *ret_length; -EAGAIN: it is not complete, and
 * *ret_length says how many bytes there must be; -EBADMSG: it is none. */
int bridge_take(struct slice in, struct bridge_frame *ret, size_t *ret_length);
/* One frame whose body is both parts. */
int bridge_append(struct buffer *to, enum bridge_type type, uint32_t lane, struct slice head,
	struct slice body);

/* The text of a BRIDGE_DEEDS request. */
int bridge_append_deeds(
	struct buffer *to, const struct bridge_deed *deeds, size_t count, struct slice text);
/* Reads up to BRIDGE_DEEDS_MOST deeds; at least one. -EBADMSG: malformed. Slices are the input's.
 */
int bridge_decode_deeds(
	struct slice in, struct bridge_deed *ret, size_t *ret_count, struct slice *ret_text);

/* -EBADMSG: malformed. Slices are the frame's. */
int bridge_decode_request(struct slice body, struct bridge_request *ret);
int bridge_append_request(struct buffer *to, uint32_t lane, const struct bridge_request *request);
int bridge_decode_result(struct slice body, struct bridge_result *ret);
int bridge_append_result(struct buffer *to, uint32_t lane, const struct bridge_result *result);
int bridge_decode_masked(struct slice body, struct bridge_masked *ret);
int bridge_append_masked(struct buffer *to, uint32_t lane, const struct bridge_masked *masked);

#endif
