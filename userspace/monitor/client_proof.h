/* SPDX-License-Identifier: Apache-2.0
 *
 * client_proof: the signature by which a TLS client proves that it has its certificate's key
 * (RFC 8446, 4.4.3; RFC 5246, 7.4.8). Nothing of another form is signed, so that who may ask for it
 * can't use the key for anything else.
 */
#ifndef WAYLEAVE_MONITOR_CLIENT_PROOF_H
#define WAYLEAVE_MONITOR_CLIENT_PROOF_H

#include "base/error.h"
#include "protocol/credentials.h"

#define CLIENT_PROOF_MOST 1024u /* bytes of a signature: RSA of 8192 bits */

/* Whether it is what such a client signs: in TLS 1.3 a text that says so; in TLS 1.2 the messages
 * of its handshake, from its hello to its key exchange, whole and in their order. What is in them
 * is not looked at, but for the versions. */
bool client_proof_is_sound(const struct proof_signature *wanted);
/* Reads a challenge (struct message_signature), and keeps a copy of what is signed, which
 * client_proof_done() frees. -EINVAL: it is not sound; then nothing is kept. */
int client_proof_take(struct slice challenge, struct proof_signature *ret);
void client_proof_done(struct proof_signature *wanted); /* also of one that is all zero */
/* Signs with the key in that file. `ret` has room for CLIENT_PROOF_MOST. */
int client_proof_make(const struct proof_signature *wanted, const char *key_file, uint8_t *ret,
	size_t *ret_length, struct error *e);

#endif
