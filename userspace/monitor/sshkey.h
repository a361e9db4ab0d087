/* SPDX-License-Identifier: Apache-2.0
 *
 * sshkey: private keys as SSH uses them: the files that ssh-keygen(1) and openssl(1) write,
 * public blobs (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4) and signatures (RFC 8332, RFC 5656, RFC
 * 8709). Files are the administrator's.
 */
#ifndef WAYLEAVE_MONITOR_SSHKEY_H
#define WAYLEAVE_MONITOR_SSHKEY_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"

#define SSHKEY_TEXT_MOST 65536u
#define SSHKEY_BLOB_MOST 8192u

/* Which hash an RSA key signs with: the flags of an ssh-agent's request. SHA-1 is not there. */
enum sshkey_flags { SSHKEY_RSA_SHA2_256 = 2, SSHKEY_RSA_SHA2_512 = 4 };

/* Ed25519, ECDSA or RSA, without a passphrase. For EVP_PKEY_free(). */
int sshkey_read(struct slice text, EVP_PKEY **ret, struct error *e);
/* "ssh-ed25519", …; NULL: a kind that SSH does not have. Static. */
const char *sshkey_type(const EVP_PKEY *key);
int sshkey_append_public(const EVP_PKEY *key, struct buffer *ret);
/* "TYPE BASE64" */
int sshkey_append_line(const EVP_PKEY *key, struct buffer *ret);
/* The signature with its algorithm in front. */
int sshkey_append_signature(EVP_PKEY *key, struct slice data, unsigned flags, struct buffer *ret);

#endif
