/* SPDX-License-Identifier: Apache-2.0
 *
 * relay: one SSH session: a server for the agent, a client of the host, and what passes between.
 *
 *   login.c     both sides, until both are let in; blocking
 *   ways.c      how we log in at the host
 *   ciphers.c   what protects either connection
 *   relay.c     the loop; what the agent opens and asks for; non-blocking from here on
 *   lane.c      one channel, from its opening to its end
 *   lane_open.c what is asked and told until it is open
 *   listeners.c what the host listens on for the agent
 *   callbacks.c what the library says of it, to be remembered
 *   closing.c   those that are over for us
 *   pressure.c  what bounds that which the library holds
 *   ration.c    what bounds that which is taken in a second
 *   requests.c  what the agent asks of it, in its order
 *   streams.c   its data, both ways, and what came of it
 *   flow.c      bytes of one direction
 *   carry.c     what goes to the worker's sockets instead: a connection of its own
 *   inside.c    those of sftp and of a git push, in which each deed is asked for
 *   copied.c    those of scp's own protocol, of which files are recorded
 *   typed.c     those that are typed into a shell, of which each line is asked for
 *
 * libssh calls back in the middle of its own work, and reads while it writes, so callbacks only
 * remember. Everything else is done between two rounds of its event loop, from what is readable
 * then. Messages of the agent are taken from libssh's queue and answered when the worker has
 * decided.
 */
#ifndef WAYLEAVE_SSH_RELAY_H
#define WAYLEAVE_SSH_RELAY_H

#define LIBSSH_LEGACY_0_4
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/memory.h"
#include "protocol/ssh/deeds.h"
#include "ssh/link.h"
#include "ssh/messages.h"

#define RELAY_SIGNALS_MOST 8
#define RELAY_SIGNAL_SIZE 16
#define RELAY_REQUEST_SIZE 64 /* of a signal, or a terminal's size, on its way to the host */
#define RELAY_MESSAGE_SIZE 512 /* a longer one, of what a signal ended, is not passed on */
#define RELAY_ALONE_SECONDS 30 /* to tell the agent why, when the worker or the host is gone */
#define RELAY_LEAVE_SECONDS 1 /* for the agent to end the connection, when it was told */
#define RELAY_HOST_GONE "wayleave: the connection to the host broke"

/* What a session begins with. */
struct opening {
	char *texts[SSH_TEXT_COUNT];
	int fds[SSH_DESCRIPTOR_COUNT]; /* -1: none */
};

/* One direction of a channel. */
struct flow {
	ssh_channel from, to;
	enum bridge_stream stream;
	struct buffer fetched; /* from the library, and not looked at yet */
	struct buffer pending; /* may be written */
	size_t at_worker; /* bytes that it has yet to give back, or keeps to be masked */
	bool masked; /* it gives back something else, and says for how many bytes it stands */
	size_t unanswered; /* of what was sent to it, if it is masked */
	bool held_up; /* since `due` was put off last, something was not read that may be there */
	uint64_t
		due; /* (clock.h) when what it keeps, or a script has waited long enough; 0: none */
	bool end_told; /* the worker knows that nothing follows */
	uint64_t bytes;
};

enum lane_step {
	LANE_OPENING, /* the channel to the host */
	LANE_IDLE,
	LANE_ASKING, /* the worker */
	LANE_COLLECTING, /* what a shell is to read, for the worker */
	LANE_REQUESTING, /* the host */
};

