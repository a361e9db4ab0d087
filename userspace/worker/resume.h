/* SPDX-License-Identifier: Apache-2.0
 *
 * resume: TLS sessions with servers, kept for a while so that the next connection to the same name
 * takes up one of them: no certificate is sent or verified anew. They belong to a context, and so
 * to one resource and its way of verifying; only what a handshake accepted gets there.
 */
#ifndef WAYLEAVE_WORKER_RESUME_H
#define WAYLEAVE_WORKER_RESUME_H

#include <openssl/ssl.h>

/* Before the handshake of a client: takes up a session with `name` if there is one, and keeps the
 * one that comes of it. */
void resume_prepare(SSL *ssl, const char *name);

#endif
