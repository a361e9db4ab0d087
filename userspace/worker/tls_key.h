/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_key: a certificate whose private key is in another process, for TLS 1.2 and 1.3. OpenSSL is
 * given a key of a provider of ours, which knows the public half; where a handshake comes to its
 * signature, somebody else is asked for it, and the handshake stands still (SSL_ERROR_WANT_ASYNC)
 * until that is there.
 */
#ifndef WAYLEAVE_WORKER_TLS_KEY_H
#define WAYLEAVE_WORKER_TLS_KEY_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "base/slice.h"
#include "protocol/credentials.h"

#define TLS_KEY_SIGNATURE_MOST 1024u /* RSA of 8192 bits */

/* The signature that a handshake waits for; one per handshake. */
struct tls_key_wait {
	/* Asks for the signature; 0, or it can't be had. Called on a small stack; what is signed
	 * lives for as long as the call. */
	int (*ask)(struct tls_key_wait *wait, const struct proof_signature *wanted);
	void *context;
	bool asked, answered;
	uint8_t signature[TLS_KEY_SIGNATURE_MOST];
	size_t length; /* 0: there is none */
};

/* A client's context that presents the first certificate of `chain` (PEM), and the others with it.
 * NULL with a sentence. */
SSL_CTX *tls_key_context(struct slice chain, struct error *e);
/* Whose the handshakes are that run from here on; NULL: nobody's. Signatures are asked for there.
 */
void tls_key_enter(struct tls_key_wait *wait);

#endif