struct lane {
	struct list link;
	struct relay *relay;
	uint32_t id;
	ssh_message open; /* of who wants to open it; not answered yet */
	struct {
		char *address;
		int port;
	} listener; /* of the host, through which it came; the first owned; NULL: it did not */
	ssh_channel agent, server; /* NULL: none yet, or none any more */
	struct ssh_channel_callbacks_struct agent_callbacks, server_callbacks;
	bool agent_closed, server_closed; /* by the other end of it */
	ssh_message requests[LIMIT_SSH_REQUESTS]; /* in their order */
	size_t request_count;
	enum lane_step step; /* of the first of them */
	enum bridge_kind kind; /* that the worker is asked, if it is */
	bool answered; /* the agent believes that the first of the requests succeeded */
	bool whole; /* a script has come to its end: what some send behind it is not read */
	bool terminal;
	uint16_t columns, rows;
	bool started; /* something runs */
	bool told; /* the worker knows the lane */
	enum { AGENT_NOT_WANTED, AGENT_WANTED, AGENT_ASKED } agent_forward;
	uint8_t inspect;
	bool ended; /* nothing more comes from the host */
	struct flow flows[BRIDGE_STREAM_COUNT];
	bool input_ended, output_ended; /* the end of file was passed on */
	bool told_end; /* the worker knows that nobody sends more of what it keeps */
	/* What the host says first of the end of what ran. */
	uint32_t status;
	char exit_signal[RELAY_SIGNAL_SIZE], exit_message[RELAY_MESSAGE_SIZE];
	bool exit_core;
	bool status_sent;
	char signals[RELAY_SIGNALS_MOST][RELAY_SIGNAL_SIZE]; /* of the agent, to be passed on */
	size_t signal_count;
	struct buffer command, repository; /* that runs, and what it pushes to; for deeds */
	struct deeds *deeds; /* NULL: what passes is not understood, or not asked for */
	struct deeds_host deeds_host;
	struct scp_stream *copied; /* NULL: what passes is no scp's */
	enum bridge_stream copied_source;
	struct typed *typed; /* NULL: what is typed is not asked for */
	struct carry *carry; /* NULL: what passes, passes through the bridge or unread */
	uint32_t question; /* that is open; 0: none */
	size_t said; /* bytes, beside what the agent asked for */
};

/* Something that the host is to listen on for the agent. */
struct listener {
	struct list link; /* in the order in which they were asked for */
	struct relay *relay;
	uint32_t id; /* for the worker, as of a lane; 0: it knows nothing of it */
	ssh_message message; /* of the agent, which is owed an answer; NULL: it has it */
	char *address; /* as the agent wrote it; "": all */
	int port; /* the same; 0: any that is free */
	int bound; /* where the host listens */
	uint64_t until; /* (clock.h) the host has to have answered; 0: it is not asked yet */
	enum listener_state {
		LISTENER_ASKING, /* the worker */
		LISTENER_ALLOWED, /* the host is asked when its turn has come */
		LISTENER_REFUSED, /* the agent is told when its turn has come */
		LISTENER_LISTENS,
		LISTENER_CANCELS, /* it ends another one instead */
	} state;
};

/* One side's, in numbers of the library's counters. */
struct pressure {
	bool crowded; /* a channel has more that is unread than there was room for */
	size_t unsent; /* bytes written since nothing was left to be sent */
	uint64_t sent; /* by then */
	uint64_t received; /* when nothing was left to be sent that it may be waiting for */
};

struct relay {
	struct link link;
	ssh_session agent, server; /* server NULL: there is none */
	ssh_event event;
	short polled; /* of the link */
	bool link_waits; /* something of it may be there */
	struct ssh_counter_struct counters[2]; /* of what came from the agent, and the host */
	struct list lanes;
	size_t lane_count;
	struct list closing; /* channels: closing.c */
	size_t closing_count;
	struct pressure pressure[2]; /* by enum side, as the counters */
	struct list listeners;
	size_t listener_count;
	uint64_t owed_since; /* (clock.h) an answer, or that life was shown last; 0: nothing is */
	size_t request_count; /* of all lanes */
	uint32_t last_lane;
	size_t questions; /* that are not over; what a channel holds open is one */
	char agent_user[64];
	/* Of known_hosts: the host's key, as its certificate has it; NULL: host_keys has one. */
	char *certified;
	char *refused; /* every channel is answered so; NULL: none is */
	bool alone; /* the worker is gone */
	/* Bytes of both connections at which it asks for more; UINT64_MAX: it needs none, or has
	 * asked. */
	uint64_t asks_at;
	bool host_gone;
	uint64_t leave_at; /* (clock.h) whatever the agent does; 0: it decides */
};

