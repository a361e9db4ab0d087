/* SPDX-License-Identifier: Apache-2.0
 *
 * ca_names: what the host's CA is limited to (`ca: { names: […] }`): names, each with all below it
 * as in RFC 5280, 4.2.1.10, addresses and networks.
 */
#ifndef WAYLEAVE_POLICY_CA_NAMES_H
#define WAYLEAVE_POLICY_CA_NAMES_H

#include "policy/host.h"

#define CA_NAMES_MOST 64

/* "example.com", "10.0.0.0/8", "fd00::1". `text` is changed, and the result points into it: room
 * for 4 bytes more must be behind it. -EINVAL with a sentence. The kind is HOST_NAME, HOST_ADDRESS
 * or HOST_PREFIX. */
int ca_name_parse(char *text, struct host *ret, struct error *e);
/* Whether a certificate for the name, or the address in text, is within them; none of them: it
 * always is. */
bool ca_names_cover(const struct host *names, size_t count, struct slice wanted);
/* The same for all that a resource's host may be asked for as. A network says nothing of the names
 * by which it is dialled: true. */
bool ca_names_cover_host(const struct host *names, size_t count, const struct host *h);

#endif
