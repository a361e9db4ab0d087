/* SPDX-License-Identifier: Apache-2.0
 *
 * resolvers: the name servers that this host asks (resolv.conf(5)), and that agents may.
 */
#ifndef WAYLEAVE_CAPTURE_RESOLVERS_H
#define WAYLEAVE_CAPTURE_RESOLVERS_H

#include <stddef.h>
#include <stdint.h>

#define RESOLVERS_MOST 16
#define RESOLVERS_TEXT 46 /* INET6_ADDRSTRLEN */

struct resolver {
	int family;
	char text[RESOLVERS_TEXT];
};

struct resolvers {
	struct resolver items[RESOLVERS_MOST];
	size_t count;
};

/* Those that stand in a text; what is malformed is left out. */
void resolvers_parse(const char *text, struct resolvers *ret);
/* Those of /etc/resolv.conf; none where it can't be read. */
void resolvers_read(struct resolvers *ret);
/* Another number when the file is another one. */
uint64_t resolvers_version(void);

#endif
