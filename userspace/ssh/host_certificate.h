/* SPDX-License-Identifier: Apache-2.0
 *
 * host_certificate: what a certificate says of a host, and whether that is believed (OpenSSH's
 * PROTOCOL.certkeys). It is a statement that an authority signed: whoever shows it has yet to prove
 * that it has the key.
 */
#ifndef WAYLEAVE_SSH_HOST_CERTIFICATE_H
#define WAYLEAVE_SSH_HOST_CERTIFICATE_H

#include "ssh/known_hosts.h"

#define HOST_CERTIFICATE_PRINCIPALS_MOST 256u

/* All slices are of the certificate that was read. */
struct host_certificate {
	const char *key_type; /* of the key that it is about: "ssh-ed25519"; static */
	struct slice key_fields; /* what follows the type in that key's own blob */
	uint32_t kind; /* 1: of a user, 2: of a host */
	struct slice principals; /* strings, one after the other */
	uint64_t valid_after, valid_before; /* seconds of the wall clock; the second is too late */
	struct slice critical; /* options without which it means nothing */
	struct slice authority; /* the blob of the key that signed it */
	struct slice facts, signature; /* all that is signed */
};

/* -EBADMSG: it is none, or of a key of another type than Ed25519, ECDSA and RSA. */
int host_certificate_read(struct slice blob, struct host_certificate *ret);
/* Appends "TYPE BASE64" of the key that it is about. */
int host_certificate_append_key(const struct host_certificate *c, struct buffer *ret);
/* Whether an authority that known_hosts has for one of the names says of it, now (seconds of the
 * wall clock), that it has that key. NULL: it does; else why it is not believed, to follow "the
 * certificate of HOST ", static. */
const char *host_certificate_check(const struct host_certificate *c, struct slice known_hosts,
	const struct known_host_names *names, uint64_t now);

#endif
