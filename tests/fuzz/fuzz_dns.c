/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dns: messages of name servers and those who ask them. What is read of one stays within its
 * bounds, and reading it twice finds the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns_message m, again;
	int r = dns_parse(slice_of(data, size), &m);

	if (r != dns_parse(slice_of(data, size), &again) || memcmp(&m, &again, sizeof(m)) != 0)
		abort();
	if (r < 0)
		return 0;
	if (m.name[0] == '\0' || strlen(m.name) >= sizeof(m.name) ||
		m.address_count > DNS_ADDRESSES_MOST || (m.address_count && !m.response))
		abort();
	dns_type_name(m.type);
	dns_name_is_random(m.name, 32);
	return 0;
}
