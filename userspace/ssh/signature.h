/* SPDX-License-Identifier: Apache-2.0
 *
 * signature: whether a public key signed something, both as SSH has them (RFC 4253, 6.6; RFC 5656,
 * 3.1; RFC 8332; RFC 8709).
 */
#ifndef WAYLEAVE_SSH_SIGNATURE_H
#define WAYLEAVE_SSH_SIGNATURE_H

#include "base/slice.h"

#define SIGNATURE_RSA_LEAST 2048 /* bits */
#define SIGNATURE_RSA_MOST 16384

/* 0, or -ENOTSUP: a key or a way to sign that is not trusted here (DSA, SHA-1, a short RSA key, a
 * key that is itself a certificate); -EBADMSG: malformed; -EKEYREJECTED: it did not sign that. */
int signature_verify(struct slice key, struct slice data, struct slice signature);

#endif
