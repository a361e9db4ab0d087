/* SPDX-License-Identifier: Apache-2.0
 *
 * authority: the host's own certificate authority, with whose certificates workers answer agents
 * that ask for TLS. EC P-256; the key is made at the first start and never leaves the monitor.
 */
#ifndef WAYLEAVE_MONITOR_AUTHORITY_H
#define WAYLEAVE_MONITOR_AUTHORITY_H

#include "base/buffer.h"
#include "base/diagnostics.h"
#include "base/error.h"
#include "policy/config.h"

struct authority;

/* Loads STATE_DIR/ca/ca.pem and ca.key (0600), or makes them, limited as `c` says (NULL: to
 * nothing). -EINVAL: what is there is limited otherwise. */
int authority_open(
	const char *state_dir, const struct config_ca *c, struct authority **ret, struct error *e);
/* The same question without opening it: -EINVAL, with what is wrong in `d`. One that can't be read
 * (it is not there yet, or the asker is not root) is no error. */
int authority_check(const struct config *c, struct diagnostics *d);
void authority_free(struct authority *a); /* takes NULL */
/* The CA's certificate in PEM. Owned by the authority. */
struct slice authority_certificate(const struct authority *a);
/* SHA-256 of the same in DER. */
void authority_fingerprint(const struct authority *a, uint8_t ret[32]);
/* A leaf for a host name or address, valid for a day: appends its certificate, the CA's, and the
 * leaf's key, in PEM. -EINVAL: not a name or address that a certificate can carry; -EPERM: the CA
 * is not for it. */
int authority_mint(struct authority *a, struct slice name, struct buffer *ret, struct error *e);

#endif
