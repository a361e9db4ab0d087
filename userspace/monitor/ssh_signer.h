/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_signer: the key of a resource, as the process of one session may use it: an ssh-agent with
 * this key alone (draft-ietf-sshm-ssh-agent), that signs one thing alone, a login as the resource's
 * user (RFC 4252, 7). What is to be signed is compared with what it must be, not parsed.
 */
#ifndef WAYLEAVE_MONITOR_SSH_SIGNER_H
#define WAYLEAVE_MONITOR_SSH_SIGNER_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"
#include "monitor/loop.h"

/* Who logs in by what. */
struct ssh_identity {
	EVP_PKEY *key;
	struct slice certificate; /* of the key (SSH_CERTIFICATE_TYPE); empty: the key alone */
	const char *user;
};

/* One with this identity, of which it keeps copies, and the key, which is its own then; the
 * process's end in *ret_fd. It goes when that is closed, or after LIMIT_STARTUP_TIME. */
int ssh_signer_start(struct loop *loop, struct list *signers, const struct ssh_identity *identity,
	int *ret_fd, struct error *e);
/* Ends those that have had their time; `now` is monotonic. */
void ssh_signers_tick(struct list *signers, uint64_t now);

/* The answer to one request, without the lengths in front of both; also a refusal is one. */
int ssh_signer_answer(
	const struct ssh_identity *identity, struct slice request, struct buffer *ret);

#endif
