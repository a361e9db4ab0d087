/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_signer: the key of a resource, as the process of one session may use it (keyring.h).
 */
#ifndef WAYLEAVE_MONITOR_SSH_SIGNER_H
#define WAYLEAVE_MONITOR_SSH_SIGNER_H

#include <openssl/evp.h>

#include "base/error.h"
#include "base/slice.h"
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

#endif
