/* SPDX-License-Identifier: Apache-2.0
 *
 * host: what stands around an engine: the pipe's side of a session, which it may ask for things,
 * and whose answers and settings it reads.
 */
#ifndef WAYLEAVE_PROTOCOL_HOST_H
#define WAYLEAVE_PROTOCOL_HOST_H

#include "base/buffer.h"
#include "masking/mask.h"
#include "protocol/event.h"

struct detector_engine;
struct mask_hasher;
struct protocol_host;
struct sql_cache;
struct sql_catalog;

/* How a side's connection ends. */
enum protocol_ending {
	ENDING_IN_ORDER,
	/* TLS that was not closed: what came may not be all (RFC 8446, 6.1). It may still take
	 * something. */
	ENDING_CUT,
	/* It broke: what came may not be all, and nothing is taken either. */
	ENDING_BROKEN,
};

/* The names of one database as the sessions of one worker share them. Engines fill it. */
struct protocol_catalog {
	_Atomic uint64_t
		*epoch; /* shared by all workers; an engine counts it up when DDL has run */
	struct sql_catalog *names; /* a reference; NULL: not read yet */
	uint64_t names_epoch; /* the epoch when reading them began; they are stale when it moved on
			       */
	char version[64]; /* what the server's catalogs summed up to, to compare with later */
	bool check; /* set now and then by the worker: compare before the next use */
	uint64_t checks; /* counts how often the worker did that */
};

/* A connection that the server made for the agent within the engine's, in a lane (RFC 9113, 8.5) or
 * in TLS: a session of its own, between whose ends and the engine's the host copies. The engine's,
 * for as long as it is carried. */
struct protocol_tunnel {
	const struct protocol_tunnel_events *events;
	void *carrier; /* the host's; NULL: nobody carries it any more, and nothing is called */
};

/* What that session does. Any of them may end with tunnel_drop(). */
struct protocol_tunnel_events {
	/* It has this for a side, which wants() it. Negative errno ends the engine's session. */
	int (*data)(struct protocol_tunnel *t, enum side to, struct slice bytes);
	/* It has no more for that side; `reset`: and says so with a reset. Once for each. */
	void (*end)(struct protocol_tunnel *t, enum side to, bool reset);
	/* It has got so many bytes more of what tunnel_write() was given of that side. */
	void (*taken)(struct protocol_tunnel *t, enum side from, size_t bytes);
	/* Whether that side takes more of what it says. */
	bool (*wants)(const struct protocol_tunnel *t, enum side to);
};

/* What stands around an engine; owned by the pipe, outlives the engine. */
struct protocol_host {
	/* Sends bytes to a side. write() copies; pass() takes bytes of the input() that is running
	 * and may send them without a copy. -ENOMEM or -E2BIG end the session. */
	int (*write)(struct protocol_host *host, enum side to, struct slice bytes);
	int (*pass)(struct protocol_host *host, enum side to, struct slice part_of_input);
	/* As write(), and the copy is wiped once it is sent. */
	int (*write_secret)(struct protocol_host *host, enum side to, struct slice bytes);
	/* Sends no more to that side: an end of file, once what was written is sent. */
	void (*shut)(struct protocol_host *host, enum side to);
	/* The same, where what was sent is not to look as if it was all: TLS is not closed, and
	 * without TLS there is a reset once the session ends. */
	void (*cut)(struct protocol_host *host, enum side to);
	/* Ends the session with a reset, where the protocol has no words for the refusal. */
	void (*reset)(struct protocol_host *host, const struct protocol_refusal *refusal);
	/* What is known of a database's names, in the bytes of `encoding`; never NULL, lives as
	 * long as the host. */
	struct protocol_catalog *(*catalog)(
		struct protocol_host *host, struct slice database, struct slice encoding);

	/* Where the agent says it goes: the name, in lower case, of SNI or Host, or an address in
	 * text, or nothing (empty), and the port (0: not said). `certified`: the server will have
	 * to show a certificate for this very name. The first call settles which of the resources
	 * at the dialled place the session is of. -EPERM: the name means none of them, or another
	 * one now. May be NULL: everything is meant. */
	int (*place)(struct protocol_host *host, struct slice name, uint16_t port, bool certified);

	/* Whether a connection that the server is to make for the agent may be, as one that it
	 * makes itself. `name` in lower case, or an address in text. 0, or -EPERM, with why
	 * appended for the agent. May be NULL: none may. */
	int (*beyond)(struct protocol_host *host, struct slice name, uint16_t port,
		enum reason *ret_reason, struct buffer *why);

	/* A stream that another process carries for the engine to "HOST:PORT" is a connection of
	 * its own from here on: that process gets two sockets, to copy what the agent and what the
	 * server sends to, and what they are to get from. -ENOENT: nothing would judge it there;
	 * others. May be NULL: it is always that. */
	int (*carry)(struct protocol_host *host, uint32_t lane, struct slice place);

