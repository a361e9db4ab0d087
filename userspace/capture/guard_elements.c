/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/guard_elements.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "capture/nft_dump.h"

struct guard_element {
	uint64_t cgroup;
	char chain[GUARD_CHAIN_SIZE];
};

static bool take_cgroup(const struct nlattr *element, uint64_t *ret)
{
	const struct nlattr *key = nft_dump_find(element, NFTA_SET_ELEM_KEY);
	const struct nlattr *value = key ? nft_dump_find(key, NFTA_DATA_VALUE) : NULL;

	if (!value || mnl_attr_get_payload_len(value) != sizeof(*ret))
		return false;
	memcpy(ret, mnl_attr_get_payload(value), sizeof(*ret));
	return true;
}

static bool take_chain(const struct nlattr *element, char ret[GUARD_CHAIN_SIZE])
{
	const struct nlattr *data = nft_dump_find(element, NFTA_SET_ELEM_DATA);
	const struct nlattr *verdict = data ? nft_dump_find(data, NFTA_DATA_VERDICT) : NULL;
	const struct nlattr *code = verdict ? nft_dump_find(verdict, NFTA_VERDICT_CODE) : NULL;
	const struct nlattr *chain = verdict ? nft_dump_find(verdict, NFTA_VERDICT_CHAIN) : NULL;

	if (!code || !chain || mnl_attr_validate(code, MNL_TYPE_U32) < 0 ||
		mnl_attr_validate(chain, MNL_TYPE_NUL_STRING) < 0 ||
		ntohl(mnl_attr_get_u32(code)) != (uint32_t)NFT_GOTO)
		return false;
	return snprintf(ret, GUARD_CHAIN_SIZE, "%s", mnl_attr_get_str(chain)) < GUARD_CHAIN_SIZE;
}

/* What leads nowhere is left out. */
static void add(struct guard_elements *e, const struct nlattr *element)
{
	struct guard_element new;

	if (!take_cgroup(element, &new.cgroup) || !take_chain(element, new.chain))
		return;
	e->items = memory_resize_array(e->items, e->count + 1, sizeof(*e->items));
	e->items[e->count++] = new;
}

static int on_elements(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute, *element;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attribute) add(context, element);
	}
	return MNL_CB_OK;
}

static void begin(void *context)
{
	guard_elements_done(context);
}

static int compare(const void *a, const void *b)
{
	const struct guard_element *one = a, *other = b;

	return (one->cgroup > other->cgroup) - (one->cgroup < other->cgroup);
}

int guard_elements_read(const char *instance, const char *map, struct guard_elements *ret)
{
	struct guard_elements found = {0};
	char table[64];
	const struct nft_dump_name names[] = {
		{NFTA_SET_ELEM_LIST_TABLE, table}, {NFTA_SET_ELEM_LIST_SET, map}};
	const struct nft_dump elements = {.message = NFT_MSG_GETSETELEM,
		.family = NFPROTO_INET,
		.names = names,
		.name_count = ARRAY_SIZE(names),
		.begin = begin,
		.answer = on_elements,
		.context = &found};
	int r;

	snprintf(table, sizeof(table), "wayleave_%s", instance);
	r = nft_dump_run(&elements);
	if (r < 0) {
		guard_elements_done(&found);
		return r;
	}
	if (found.count)
		qsort(found.items, found.count, sizeof(*found.items), compare);
	*ret = found;
	return 0;
}

const char *guard_elements_find(const struct guard_elements *e, uint64_t cgroup)
{
	const struct guard_element wanted = {.cgroup = cgroup};
	const struct guard_element *found =
		e->count ? bsearch(&wanted, e->items, e->count, sizeof(*e->items), compare) : NULL;

	return found ? found->chain : NULL;
}

void guard_elements_done(struct guard_elements *e)
{
	free(e->items);
	*e = (struct guard_elements){0};
}
