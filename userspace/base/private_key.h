/* SPDX-License-Identifier: Apache-2.0
 *
 * private_key: private keys in PEM, without a passphrase.
 */
#ifndef WAYLEAVE_BASE_PRIVATE_KEY_H
#define WAYLEAVE_BASE_PRIVATE_KEY_H

#include <openssl/evp.h>

#include "base/error.h"
#include "base/slice.h"

/* From here on OpenSSL wipes all memory that it gives back: reading a key leaves copies. Before
 * anything of it was used. */
void private_key_prepare(void);
/* A key of any kind; free with EVP_PKEY_free(). NULL: there is none, or it has a passphrase. */
EVP_PKEY *private_key_parse(struct slice pem);
/* The RSA or EC key in a file of its own; free with EVP_PKEY_free(), which wipes it. Errors as
 * secret_file_read(). */
int private_key_read(const char *path, EVP_PKEY **ret, struct error *e);

#endif
