/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring: keys as the process of one SSH session may use them: an ssh-agent
 * (draft-ietf-sshm-ssh-agent) that signs one thing alone, a login as one user (RFC 4252, 7). What
 * is to be signed is compared with what it must be, not parsed. A key is held here, or by an
 * ssh-agent behind this one.
 */
#ifndef WAYLEAVE_MONITOR_KEYRING_H
#define WAYLEAVE_MONITOR_KEYRING_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"

#define KEYRING_REQUEST_MOST 16384u /* bytes */
#define KEYRING_ANSWER_MOST (256u << 10) /* of the ssh-agent behind; OpenSSH's own limit */

/* Asks the ssh-agent behind: appends its answer to a request, both without the lengths in front.
 * -E2BIG: longer than `ret` may get; others. */
typedef int keyring_ask(void *context, struct slice request, struct buffer *ret);

struct keyring_item {
	struct buffer blob; /* what hosts know it by: its public half, or its certificate */
	EVP_PKEY *key; /* owned; NULL: the ssh-agent behind has it */
};

struct keyring {
	const char *user; /* the caller's */
	keyring_ask *ask; /* NULL: there is none behind */
	void *context; /* of `ask` */
	struct keyring_item items[LIMIT_SSH_OWN_KEYS];
	size_t count;
	unsigned signatures; /* that were asked for: as many as there are keys */
};

void keyring_init(struct keyring *k, const char *user);
void keyring_done(struct keyring *k);

/* Takes the key, also when it fails. An empty certificate: the key alone. -ENOSPC: there are too
 * many. */
int keyring_add(struct keyring *k, EVP_PKEY *key, struct slice certificate);
/* Those of the ssh-agent behind, whose kind of signature is known; one that stands here already is
 * not added again. 0: also when it has none. -EBADMSG: it does not answer as one. */
int keyring_add_from_agent(struct keyring *k);

/* The answer to one request, without the lengths in front of both; also a refusal is one. */
int keyring_answer(struct keyring *k, struct slice request, struct buffer *ret);

#endif
