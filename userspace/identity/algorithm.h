/* SPDX-License-Identifier: Apache-2.0
 *
 * algorithm: the signatures that a token may have (RFC 7518 section 3.1). There is no row for
 * "none" and none with a shared secret, so what a token says of itself can lead to neither.
 */
#ifndef WAYLEAVE_IDENTITY_ALGORITHM_H
#define WAYLEAVE_IDENTITY_ALGORITHM_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"

enum algorithm {
	ALGORITHM_RS256,
	ALGORITHM_RS384,
	ALGORITHM_RS512,
	ALGORITHM_ES256,
	ALGORITHM_ES384,
	ALGORITHM_COUNT
};

/* Sets of them are bits: 1 << enum algorithm. */
#define ALGORITHMS_ALL ((1u << ALGORITHM_COUNT) - 1)
#define ALGORITHMS_RSA (1u << ALGORITHM_RS256 | 1u << ALGORITHM_RS384 | 1u << ALGORITHM_RS512)

const char *algorithm_name(enum algorithm a);
/* ALGORITHM_COUNT: there is no such, or it is none that we take. */
enum algorithm algorithm_find(const char *name);

/* Whether the key, which must be of the algorithm's kind, made the signature. */
bool algorithm_verify(
	enum algorithm a, EVP_PKEY *key, struct slice message, struct slice signature);
/* Signs as RFC 7518 has it. -EINVAL: the key is of another kind; else the buffer's errors. */
int algorithm_sign(enum algorithm a, EVP_PKEY *key, struct slice message, struct buffer *ret);
/* The algorithms that fit a key, public or private: RSA of 2048 to 8192 bits, EC on P-256 or P-384.
 * 0: none, and `e` says why. */
unsigned algorithms_of(EVP_PKEY *key, struct error *e);

#endif
