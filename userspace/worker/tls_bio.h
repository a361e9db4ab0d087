/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_bio: where OpenSSL reads and writes a leg's ciphertext, with no copy between: it reads where
 * the received bytes lie, and what it writes goes to the leg's queue.
 */
#ifndef WAYLEAVE_WORKER_TLS_BIO_H
#define WAYLEAVE_WORKER_TLS_BIO_H

#include <openssl/bio.h>

#include "base/slice.h"

struct leg;

/* For both directions; owned by the caller, until an SSL has it. The leg outlives it, or is taken
 * from it. NULL: no memory. */
BIO *tls_bio_new(struct leg *leg);
/* Another leg; NULL: none, and what is written then goes nowhere. */
void tls_bio_set_leg(BIO *bio, struct leg *leg);
/* Received bytes, to be read behind those that are still there. Borrowed until tls_bio_keep(). */
void tls_bio_give(BIO *bio, struct slice bytes);
/* Copies what was given and not read yet. 0, -ENOMEM, or -E2BIG: more than 256 KiB. */
int tls_bio_keep(BIO *bio);
/* Whether there is anything to read. */
bool tls_bio_has(BIO *bio);

#endif
