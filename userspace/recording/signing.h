/* SPDX-License-Identifier: Apache-2.0
 *
 * signing: the host's Ed25519 key for checkpoints, and what is signed. The private key is the
 * monitor's alone.
 */
#ifndef WAYLEAVE_RECORDING_SIGNING_H
#define WAYLEAVE_RECORDING_SIGNING_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "recording/format.h"

#define SIGNATURE_SIZE 64
#define KEY_ID_SIZE 8

struct signing_key {
	EVP_PKEY *key;
	uint8_t id[KEY_ID_SIZE]; /* the beginning of … */
	uint8_t digest[HASH_SIZE]; /* SHA-256 of the raw public key */
};

/* Loads KEY_PATH; makes it (mode 0600) where there is none. */
int signing_key_load(struct signing_key *ret, const char *key_path, struct error *e);
/* The public key alone, from PEM text. */
int signing_key_load_public(struct signing_key *ret, struct slice pem, struct error *e);
void signing_key_done(struct signing_key *k);
/* Appends the public key as PEM. */
int signing_key_public(const struct signing_key *k, struct buffer *ret);

/* The bytes of a checkpoint that are signed: where it stands in its chain, when, and the encoded
 * heads (STREAM_HEAD_SIZE each). Appended to an empty buffer. */
int checkpoint_message(const uint8_t previous[HASH_SIZE], uint64_t sequence, uint64_t time,
	struct slice heads, struct buffer *ret);
int signing_sign(const struct signing_key *k, struct slice message, uint8_t ret[SIGNATURE_SIZE]);
bool signing_verify(const struct signing_key *k, struct slice message, struct slice signature);

#endif
