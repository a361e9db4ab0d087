/* SPDX-License-Identifier: Apache-2.0
 *
 * scram: the client's half of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929
 * for tls-server-end-point), pure. The user name in the messages is empty: PostgreSQL takes the one
 * of the StartupMessage.
 *
 * Who holds the password may be somebody else than who talks to the server: what both must agree on
 * is a struct of fixed size, out of which the messages that are signed are made anew. The server's
 * first message is taken only in the very form that comes of it.
 *
 *   talks                          holds the password
 *   scram_begin, scram_put_first
 *   scram_take_challenge      →    scram_exchange_is_sound, scram_derive (slow), scram_prove
 *   scram_put_final           ←
 *   scram_check
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_SCRAM_H
#define WAYLEAVE_PROTOCOL_POSTGRES_SCRAM_H

#include "base/buffer.h"

#define SCRAM_NONCE_SIZE 18 /* random bytes */
#define SCRAM_NONCE_TEXT (2 * SCRAM_NONCE_SIZE)
#define SCRAM_SERVER_NONCE_MOST 256u /* what the server adds */
#define SCRAM_SALT_MOST 256u
#define SCRAM_BINDING_MOST 64u
#define SCRAM_MESSAGE_MOST 4096u
#define SCRAM_DIGEST 32

/* What is known of the channel (RFC 5802, 6). */
enum scram_binding {
	SCRAM_BINDS_NOT, /* there is none that could be bound to */
	SCRAM_COULD_BIND, /* there is one, but the server does not offer to: a server that did sees
			     that its offer was taken away */
	SCRAM_BINDS, /* SCRAM-SHA-256-PLUS */
};

struct scram_exchange {
	uint8_t nonce[SCRAM_NONCE_TEXT]; /* ours, printable */
	uint32_t binding; /* enum scram_binding */
	uint32_t end_point_length, server_nonce_length, salt_length;
	uint32_t iterations;
	uint8_t end_point[SCRAM_BINDING_MOST]; /* the digest of the server's certificate */
	uint8_t server_nonce[SCRAM_SERVER_NONCE_MOST];
	uint8_t salt[SCRAM_SALT_MOST];
};

/* What a password becomes with one salt and one number of iterations; as good as the password. */
struct scram_keys {
	uint8_t client[SCRAM_DIGEST], server[SCRAM_DIGEST];
};

struct scram_proof {
	uint8_t client[SCRAM_DIGEST];
	/* SHA-256 of the signature by which the server must prove itself: with this it can be
	 * checked but not forged. */
	uint8_t server[SCRAM_DIGEST];
};

/* `random`: SCRAM_NONCE_SIZE fresh bytes. `end_point` is looked at unless `binding` is
 * SCRAM_BINDS_NOT, and has at most SCRAM_BINDING_MOST bytes. */
void scram_begin(struct scram_exchange *x, const uint8_t *random, enum scram_binding binding,
	struct slice end_point);
/* Appends client-first-message. */
int scram_put_first(const struct scram_exchange *x, struct buffer *ret);
/* The server-first-message. -EBADMSG: malformed, or another nonce; -E2BIG: more than
 * LIMIT_SCRAM_ITERATIONS. */
int scram_take_challenge(struct scram_exchange *x, struct slice server_first);
/* For an exchange that somebody else says to hold: whether lengths and values may be relied on. */
bool scram_exchange_is_sound(const struct scram_exchange *x);
/* Takes as long as there are iterations. -EIO: the library failed. */
int scram_derive(const struct scram_exchange *x, struct slice password, struct scram_keys *ret);
int scram_prove(
	const struct scram_exchange *x, const struct scram_keys *keys, struct scram_proof *ret);
/* Appends client-final-message. */
int scram_put_final(
	const struct scram_exchange *x, const struct scram_proof *proof, struct buffer *ret);
/* Whether the server-final-message proves that the server knows the password too; -EACCES: not. */
int scram_check(const struct scram_proof *proof, struct slice server_final);

#endif
