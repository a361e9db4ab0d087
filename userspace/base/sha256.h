/* SPDX-License-Identifier: Apache-2.0
 *
 * sha256: digests of many short texts. OpenSSL's EVP allocates, wipes and frees a state for each
 * digest, which costs more than hashing a record does; here the state is the caller's, and nothing
 * can fail.
 */
#ifndef WAYLEAVE_BASE_SHA256_H
#define WAYLEAVE_BASE_SHA256_H

#include <openssl/sha.h>

#include "base/slice.h"

#define SHA256_SIZE SHA256_DIGEST_LENGTH

struct sha256 {
	SHA256_CTX state;
};

void sha256_begin(struct sha256 *h);
void sha256_add(struct sha256 *h, struct slice bytes);
/* Of all that was added so far; more may follow. */
void sha256_get(const struct sha256 *h, uint8_t ret[SHA256_SIZE]);
/* The whole of it at once. OpenSSL's SHA256() allocates, and leaves `ret` as it was if it can't. */
void sha256_of(struct slice bytes, uint8_t ret[SHA256_SIZE]);

#endif