/* login.c: 0, or -1: the agent is gone. Where the host does not let us in, `refused` says why.
 * `fd`: the agent's connection; -1: the worker sends it. */
int login_agent(struct relay *r, ssh_bind keys, int fd);
int login_server(struct relay *r, const struct opening *o);

/* ways.c: logs in by one way after the other, of those that there are; returns what the library
 * does. `problem`: why there are no keys, if so, with room for SSH_SIGNER_PROBLEM_MOST and a NUL;
 * what was tried counts up. */
int ways_try(struct relay *r, const struct opening *o, char *problem, unsigned *tried);

/* ciphers.c: SSH_OK or SSH_ERROR. */
int ciphers_offer_host(ssh_session server);
/* Before its key exchange, of which it begins the first part; `fd`: its connection. */
int ciphers_offer_agent(ssh_session agent, int fd);

/* relay.c: runs the session; returns when it is over. */
void relay_run(ssh_bind keys, struct opening *o);
/* From now on nothing passes. Keeps a copy. */
void relay_refuse(struct relay *r, struct slice text);
/* Its connection has ended, of which the lanes have yet to be told: what it was asked for last did
 * not fail for a reason of its own. */
bool relay_lost_host(const struct relay *r);
/* Takes what both ends ask for; true: the agent asked for something. */
bool relay_take_messages(struct relay *r);

/* lane.c */
struct lane *lane_find(struct relay *r, uint32_t id);
/* Both ends know that it is open; before, its flows are none. */
static inline bool lane_is_open(const struct lane *lane)
{
	return lane->agent && !lane->open;
}
/* It carries a connection, in which nothing runs. */
static inline bool lane_is_tunnel(const struct lane *lane)
{
	return lane->kind == BRIDGE_FORWARD || lane->kind == BRIDGE_FORWARDED;
}
/* Whose channel it is, on either side; NULL: it is gone, or never was any. */
struct lane *lane_of(struct relay *r, ssh_channel channel);
/* What the worker says. */
void lane_on_frame(struct lane *lane, const struct bridge_frame *frame);
/* Does what can be done now; true: something was. Last call for one that is over: it is freed. */
bool lane_turn(struct lane *lane);
/* Text for the agent beside the data. */
void lane_say(struct lane *lane, struct slice text);
/* Nothing passes any more: what runs, or is about to, ends in the way of a command that could not
 * be run. What is still to be asked for is answered so then. */
void lane_refuse(struct lane *lane, struct slice text);
/* What runs ends so, with `text` beside the data. */
void lane_fail(struct lane *lane, struct slice text);
void lane_free(struct lane *lane);

/* lane_open.c */
/* A channel that the agent wants to open; takes the message. */
void lane_open(struct relay *r, ssh_message message);
/* A channel that the host wants to open to what it listens on; takes the message. */
void lane_open_forwarded(struct relay *r, ssh_message message);
/* The channel to who did not ask for it, not open yet. False: there is none. */
bool lane_make_other(struct lane *lane);
#define LANE_PLACE_SIZE (LIMIT_SSH_HOST + 16)
/* "HOST:PORT" as rules have it, where that is a name or an address, or empty or "*": all that there
 * are. False: it is none. */
bool lane_place(const char *host, int port, char ret[LANE_PLACE_SIZE]);
/* Goes on with what is not open yet; true: something was done. */
bool lane_turn_opening(struct lane *lane);

