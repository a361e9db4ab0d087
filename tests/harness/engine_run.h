/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_run: a protocol engine without worker, sockets and recording, as golden tests and fuzzers
 * drive it: bytes of either side in; bytes for either side and a line per event out. Judges with
 * real rules, as worker/pipe.c does. TLS handshakes succeed at once and change nothing of the
 * bytes; a ClientHello is the byte that it begins with.
 */
#ifndef WAYLEAVE_TESTS_ENGINE_RUN_H
#define WAYLEAVE_TESTS_ENGINE_RUN_H

#include <stdatomic.h>

#include "policy/judge.h"
#include "protocol/protocol.h"

/* What runs share: rules, detectors, and what is known of the database. */
struct engine_bench {
	struct policy_scope *scope; /* reference */
	struct detector_engine *detectors;
	struct mask_hasher *hasher;
	struct sql_catalog *names; /* known from the start of each run; NULL: it reads them */
	int upstream_tls; /* as in protocol_host */
	struct slice end_point; /* what the server's certificate is bound by; NULL: some bytes */
	/* The host logs in: as this user, with this password. NULL: the agent does. */
	const char *user, *password;
	bool allow_cleartext, unverified, proven_only;
	enum secret_place secret_place; /* that password is shown there, in a field of this name */
	const char *secret_name;
	const char *impersonates; /* as in struct protocol_credentials; NULL: nobody */
	size_t hello_length; /* bytes of a ClientHello that is fed; 0: one stands for it */
	const char
		*denied_beyond; /* the one place to which no proxy may connect; NULL: there is none
				 */
	const char *identity; /* what the server is to be told; NULL: nothing */
	/* Previews are given up as soon as they have begun, and of what people decide every other
	 * action is covered by a grant, which is over behind it. */
	bool restless;
};

struct engine_run;

/* What a watcher sees, for checks that every run must pass. Any may be NULL. */
struct engine_watch {
	/* Bytes that leave for a side. */
	void (*wrote)(
		struct engine_watch *w, struct engine_run *run, enum side to, struct slice bytes);
	/* A handshake is due, and done when this returns. */
	void (*handshake)(struct engine_watch *w, struct engine_run *run, enum side side,
		struct protocol_tls_result *result);
	/* An action was decided; called before the engine hears of it. */
	void (*decided)(
		struct engine_watch *w, const struct protocol_action_event *event, bool released);
};

/* A connection that a proxy made within the engine's, of which the test is the other end. */
struct engine_tunnel {
	struct protocol_tunnel *engine; /* NULL: it was dropped */
	struct buffer said[2]; /* by the side that said it; the user takes from it */
	size_t untaken[2]; /* of that, what the engine does not know to be taken */
	bool ended[2], reset[2]; /* by the side that did */
	bool passed_end[2]; /* engine_run_tunnels_relay() told the other one */
};

#define ENGINE_TUNNELS_MOST 128

struct engine_run {
	struct protocol_host host;
	const struct engine_bench *bench;
	struct engine_watch *watch; /* may be NULL */
	struct protocol_engine *engine;
	struct protocol_catalog catalog;
	_Atomic uint64_t epoch;
	struct buffer partial[2]; /* came from a side, not yet taken */
	struct buffer sent[2]; /* for a side; the user clears it */
	struct buffer events; /* one line each; the user clears it */
	/* What is to be recorded of streams, by enum protocol_data_kind; sizes as "80x24 ". */
	struct buffer data[DATA_WINDOW + 1];
	uint64_t actions;
	struct engine_tunnel tunnels[ENGINE_TUNNELS_MOST];
	size_t tunnel_count;
	bool no_tunnels; /* there can't be any more */
	/* The grant that covers all that people decide, as long as it stands here; serial 0: there
	 * is none. */
	struct protocol_grant grant;
	/* An action that people decide comes again, until it is approved. */
	enum { HELD_NOT, HELD_PREVIEWED, HELD_APPROVED } held;
	bool keeps; /* the next connection is one that another session left, where that will do */
	unsigned connects; /* connections that the engine asked for */
	bool closed, left; /* it left the server's connection to another session */
	int fail_tls; /* enum side + 1: the handshake with that side fails */
	bool fail_proof; /* the host has no answer */
	bool keep_proof; /* nor gives one */
};

/* `config` and `rules` in one YAML text; the first agent and resource are the session's. Ends the
 * program where that has mistakes. */
void engine_bench_init(struct engine_bench *b, const char *policy);
void engine_bench_done(struct engine_bench *b);
/* The file's text; free with free(). Ends the program where it can't be read. */
char *engine_bench_read(const char *file);

void engine_run_init(
	struct engine_run *run, const struct engine_bench *bench, struct engine_watch *watch);
void engine_run_done(struct engine_run *run);
/* The upstream connection stands. */
void engine_run_connected(struct engine_run *run);
/* Bytes came from a side, or its end. Ignored once the session is closed. */
void engine_run_feed(struct engine_run *run, enum side side, struct slice bytes);
void engine_run_end(struct engine_run *run, enum side side);
void engine_run_break(struct engine_run *run, enum side side); /* it ends, and not in order */
/* What the connection in that tunnel says to a side, which must want it; that it has no more; and
 * that it has got all that the side said. Ignored where it was dropped. */
void engine_run_tunnel_says(struct engine_run *run, size_t i, enum side to, struct slice bytes);
void engine_run_tunnel_ends(struct engine_run *run, size_t i, enum side to, bool reset);
void engine_run_tunnel_takes(struct engine_run *run, size_t i, enum side from);
/* Each tunnel is a connection that passes on what either side says, as far as it is wanted. */
void engine_run_tunnels_relay(struct engine_run *run);
/* Ends it as the worker would for a reason of its own. */
void engine_run_abort(struct engine_run *run, enum reason reason);

#endif
