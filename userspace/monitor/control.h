/* SPDX-License-Identifier: Apache-2.0
 *
 * control: the monitor's control socket, as the command line and the launcher see it.
 *
 * A Unix SOCK_SEQPACKET socket at RUNTIME_DIR/control.sock. One datagram is one message: a header
 * and a payload of at most CONTROL_PAYLOAD_MOST bytes, with descriptors by SCM_RIGHTS where the
 * table says so. The client sends a request; the monitor answers with one reply. The monitor knows
 * its peer by SO_PEERCRED and by cgroup; nothing that a client says about itself is believed.
 */
#ifndef WAYLEAVE_MONITOR_CONTROL_H
#define WAYLEAVE_MONITOR_CONTROL_H

#include "base/buffer.h"
#include "base/error.h"

#define CONTROL_DEFAULT_SOCKET "/run/wayleave/control.sock"
#define CONTROL_PAYLOAD_MOST 131072
/* The comment of lines that were put into the host's own known_hosts, which tells them apart. */
#define SSH_KNOWN_MARK "added-by-wayleave"
#define CONTROL_DESCRIPTORS_MOST 4

enum control_request {
	/* → JSON object: version, mode, workers, agents, counters. Open to every local user; a peer
	 * inside an agent sees itself alone. */
	CONTROL_STATUS = 1,
	/* A request → a plan, both as run_plan.h says. For the launcher: who asks is
	 * known by SO_PEERCRED. */
	CONTROL_RUN,
	/* → one descriptor: the compiled policy image, read-only. Root alone. */
	CONTROL_POLICY,
	/* → two descriptors: the folders of the recordings and of the audit log, to openat() in;
	 * payload: the names of the live workers' incarnations, each with a NUL. Root alone. */
	CONTROL_RECORDINGS,
	/* SESSION-ID → nothing. Ends the session. Root alone. */
	CONTROL_KILL,
	/* → PEM text of the host CA's certificate; of "ssh" → the line of the authority of SSH
	 * users. Every local user. */
	CONTROL_CA,
	/* struct control_reviews → struct control_reviews_seen; with one descriptor, unless nothing
	 * has changed: JSON array of the reviews that the asker may see, or of those that changed.
	 */
	CONTROL_REVIEWS,
	/* REVIEW-ID → one descriptor: JSON object, the review with all of its question. */
	CONTROL_REVIEW,
	/* struct control_decide, id, reason → "decided" or "counted": others must approve too.
	 * Whoever is among the review's reviewers. */
	CONTROL_DECIDE,
	/* → one descriptor: JSON array of the grants in force that the asker may see. */
	CONTROL_GRANTS,
	/* GRANT-ID → nothing. Root, and the reviewers of its groups. */
	CONTROL_REVOKE,
	/* → one descriptor: JSON array of the agents, and who each acts for. Root alone. */
	CONTROL_AGENTS,
	/* AGENT-NAME → nothing: everything that it does is refused, until it is resumed. Root
	 * alone.
	 */
	CONTROL_SUSPEND,
	CONTROL_RESUME,
	/* → JSON object: what the canary found last. Starts another run unless one is under way.
	 * Root alone. */
	CONTROL_CANARY,
	/* struct control_token, then the token: what that of a run is from now on. Root, and who
	 * started the run; -ENOENT: it is over. */
	CONTROL_TOKEN,
	/* ISSUER-NAME, or nothing → nothing: the asker's user begins to log in. */
	CONTROL_LOGIN,
	/* → JSON object: how far that is. */
	CONTROL_LOGIN_STATE,
	/* → nothing: the asker's user is nobody any more. */
	CONTROL_LOGOUT,
	/* As CONTROL_RUN, for the launcher of a unit's command, which is in its agent's cgroup
	 * already and stays there; without a token. Root alone, from inside that agent. */
	CONTROL_UNIT,
	CONTROL_REQUEST_COUNT
};

struct control_token {
	uint64_t run; /* id of its cgroup */
};

struct control_reviews {
	uint64_t seen; /* generation; 0: none */
	uint64_t most; /* of those that ended, in a whole list; 0: LIMIT_REVIEWS_LISTED */
};

struct control_reviews_seen {
	uint64_t generation; /* the present one */
	uint64_t whole; /* 1: the whole list; 0: what changed since the generation that was seen,
			   the last change first */
	uint64_t cut; /* 1: a whole list that has as many that ended as were asked for */
};

#define CONTROL_GRANT_RULES UINT64_MAX
struct control_decide {
	uint64_t grant; /* nanoseconds; 0: this action alone; CONTROL_GRANT_RULES: as the rules say
			 */
	uint32_t approve; /* 1, or 0 to deny */
	uint32_t id_length; /* the reason is the rest */
};

/* Both directions. In a reply `type` is the request's, and `status` 0 or a negative errno, with the
 * payload then being a sentence for people. */
struct control_header {
	uint32_t type;
	int32_t status;
};

struct control_client {
	int fd;
};

/* Connects. `path` NULL: WAYLEAVE_SOCKET, else CONTROL_DEFAULT_SOCKET. */
int control_open(struct control_client *c, const char *path, struct error *e);
void control_close(struct control_client *c);
/* One request and its reply. `ret_payload` must be initialised with a limit of at least
 * CONTROL_PAYLOAD_MOST; it gets the reply's payload. Descriptors that came are stored in ret_fds
 * (room for CONTROL_DESCRIPTORS_MOST; NULL: they are closed), their number in ret_fd_count; they
 * are the caller's to close. A refusal by the monitor is its status, with its sentence in `e`. */
int control_call(struct control_client *c, enum control_request type, struct slice payload,
	struct buffer *ret_payload, int *ret_fds, size_t *ret_fd_count, struct error *e);

/* One datagram with descriptors, for both ends. Blocking sockets block; -EAGAIN otherwise. */
int control_send(int fd, const struct control_header *header, struct slice payload, const int *fds,
	size_t fd_count);
/* -EPIPE at the peer's end, -EBADMSG for a short or oversized datagram. -EMFILE: header and payload
 * are there, and of its descriptors none: there was no room for all of them in this process. */
int control_receive(int fd, struct control_header *ret_header, struct buffer *ret_payload,
	int *ret_fds, size_t *ret_fd_count);

#endif