/* listeners.c */
/* The agent wants the host to listen, or to do so no more; takes the message. */
void listeners_take(struct relay *r, ssh_message message);
/* An answer to such is owed to the agent, and nothing of it is read before it has it. */
bool listeners_owe(const struct relay *r);
/* On which a connection came, by where it went to. NULL: nobody listens there. */
struct listener *listeners_find(struct relay *r, const char *address, int port);
/* What the worker says; false: it is not about any of these. */
bool listeners_on_frame(struct relay *r, const struct bridge_frame *frame);
/* Those that wait are not to be had. */
void listeners_refuse(struct relay *r);
/* Does what can be done now; true: something was. */
bool listeners_turn(struct relay *r);
/* When they are to have another turn even if nothing happens (clock.h); 0: not. */
uint64_t listeners_due(const struct relay *r);
void listeners_free(struct relay *r);

/* callbacks.c: for that channel of the lane, which is there now. */
void callbacks_listen(struct lane *lane, enum side side);

/* closing.c */
/* Closes the channel, which may be NULL, and has the library forget it when its other end has
 * closed it, which it may have: `closed`. What still comes is dropped. */
void closing_begin(struct relay *r, ssh_channel channel,
	struct ssh_channel_callbacks_struct *callbacks, const bool *closed);
/* Forgets those that are over. */
void closing_turn(struct relay *r);

/* pressure.c */
/* The library holds that much for one stream of a channel now: the connection over which it came is
 * not read for the time being if that is more than there was room for. */
void pressure_on_unread(struct relay *r, enum side from, size_t unread);
/* Bytes were written, in a channel or as a request; whether more may be for now. */
void pressure_wrote(struct relay *r, enum side to, size_t length);
bool pressure_allows_writing(struct relay *r, enum side to);
/* Decides whose connection is read. False: the agent ignores its windows, nothing more is to be
 * read from it. */
bool pressure_turn(struct relay *r);

/* ration.c */
/* What the worker says of it; false: that is none. */
bool ration_on_frame(struct relay *r, const struct bridge_frame *frame);
/* Asks for more, where it is time. */
void ration_turn(struct relay *r);

/* requests.c */
/* Another request of the agent's channel; takes the message. */
void requests_add(struct lane *lane, ssh_message message);
/* Those that are not answered yet never are. */
void requests_drop(struct lane *lane);
/* Goes on with the first; true: something was done. */
bool requests_turn(struct lane *lane);
/* Answers the first. */
void requests_finish(struct lane *lane, bool success);
/* The first is answered as if it ran, and the agent reads why it does not. */
void requests_refuse(struct lane *lane, struct slice text);
/* The first, or the agent's keys at the host, are not to be had. */
void requests_decline(struct lane *lane);
/* Whether the first is to run something. */
bool requests_run(const struct lane *lane);
/* The worker wants to see what a shell is to read before the first is decided. */
void requests_begin_script(struct lane *lane);

/* streams.c */
/* It is known what came of it. */
bool streams_have_status(const struct lane *lane);
/* The agent has all of the output, and has yet to be told. */
bool streams_owe_status(const struct lane *lane);
/* Moves what can be moved, for a lane that is open; true: something was. */
bool streams_turn_input(struct lane *lane);
bool streams_turn_output(struct lane *lane);
/* When the lane is to have another turn even if nothing happens (clock.h); 0: not. */
uint64_t streams_due(const struct lane *lane);
/* Tells the worker what came of it. */
void streams_report(struct lane *lane);
/* Tells both what came of it, and frees the lane. */
void streams_finish(struct lane *lane);

/* inside.c */
/* Something runs, of which lane->inspect may say that its bytes are understood from now on;
 * `command`: its line, empty for a subsystem. */
void inside_begin(struct lane *lane, struct slice command);
void inside_end(struct lane *lane);
/* Reads what can be understood now; true: something was. */
bool inside_read(struct flow *f, struct lane *lane);
/* The agent sends no more. */
void inside_on_input_end(struct lane *lane);
/* What the worker says of the open question. */
void inside_on_frame(struct lane *lane, const struct bridge_frame *frame);
bool inside_is_dry(const struct lane *lane, enum bridge_stream stream);

