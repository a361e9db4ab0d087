/* SPDX-License-Identifier: Apache-2.0
 *
 * first_exchange: asks a host for its certificate. libssh 0.10 strikes the types of certificates
 * off the host key algorithms that it offers (src/kex.c, ssh_client_select_hostkeys()), and what is
 * offered is part of what the host signs. So before its session, over a connection of its own, goes
 * the beginning of another one (RFC 4253, 4.2, 6, 7, 8; RFC 5656, 4; RFC 8731): it ends when the
 * host has answered, before anything is encrypted. Nothing of it is verified, and no secret comes
 * of it: a certificate says by itself who signed it, and the host has to prove in the session that
 * it has the key.
 *
 * Bytes in, bytes out; everything that comes in is hostile.
 */
#ifndef WAYLEAVE_SSH_FIRST_EXCHANGE_H
#define WAYLEAVE_SSH_FIRST_EXCHANGE_H

#include "base/buffer.h"

#define FIRST_EXCHANGE_PACKET_MOST 35000u /* bytes, RFC 4253, 6.1 */
#define FIRST_EXCHANGE_GREETING_MOST 8192u /* bytes up to the end of the host's identification */
#define FIRST_EXCHANGE_PACKETS_MOST 16u /* with those that say nothing */
#define FIRST_EXCHANGE_OUT_MOST 8192u

struct first_exchange {
	enum first_exchange_state {
		FIRST_EXCHANGE_GREETING, /* its identification comes next */
		FIRST_EXCHANGE_OFFER, /* what it can do */
		FIRST_EXCHANGE_REPLY, /* its part of the exchange, with the certificate */
		FIRST_EXCHANGE_DONE,
	} state;
	size_t greeting; /* bytes of lines that were taken */
	unsigned packets;
	struct slice algorithm; /* by which the host is to prove itself; static */
	struct buffer out; /* to be sent */
	struct buffer certificate; /* when it is done */
	const char *why; /* it failed; static */
};

/* Begins: there is something to send. 0 or -ENOMEM, -EIO. */
int first_exchange_init(struct first_exchange *x);
void first_exchange_done(struct first_exchange *x);
/* Takes what it can of what the host sent; the rest is offered again, with more behind it, if it is
 * no more than a packet. 0, also when it is done; -ENOENT: the host has no certificate; other
 * errors: no more is to be expected, `why` says why. */
int first_exchange_take(struct first_exchange *x, struct slice in, size_t *ret_taken);

#endif
