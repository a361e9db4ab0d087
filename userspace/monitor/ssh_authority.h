/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_authority: the host's own authority of SSH users, whom real hosts trust by sshd_config's
 * TrustedUserCAKeys. Each session gets a certificate of its own (OpenSSH's PROTOCOL.certkeys, "user
 * certificate"). Ed25519; the key is made at the first start and never leaves the monitor.
 */
#ifndef WAYLEAVE_MONITOR_SSH_AUTHORITY_H
#define WAYLEAVE_MONITOR_SSH_AUTHORITY_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"

#define SSH_CERTIFICATE_TYPE "ssh-ed25519-cert-v01@openssh.com"
#define SSH_CERTIFICATE_MOST 4096u /* bytes */
/* A login takes less; clocks differ. Seconds. */
#define SSH_CERTIFICATE_BEFORE 120u
#define SSH_CERTIFICATE_AFTER 180u

struct ssh_authority;

struct ssh_certificate {
	struct slice id; /* that the host's log has of it */
	struct slice user; /* the only principal */
	struct slice command; /* that runs whatever is asked for; empty: what is asked for */
	struct slice addresses; /* it may come from, separated by commas; empty: any */
	uint64_t now; /* seconds of the wall clock */
};

/* Loads STATE_DIR/ca/ssh_ca.key (0600), or makes it, with ssh_ca.pub beside it. */
int ssh_authority_open(const char *state_dir, struct ssh_authority **ret, struct error *e);
void ssh_authority_free(struct ssh_authority *a); /* takes NULL */
/* "ssh-ed25519 BASE64 COMMENT\n". Owned by the authority. */
struct slice ssh_authority_line(const struct ssh_authority *a);
/* Appends the certificate of an Ed25519 key. It permits terminals and forwards, which are judged
 * before the host is asked for them, and nothing else. */
int ssh_authority_certify(struct ssh_authority *a, const EVP_PKEY *key,
	const struct ssh_certificate *c, struct buffer *ret);

#endif
