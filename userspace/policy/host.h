/* SPDX-License-Identifier: Apache-2.0
 *
 * host: one entry of a resource's `hosts`, as "db.internal:5432", "*.example.com:443",
 * "10.0.3.0/24:5432", "[fd00::/8]:5432", "10.0.3.7:*".
 *
 * Addresses are 16 bytes throughout; IPv4 is mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that one
 * destination has one form however it was dialled.
 */
#ifndef WAYLEAVE_POLICY_HOST_H
#define WAYLEAVE_POLICY_HOST_H

#include "base/error.h"
#include "base/slice.h"

#define HOST_ANY_PORT 0
#define HOST_NAME_MOST 253 /* RFC 1035 2.3.4, without the root's dot */

struct address {
	uint8_t bytes[16];
};

/* In falling precedence (exact address > name > longest prefix). */
enum host_kind { HOST_ADDRESS, HOST_NAME, HOST_WILDCARD, HOST_PREFIX, HOST_KIND_COUNT };

struct host {
	enum host_kind kind;
	uint16_t port; /* HOST_ANY_PORT for "*" */
	unsigned prefix; /* HOST_PREFIX: leading bits of 128; HOST_ADDRESS: 128 */
	struct address address; /* HOST_ADDRESS, HOST_PREFIX: bits behind the prefix are 0 */
	/* HOST_NAME: lower case. HOST_WILDCARD: what stands behind the "*", from its dot on. Part
	 * of the text that was parsed, or what the caller put there. */
	struct slice name;
};

/* `text` is changed to lower case in place. -EINVAL with a sentence that says what was expected. */
int host_parse(char *text, struct host *ret, struct error *e);
/* The IPv4 or IPv6 address that stands there in usual notation; -EINVAL otherwise. */
int address_parse(const char *text, struct address *ret);
bool address_is_mapped(const struct address *a); /* an IPv4 address */

bool host_matches_port(const struct host *h, uint16_t port);
/* Whether an address of HOST_ADDRESS or HOST_PREFIX is meant. "[::/0]" does not mean IPv4. */
bool host_matches_address(const struct host *h, const struct address *a);
/* Whether a HOST_NAME or HOST_WILDCARD means the name, whose letters may be of any case. A wildcard
 * stands for one or more labels. */
bool host_matches_name(const struct host *h, struct slice name);
/* Whether nothing tells which of the two is meant: the same kind and range, and a port in common.
 */
bool host_ties(const struct host *a, const struct host *b);

#endif
