/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of SSH's engine share: the lanes, and how the session's process is told.
 *
 *   engine.c   lanes, events, what the pipe calls in between
 *   frames.c   what the process says
 *   carried.c  what its channels carry, where that passes through here
 *   answers.c  what the pipe answers to what was asked
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_ENGINE_INTERNAL_H
#define WAYLEAVE_PROTOCOL_SSH_ENGINE_INTERNAL_H

#include "base/limits.h"
#include "base/list.h"
#include "base/memory.h"
#include "protocol/ssh/facts.h"
#include "protocol/ssh/output.h"
#include "protocol/ssh/ssh.h"
#include "protocol/ssh/tunnel.h"

enum lane_state {
	LANE_IDLE, /* nothing is asked */
	LANE_WAITING, /* for its turn to be judged */
	LANE_ASKED, /* the pipe has its action */
	LANE_FINDING, /* the process finds once more what it is about, and asks again */
	LANE_COLLECTING, /* it takes in what a shell is to read */
};

struct ssh_lane {
	struct list link; /* engine.lanes */
	uint32_t id;
	enum lane_state state;
	bool asked; /* the pipe has its action, or had it before judging it again */
	enum bridge_kind kind; /* of what is asked, or was allowed last */
	bool terminal, record;
	bool lines; /* a shell reads what is typed */
	uint8_t inside; /* BRIDGE_INSPECT_SFTP or _PUSH: its bytes are understood */
	uint16_t columns, rows;
	uint64_t number; /* of the action that runs; 0: none */
	struct tunnel *tunnel; /* what it carries is not known yet */
	struct ssh_output *output; /* that is masked; NULL: it passes as it is */
	bool cut; /* what it carried was refused, and nothing of it passes any more */
	bool partial; /* what is asked is not all that would be run */
	/* The variables that were let through for what is to run, each with a NUL behind it. */
	struct buffer environment;
	bool has_more; /* than `environment` has room for */
	struct ssh_facts facts; /* of what is asked */
};

struct ssh_engine {
	struct protocol_engine base;
	struct list lanes;
	size_t count;
	char user[64];
	bool connects_again; /* the process had another connection to the server, or will */
	bool has_event;
	struct protocol_event event;
	char tag[256]; /* of the event */
	struct buffer context; /* what the last bind() gave */
	bool closed;
};

/* It carries a connection, of which nothing passes before it is known what it is. */
static inline bool ssh_lane_is_tunnel(const struct ssh_lane *lane)
{
	return lane->kind == BRIDGE_FORWARD || lane->kind == BRIDGE_FORWARDED;
}

static inline struct ssh_engine *ssh_engine_of(struct protocol_engine *e)
{
	return container_of(e, struct ssh_engine, base);
}

/* NULL: there is none. */
struct ssh_lane *ssh_lane_find(struct ssh_engine *e, uint32_t id);
/* NULL: there are as many as there may be, or none can have this number. */
struct ssh_lane *ssh_lane_make(struct ssh_engine *e, uint32_t id);
void ssh_lane_free(struct ssh_engine *e, struct ssh_lane *lane);

/* A frame for the process; 0 or a negative errno. */
int ssh_tell(struct protocol_engine *base, enum bridge_type type, uint32_t lane, struct slice head,
	struct slice body);
/* `text` is cut at what a frame has room for. */
int ssh_tell_text(
	struct protocol_engine *base, enum bridge_type type, uint32_t lane, struct slice text);

/* The next event, to be filled in. What it points to lives as long as it is not taken. */
struct protocol_event *ssh_set_event(struct ssh_engine *e, enum protocol_event_type type);
void ssh_close_for(struct ssh_engine *e, enum reason reason, struct slice text);

/* frames.c. -EBADMSG: the process says what it can't mean. */
int ssh_take_frame(struct ssh_engine *e, const struct bridge_frame *frame);
/* carried.c */
int ssh_take_data(struct ssh_engine *e, const struct bridge_frame *frame);

/* answers.c (protocol.h) */
int ssh_mask(struct protocol_engine *base, uint32_t id, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret);
int ssh_would_refuse(struct protocol_engine *base, uint32_t id, const struct mask_rules *rules,
	struct protocol_refusal *ret);
int ssh_release(struct protocol_engine *base, uint32_t id, uint64_t number);
int ssh_refuse(struct protocol_engine *base, uint32_t id, uint64_t number,
	const struct protocol_refusal *refusal);
int ssh_bind(struct protocol_engine *base, uint32_t id, struct protocol_binding *ret);
bool ssh_reassure(struct protocol_engine *base, uint32_t id, struct slice text);
bool ssh_judge_again(struct protocol_engine *base, uint32_t id, bool anew);

#endif
