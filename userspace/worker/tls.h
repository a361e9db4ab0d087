/* SPDX-License-Identifier: Apache-2.0
 *
 * tls: OpenSSL for legs. The agent's leg is a server with a certificate that the
 * monitor minted for the name that the agent asked for; the server's leg is a client that verifies
 * as the resource says.
 */
#ifndef WAYLEAVE_WORKER_TLS_H
#define WAYLEAVE_WORKER_TLS_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "worker/leg.h"
#include "worker/tls_key.h"

/* How a server is verified. */
enum tls_check { TLS_CHECK_NOTHING, TLS_CHECK_CHAIN, TLS_CHECK_NAME };

/* What a leg with TLS tells its owner, besides leg_events. */
struct tls_events {
	/* The handshake ended: 0, or negative errno with a sentence. */
	void (*done)(struct leg *leg, int error, const char *text);
	/* Only for the agent's leg: a certificate for `name` is needed (NULL: the client named
	 * none). Return it, or NULL: then tls_resume() is called when it is there. Borrowed. */
	SSL_CTX *(*certificate)(struct leg *leg, const char *name);
	/* Only for a server's leg that presents a certificate: its signature is needed. 0, then
	 * tls_signed() is called later; or it can't be had. */
	int (*sign)(struct leg *leg, const struct proof_signature *wanted);
};

struct tls {
	SSL *ssl;
	BIO *bio; /* owned by ssl */
	const struct tls_events *events;
	const char *alpn; /* required of a client; NULL: none */
	struct tls_key_wait *key; /* during the handshake, with a certificate; else NULL */
	const char *refused; /* during tls_refuse(): why; else NULL */
	bool established;
	bool failed;
};

/* The leg becomes a TLS server. `alpn` not NULL: the client must offer it, if it offers
 * any; static. Bytes that came already
 * are given by tls_on_bytes(). */
int tls_accept(struct leg *leg, const struct tls_events *events, const char *alpn);
/* The leg becomes a TLS client with `context`; `name` is sent as SNI and verified with `check` =
 * TLS_CHECK_NAME (an address in text is verified as one and not sent). `alpn`: what is offered,
 * with commas between, at most 31 bytes. `resumes`: a session with that name may be taken up. */
int tls_connect(struct leg *leg, const struct tls_events *events, SSL_CTX *context,
	enum tls_check check, const char *name, const char *alpn, bool resumes);
/* Goes on with a handshake that waited for a certificate. */
void tls_resume(struct leg *leg);
/* Ends it, with an alert that the name is not known here; `done` gets the sentence. */
void tls_refuse(struct leg *leg, const char *text);
/* The signature that `sign` asked for; empty: there is none. Ignored where none is waited for. */
void tls_signed(struct leg *leg, struct slice signature);
/* Received ciphertext: gives what it holds to the leg's owner. */
void tls_on_bytes(struct leg *leg, struct slice bytes);
/* Encrypts what is queued; true: there is more, for when that is sent. */
bool tls_flush(struct leg *leg);
void tls_free(struct tls *t); /* takes NULL */
/* Whether the handshake is done, and nothing waits to be read or sent. */
bool tls_is_quiet(const struct tls *t);
/* Another leg has it from here on, whose events are of the same kind. NULL: none has. */
void tls_set_leg(struct tls *t, struct leg *leg);

/* The protocol that was agreed on; empty: none. Lives as long as the leg's TLS. */
struct slice tls_alpn(const struct tls *t);
/* tls-server-end-point of the peer's certificate (RFC 5929, 4.1); the number of bytes, 0: none.
 * `ret` has room for EVP_MAX_MD_SIZE. */
size_t tls_end_point(const struct tls *t, uint8_t *ret);

/* Reads the system's certificate store, which the sandbox would not allow later. Where there is
 * none, nothing of it is trusted. Never the CA with the SHA-256 `host_ca`: that is this host's own,
 * and a server that shows a certificate of it is ourselves. */
void tls_load_system_store(const uint8_t host_ca[32]);
/* A client's context that trusts `ca_text` (PEM), or the system's store where that is empty, and
 * presents the certificate of `chain`, where that is not empty. */
SSL_CTX *tls_client_context(struct slice ca_text, struct slice chain, struct error *e);
/* A server's context with the certificate chain and key of `pem`. */
SSL_CTX *tls_server_context(struct slice pem, struct error *e);

#endif
