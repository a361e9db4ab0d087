/* SPDX-License-Identifier: Apache-2.0
 *
 * dns: one message of the Domain Name System, as far as it says which name is asked for and which
 * addresses it has (RFC 1035, RFC 9460). Pure; for bytes that anybody may have sent.
 */
#ifndef WAYLEAVE_PROTOCOL_DNS_H
#define WAYLEAVE_PROTOCOL_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define DNS_PORT 53
#define DNS_NAME_SIZE 254 /* RFC 1035 2.3.4, without the root's dot, and a NUL */
#define DNS_RECORDS_MOST 256 /* of an answer; with more it is refused */
#define DNS_ADDRESSES_MOST 64 /* of a name; those behind are left out */
#define DNS_CHAIN_MOST 16 /* names that a name stands for, one after the other */

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_SVCB = 64,
	DNS_HTTPS = 65
};

struct dns_address {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint32_t lifetime; /* seconds */
};

struct dns_message {
	uint16_t id;
	bool response;
	bool truncated; /* what it says may be a part */
	uint8_t code; /* of a response: 0 where the name is there */
	/* The one question. In lower case and without the root's dot; "." is the root. Letters of
	 * any other sort than those that can be seen, and dots inside of labels, are refused. */
	char name[DNS_NAME_SIZE];
	uint16_t type, class;
	/* Of a response without error: those of the question's name, or of the one that it stands
	 * for. The hints of services are addresses too. */
	struct dns_address addresses[DNS_ADDRESSES_MOST];
	size_t address_count;
};

/* -EBADMSG: it is cut short, leads in circles, or is no query or its response with one question; or
 * a query has anything behind its question but one record of EDNS (RFC 6891).
 * `ret` is written in any case. */
int dns_parse(struct slice bytes, struct dns_message *ret);

/* "A", …; NULL for a type that has no name here. */
const char *dns_type_name(uint16_t type);

/* Whether some part of a name carries more than names do: a run of `most` letters and digits or
 * more that mix like encoded bytes. */
bool dns_name_is_random(const char *name, size_t most);

#endif
