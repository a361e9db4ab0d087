/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens: an issuer for tests: keys, the document that publishes them, and tokens signed with them.
 */
#ifndef WAYLEAVE_TESTS_HARNESS_TOKENS_H
#define WAYLEAVE_TESTS_HARNESS_TOKENS_H

#include "identity/algorithm.h"

/* "RSA" with so many bits; "P-256", "P-384". */
EVP_PKEY *tokens_make_rsa(unsigned bits);
EVP_PKEY *tokens_make_ec(const char *curve);

/* A JWK of the key with the name ("kid") and more members, as `,"use":"sig"`; for free(). */
char *tokens_jwk(EVP_PKEY *key, const char *id, const char *more);
/* HEADER.CLAIMS.SIGNATURE of the two JSON texts; for free(). */
char *tokens_sign(enum algorithm a, EVP_PKEY *key, struct slice header, struct slice claims);
/* The same with HMAC-SHA-256 under the secret, which nobody is to take. */
char *tokens_sign_with_secret(const char *secret, const char *header, const char *claims);
/* Three parts, of which the last is given as it is. */
char *tokens_join(struct slice header, struct slice claims, struct slice signature);

#endif
