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

#define SSH_IDENTITIES_MOST 2

/* By what a user logs in. */
struct ssh_identity {
	EVP_PKEY *key;
	struct slice certificate; /* of the key (SSH_CERTIFICATE_TYPE); empty: the key alone */
};

/* One with these identities, in their order, of which it keeps copies, and the keys, which are its
 * own then; the process's end in *ret_fd. It goes when that is closed, or after LIMIT_STARTUP_TIME.
 */
int ssh_signer_start(struct loop *loop, struct list *signers, const char *user,
	const struct ssh_identity *identities, size_t count, int *ret_fd, struct error *e);
/* Ends those that have had their time; `now` is monotonic. */
void ssh_signers_tick(struct list *signers, uint64_t now);

#endif
