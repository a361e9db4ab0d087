/* SPDX-License-Identifier: Apache-2.0
 *
 * private_key: a private key in a PEM file of its own, without a passphrase.
 */
#ifndef WAYLEAVE_BASE_PRIVATE_KEY_H
#define WAYLEAVE_BASE_PRIVATE_KEY_H

#include <openssl/evp.h>

#include "base/error.h"

/* From here on OpenSSL wipes all memory that it gives back: reading a key leaves copies. Before
 * anything of it was used. */
void private_key_prepare(void);
/* An RSA or EC key; free with EVP_PKEY_free(), which wipes it. Errors as secret_file_read(). */
int private_key_read(const char *path, EVP_PKEY **ret, struct error *e);

#endif