	/* The server made a connection elsewhere for the agent, as beyond() was asked: from here on
	 * what is said in it is told to the session that it is, and that session's is told by
	 * t->events. -EBUSY, -EMFILE and the like: there can't be another one. May be NULL, with
	 * the three that follow: there can't be any. */
	int (*tunnel)(struct protocol_host *host, struct protocol_tunnel *t, struct slice name,
		uint16_t port);
	/* That side said this. Copies; what it was told and has not taken() is kept, so the engine
	 * bounds it. -ENOMEM. */
	int (*tunnel_write)(struct protocol_tunnel *t, enum side from, struct slice bytes);
	/* That side says no more; `reset`: and takes no more, so that neither end() nor data()
	 * comes for it. */
	void (*tunnel_end)(struct protocol_tunnel *t, enum side from, bool reset);
	/* Both sides are gone. Takes one that is not carried. */
	void (*tunnel_drop)(struct protocol_tunnel *t);

	/* Of an engine that connects late: what was released goes to the server from here on
	 * (`begun`), or never will. May be NULL. */
	void (*begun)(struct protocol_host *host, uint64_t action, bool begun);

	/* Whether what the action's body says can make a difference to its verdict. May be NULL: it
	 * can't. */
	bool (*wants_body)(struct protocol_host *host, const struct action *action);
	/* Whether a rule that does not mean the other pair denies this one, or has people asked
	 * about it. May be NULL: none does. */
	bool (*restricts)(struct protocol_host *host, const struct action_pair *pair,
		const struct action_pair *other);

	/* Whether that grant is in force this very moment: what the engine lets begin later than
	 * with the release needs it still. May be NULL: it is. */
	bool (*grants)(struct protocol_host *host, const struct protocol_grant *grant);

	const char *address; /* where the agent dialled, "10.0.0.1:443"; NULL: that is not known */
	struct sql_cache *texts;
	struct detector_engine *detectors;
	struct mask_hasher *hasher;
	uint8_t nonce[32]; /* random, of this session */

	struct protocol_credentials credentials;
	/* Who the agent is, for the server's own logs; empty: they are not told. Lives as long as
	 * the host. */
	struct slice identity;
	/* Bytes that another process carried to that side for the engine, which counts them. */
	uint64_t carried[2];
	/* That process has taken so many bytes of its connections, as it says, and is to be told
	 * when it may take more. */
	uint64_t taken;
	bool wants_more;
	enum protocol_ending endings[2]; /* of a side that has ended */

	/* What the resource says of TLS with the server. */
	enum { UPSTREAM_TLS_AS_AGENT, UPSTREAM_TLS_OFF, UPSTREAM_TLS_ON } upstream_tls;
	bool tls_passthrough; /* TLS is relayed unread */
	bool unnamed; /* no resource names the place */
	bool asks_first; /* nothing reaches the server before an action was released */
	/* Which rules apply in this session, as a number that no other set of rules of this process
	 * had: verdicts and masks found for an analysed text are kept under it. Changes with a
	 * reload. */
	uint64_t audience;
	bool needs_facts; /* some rule that could match asks for more than that something was done
			   */
	bool judges_lines; /* some rule that could match is about what is typed into shells */
	bool observes; /* mode: observe */
	bool shows_secrets; /* the verdict that mask() is called for lets Secrets be seen */
	bool passes_masked; /* and what stood in masked values' places be written */
	bool masks_contents; /* some rule that could match masks values in contents of HTTP */
	/* The role of the server's as which the action runs that mask() is called for; empty: as
	 * who is logged in. */
	struct slice as;
	/* The one by which the action passes that release() is called for. */
	struct protocol_grant grant;
	/* People let the action pass that release() is called for: it is sent once. */
	bool reviewed;
	/* Connections to the server may be left to other sessions, and taken from them. */
	bool keeps;
	/* With connected(): the connection is one that another session left. */
	bool reused;
	bool suspended; /* the agent is: nothing that comes unasked is passed on to it */
	/* Masks of every rule that could match in this session: what unasked-for messages obey. */
	const struct mask_rules *session_masks;
};

static inline void protocol_begun(struct protocol_host *host, uint64_t action, bool begun)
{
	if (host->begun)
		host->begun(host, action, begun);
}

/* Of a connection whose bytes are passed on as they are: nothing more passes either way once that
 * side has ended so. Agents often do not close TLS in order, and still want their answer. */
static inline bool protocol_ends_both(const struct protocol_host *host, enum side side)
{
	return host->endings[side] == ENDING_BROKEN ||
		(side == SIDE_SERVER && host->endings[side] == ENDING_CUT);
}

/* Where that side has ended, and what it sent has no other end: the other side's is as it was. */
static inline void protocol_pass_end(struct protocol_host *host, enum side from)
{
	if (host->endings[from] == ENDING_IN_ORDER)
		host->shut(host, side_other(from));
	else
		host->cut(host, side_other(from));
}

#endif
