/* SPDX-License-Identifier: Apache-2.0
 *
 * known_hosts: the keys that an administrator knows a host by (sshd(8), SSH_KNOWN_HOSTS FILE
 * FORMAT): names with "*" and "?", negated ones, hashed ones, [name]:port, @revoked lines, and
 * @cert-authority lines, whose keys sign certificates (host_certificate.h).
 */
#ifndef WAYLEAVE_SSH_KNOWN_HOSTS_H
#define WAYLEAVE_SSH_KNOWN_HOSTS_H

#include "base/buffer.h"

enum known_host {
	KNOWN_HOST_UNKNOWN,
	KNOWN_HOST_AUTHORITY, /* the same, but for an authority: a certificate may make it known */
	KNOWN_HOST_CHANGED,
	KNOWN_HOST_REVOKED,
	KNOWN_HOST_SAME
};

struct known_host_names {
	struct slice items[2]; /* as the file has them: "db", "[10.0.0.3]:2222" */
};

/* Whether one of the names has this key: its type ("ssh-ed25519") and its blob in base64. */
enum known_host known_hosts_check(struct slice file, const struct known_host_names *names,
	struct slice type, struct slice key);
/* Whether one of the names has an authority, and no key, so that only a certificate can make the
 * host known. */
bool known_hosts_wants_certificate(struct slice file, const struct known_host_names *names);
/* Whether one of the names has that key as an authority: KNOWN_HOST_SAME, _REVOKED or _UNKNOWN. */
enum known_host known_hosts_check_authority(struct slice file, const struct known_host_names *names,
	struct slice type, struct slice key);
/* Appends the algorithms by which the host can prove that it has one of its known keys, preferred
 * first, with commas; nothing where no key of a supported type is known. */
int known_hosts_algorithms(
	struct slice file, const struct known_host_names *names, struct buffer *ret);

#endif
