/* SPDX-License-Identifier: Apache-2.0
 *
 * scram: the client's half of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929
 * for tls-server-end-point), pure. The user name in the messages is empty: PostgreSQL takes the one
 * of the StartupMessage.
 *
 * scram_answer() is slow by the server's choice (iterations), so it runs off the loop.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_SCRAM_H
#define WAYLEAVE_PROTOCOL_POSTGRES_SCRAM_H

#include "base/buffer.h"

#define SCRAM_NONCE_SIZE 18 /* random bytes */
#define SCRAM_ITERATIONS_MOST 1000000u /* a hostile server may ask for any number */
#define SCRAM_MESSAGE_MOST 4096u
#define SCRAM_DIGEST 32

struct scram {
	char nonce[2 * SCRAM_NONCE_SIZE + 1]; /* printable */
	bool binds; /* SCRAM-SHA-256-PLUS */
	uint8_t binding[64]; /* the certificate's digest */
	size_t binding_length;
	uint8_t server_signature[SCRAM_DIGEST]; /* what the server must prove */
};

/* `end_point` not empty: binds the channel to it. `random` are SCRAM_NONCE_SIZE fresh bytes. */
int scram_init(struct scram *s, const uint8_t *random, struct slice end_point);
/* client-first-message. */
int scram_first(const struct scram *s, struct buffer *ret);
/* client-final-message for the server-first-message. -EBADMSG: malformed, or another nonce;
 * -E2BIG: more iterations than SCRAM_ITERATIONS_MOST. */
int scram_answer(
	struct scram *s, struct slice password, struct slice server_first, struct buffer *ret);
/* Whether the server-final-message proves that the server knows the password too; -EACCES: not. */
int scram_check(const struct scram *s, struct slice server_final);
/* Wipes. */
void scram_done(struct scram *s);

#endif
