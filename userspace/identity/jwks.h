/* SPDX-License-Identifier: Apache-2.0
 *
 * jwks: an issuer's public keys from the document that it publishes (RFC 7517). The document is
 * hostile bytes: keys that can't be used for what we do (symmetric ones, too short or too long
 * ones, broken ones, ones for encryption, ones whose private part stands there) are passed over and
 * counted; the others serve.
 */
#ifndef WAYLEAVE_IDENTITY_JWKS_H
#define WAYLEAVE_IDENTITY_JWKS_H

#include <openssl/evp.h>

#include "base/error.h"
#include "base/slice.h"

struct jwk {
	char *id; /* "kid"; NULL: it has none. A name that is compared, and nothing else */
	unsigned algorithms; /* that it may be used with */
	EVP_PKEY *key;
};

struct jwks {
	struct jwk *keys;
	size_t count;
	size_t skipped;
	char why[160]; /* the first of those was; empty where there are none */
};

/* -EBADMSG with a sentence: not such a document, or no key of it can be used. */
int jwks_parse(struct slice document, struct jwks **ret, struct error *e);
void jwks_free(struct jwks *k); /* takes NULL */

#endif