/* copied.c */
/* That command runs; where it is scp's, what it carries is told to the worker. */
void copied_begin(struct lane *lane, struct slice command);
/* What is not complete is told as such. For a lane without any, too, like the next. */
void copied_end(struct lane *lane);
/* Bytes that one side sent. */
void copied_take(struct lane *lane, enum bridge_stream stream, struct slice bytes);

/* typed.c */
/* A shell runs on a terminal, and lines that are typed into it are asked for. */
void typed_begin(struct lane *lane);
void typed_end(struct lane *lane);
/* Nothing that was typed is held. For a lane that has none, too, like the next. */
bool typed_is_dry(const struct lane *lane);
uint64_t typed_due(const struct lane *lane);
/* The agent typed something, with nothing held; the host shows something. */
void typed_take(struct lane *lane, struct slice keys);
void typed_show(struct lane *lane, struct slice output);
/* What the worker says of the open question. */
void typed_on_frame(struct lane *lane, const struct bridge_frame *frame);
/* Goes on with what is held; true: something was done. */
bool typed_turn(struct lane *lane);

/* carry.c */
/* From now on the two channels of the lane end at these sockets, which it owns then: struct
 * bridge_type, BRIDGE_CARRY. */
void carry_begin(struct lane *lane, const int fds[2]);
void carry_end(struct lane *lane);
/* Moves what can be moved; true: some bytes were. */
bool carry_turn(struct lane *lane);
/* What is waited for until the next turn. */
void carry_poll(struct lane *lane);
/* Bytes that one side was given, for lane->carry. */
uint64_t carry_bytes(const struct lane *lane, enum side to);

/* flow.c */
#define FLOW_PENDING_HIGH (256u << 10)
/* Each read gives the sender room for 1.28 MB more, whatever the library still has: read piece by
 * piece for somebody slow, that grows until there is no more memory. So all that it has is fetched
 * at once, and nothing more before that was looked at. It has more only of a peer that ignores its
 * window. */
#define FLOW_FETCHED_MOST (LIMIT_SSH_UNREAD + BRIDGE_DATA_MOST)
/* What the library puts into one packet for who takes packets of 32 KiB, as OpenSSH does: ten bytes
 * less. */
#define FLOW_PACKET (32768u - 10)
#define FLOW_WRITTEN_MOST (4 * FLOW_PACKET) /* at once */
#define FLOW_UNANSWERED_MOST 4u /* pieces at the worker that are masked */
void flow_init(struct flow *f, ssh_channel from, ssh_channel to, enum bridge_stream stream);
/* The next bytes of the source, BRIDGE_DATA_MOST at most, which are there until the next call for
 * that flow; empty: there are none now. */
struct slice flow_fetch(struct flow *f);
/* Its source ended what it sends, of which nothing is left to be fetched. */
bool flow_is_over(const struct flow *f, ssh_channel source);
/* Nothing more is fetched. */
void flow_cut(struct flow *f);
/* Reads and writes what it can; true: some bytes moved. */
bool flow_turn(struct flow *f, struct lane *lane, bool inspected);
/* Has the worker see bytes, which it gives back. */
void flow_to_worker(struct flow *f, struct lane *lane, struct slice bytes);
/* The worker answered something that is masked. */
int flow_on_masked(struct flow *f, const struct lane *lane, const struct bridge_masked *m);
/* Asks for what the worker keeps, where nothing follows or it is due. */
void flow_ask_for_kept(struct flow *f, struct lane *lane);
/* No more is to be read before something of it was taken. */
bool flow_has_enough(const struct flow *f);
/* All that the source sent has been written. */
bool flow_is_dry(const struct flow *f);
void flow_done(struct flow *f);

#endif
