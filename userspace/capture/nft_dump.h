/* SPDX-License-Identifier: Apache-2.0
 *
 * nft_dump: what nftables has in the caller's network namespace, as the kernel lists it
 * (linux/netfilter/nf_tables.h); for what nft's text does not say, or is slow to.
 */
#ifndef WAYLEAVE_CAPTURE_NFT_DUMP_H
#define WAYLEAVE_CAPTURE_NFT_DUMP_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

/* Where to look: an attribute of the request. */
struct nft_dump_name {
	uint16_t type;
	const char *text;
};

struct nft_dump {
	uint16_t message; /* NFT_MSG_GET… */
	uint8_t family; /* NFPROTO_… */
	const struct nft_dump_name *names;
	size_t name_count;
	/* Others' changes of rules interrupt a list, which is then asked for anew: forgets what
	 * there was of it. Called before each try. */
	void (*begin)(void *context);
	mnl_cb_t answer; /* each of them */
	void *context;
};

/* 0 or negative errno; -ENOENT: there is none of that name, -EINTR: others change rules all the
 * time. */
int nft_dump_run(const struct nft_dump *d);
/* An attribute inside another; NULL: it has none. */
const struct nlattr *nft_dump_find(const struct nlattr *nest, uint16_t type);

#endif
