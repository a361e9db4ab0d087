/* SPDX-License-Identifier: Apache-2.0
 *
 * leg: one socket of a session, with what waits to be sent on it and, where there is TLS, its
 * state. A leg gives received bytes to its session and sends what the session gives it, at the end
 * of the loop turn; it knows no protocol.
 *
 * Bytes to send either lie in a block that they share with the input (no copy), or in chunks of our
 * own. A receiver that is slow keeps no shared blocks: what it leaves is copied, so that it can't
 * take the pool from others.
 */
#ifndef WAYLEAVE_WORKER_LEG_H
#define WAYLEAVE_WORKER_LEG_H

#include <sys/socket.h>

#include "base/buffer.h"
#include "ring/ring.h"

#define LEG_CHUNK_SIZE 16384
#define LEG_QUEUE_HIGH (256u << 10) /* bytes waiting beyond which the other side is not read */
#define LEG_PARTS 16 /* segments in one send */

struct leg;
struct tls;

/* Memory that output refers to. */
struct chunk {
	unsigned references;
	bool secret; /* wiped once it is not referred to any more */
	uint32_t size, used;
	struct chunk *next_free;
	uint8_t data[];
};

struct segment {
	struct ring_block *block; /* one of the two; a reference */
	struct chunk *chunk;
	const uint8_t *data;
	size_t length;
};

/* A queue of segments; a ring that grows. */
struct segments {
	struct segment *items;
	size_t first, count, capacity;
	size_t bytes;
};

/* What a leg tells its owner. */
struct leg_events {
	/* Bytes came, owned by the leg's `input` for the duration of the call. None: TLS moved on,
	 * and may have something to send. */
	void (*received)(struct leg *leg, struct slice bytes);
	/* The peer sends no more (0) or the connection broke (negative errno). Once. */
	void (*ended)(struct leg *leg, int error);
	/* leg_watch(): the peer sends no more than what it sent already, which is not received yet.
	 */
	void (*leaves)(struct leg *leg);
	/* Something that was queued is sent. */
	void (*sent)(struct leg *leg);
	/* An operation completed after leg_close() or leg_rest(): the owner may be free to go, the
	 * connection free to be taken. */
	void (*closed)(struct leg *leg);
};

enum leg_state {
	LEG_UNUSED,
	LEG_OPEN,
	LEG_ENDED, /* the peer sends no more */
	LEG_CLOSED,
};

/* What a leg sends and receives by, while no leg has it. */
struct leg_connection {
	int fd;
	struct tls *tls; /* NULL: none; owned */
};

struct leg {
	struct ring *ring;
	const struct leg_events *events;
	void *owner; /* for them */
	int fd;
	enum leg_state state;
	bool broken; /* nothing can be sent any more */
	bool slow; /* the last send did not take all */
	bool shut; /* shutdown(SHUT_WR) once the queue is empty */
	bool resting; /* nothing is received until it is taken */
	/* The peer's end was none in order: a reset, or TLS that was not closed. Or it will be
	 * none.
	 */
	bool cut;
	bool abrupt; /* our end is to look so too */
	struct ring_operation receive, send, watch;
	struct msghdr message;
	struct iovec parts[LEG_PARTS];
	struct segments out; /* as it goes to the socket */
	struct segments plain; /* with TLS: not yet encrypted */
	struct tls *tls; /* NULL: none; owned */
	/* What the bytes of the running `received` lie in, for leg_pass(). */
	struct ring_block *input_block;
	struct chunk *input_chunk;
	uint64_t received_bytes, sent_bytes;
};

void leg_init(struct leg *leg, struct ring *ring, const struct leg_events *events, void *owner);
/* Takes the descriptor. */
void leg_open(struct leg *leg, int fd);
/* Asks for more bytes, if nothing of the kind is under way. */
void leg_receive(struct leg *leg);
/* Instead of receiving: waits only for the peer's end. */
void leg_watch(struct leg *leg);
/* Queues bytes: copied, or shared with the input of `from` where `bytes` is part of it. -ENOMEM. */
int leg_write(struct leg *leg, struct slice bytes);
int leg_write_secret(struct leg *leg, struct slice bytes); /* the copy is wiped */
int leg_pass(struct leg *leg, struct leg *from, struct slice bytes);
/* For tls.c: `length` bytes at the front of `plain` were encrypted; ciphertext to send; the end. */
void leg_consume_plain(struct leg *leg, size_t length);
int leg_write_encrypted(struct leg *leg, struct slice bytes);
void leg_end(struct leg *leg, int error);
size_t leg_queued(const struct leg *leg);
/* A system call: whether the peer's kernel has all that was queued, or nothing more can reach it.
 */
bool leg_is_taken(const struct leg *leg);
/* Drops what is queued and not yet being sent. */
void leg_drop_queue(struct leg *leg);
/* Sends what is queued; called once per loop turn. */
void leg_flush(struct leg *leg);
/* No more is queued after this; when all is sent the peer gets an end of file. */
void leg_shut(struct leg *leg);
/* The same, but what was sent is not to look as if it was all: without TLS's close, and where there
 * is no TLS, without an end of file, by a reset when the leg is closed. */
void leg_cut(struct leg *leg);
/* Cancels what is being received; when leg_is_idle(), the connection may be taken from it. What
 * comes until then is received. */
void leg_rest(struct leg *leg);
/* Whether nothing was received or is to be sent that nobody has taken. */
bool leg_is_quiet(const struct leg *leg);
/* Takes the connection of a quiet, idle leg, which is closed then; gives one to an unused leg. */
void leg_take(struct leg *leg, struct leg_connection *ret);
void leg_give(struct leg *leg, const struct leg_connection *connection);
/* Ends one that no leg has, in TLS with its word for that. */
void leg_connection_close(struct leg_connection *connection);
/* Cancels everything and closes; `reset`: the peer gets a RST, as it does after leg_cut() without
 * TLS. leg_is_idle() tells when the
 * owner may be freed; `closed` is called for each operation that ends until then. */
void leg_close(struct leg *leg, bool reset);
bool leg_is_idle(const struct leg *leg);
/* Frees what an idle, closed leg still holds. */
void leg_done(struct leg *leg);

struct chunk *chunk_new(size_t size);
void chunk_put(struct chunk *c); /* takes NULL */

#endif
