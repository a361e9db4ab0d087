/* SPDX-License-Identifier: Apache-2.0 */
/* The functions that take the caller's state are deprecated since OpenSSL 3.0 in favour of EVP. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <stdlib.h>

/* They return 0 for no input that there is. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void sha256_begin(struct sha256 *h)
{
	must(SHA256_Init(&h->state));
}

void sha256_add(struct sha256 *h, struct slice bytes)
{
	must(SHA256_Update(&h->state, bytes.data, bytes.length));
}

void sha256_get(const struct sha256 *h, uint8_t ret[SHA256_SIZE])
{
	SHA256_CTX copy = h->state;

	must(SHA256_Final(ret, &copy));
}

void sha256_of(struct slice bytes, uint8_t ret[SHA256_SIZE])
{
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, bytes);
	sha256_get(&h, ret);
}
