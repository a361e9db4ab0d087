/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/authority_names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

#define MAPPED_BITS 96

/* --- making them --- */

/* `value` becomes the tree's. */
static int add_subtree(STACK_OF(GENERAL_SUBTREE) * *to, int type, ASN1_STRING *value)
{
	GENERAL_SUBTREE *subtree = GENERAL_SUBTREE_new();

	if (!*to)
		*to = sk_GENERAL_SUBTREE_new_null();
	if (!subtree || !value || !*to) {
		GENERAL_SUBTREE_free(subtree);
		ASN1_STRING_free(value);
		return -ENOMEM;
	}
	GENERAL_NAME_set0_value(subtree->base, type, value);
	if (sk_GENERAL_SUBTREE_push(*to, subtree) > 0)
		return 0;
	GENERAL_SUBTREE_free(subtree);
	return -ENOMEM;
}

static ASN1_STRING *new_string(int type, const void *data, size_t length)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type);

	if (s && ASN1_STRING_set(s, data, (int)length) == 1)
		return s;
	ASN1_STRING_free(s);
	return NULL;
}

static int add_name(STACK_OF(GENERAL_SUBTREE) * *to, struct slice name)
{
	return add_subtree(to, GEN_DNS,
		new_string(
			V_ASN1_IA5STRING, name.length ? (const void *)name.data : "", name.length));
}

/* The address, and which of its bits count. */
static int add_network(
	STACK_OF(GENERAL_SUBTREE) * *to, const uint8_t *address, size_t size, unsigned bits)
{
	uint8_t value[32] = {0};

	memcpy(value, address, size);
	for (unsigned i = 0; i < bits; i++)
		value[size + i / 8] |= (uint8_t)(0x80u >> i % 8);
	return add_subtree(to, GEN_IPADD, new_string(V_ASN1_OCTET_STRING, value, 2 * size));
}

static int add_limit(STACK_OF(GENERAL_SUBTREE) * *to, const struct host *h)
{
	if (h->kind == HOST_NAME)
		return add_name(to, h->name);
	if (address_is_mapped(&h->address) && h->prefix >= MAPPED_BITS)
		return add_network(to, h->address.bytes + 12, 4, h->prefix - MAPPED_BITS);
	return add_network(to, h->address.bytes, 16, h->prefix);
}

/* A kind of which nothing is permitted would not be constrained at all. */
static int exclude_rest(NAME_CONSTRAINTS *n, bool names, bool addresses)
{
	static const uint8_t nothing[16];
	int r = names ? 0 : add_name(&n->excludedSubtrees, SLICE_EMPTY);

	if (r == 0 && !addresses)
		r = add_network(&n->excludedSubtrees, nothing, 4, 0);
	if (r == 0 && !addresses)
		r = add_network(&n->excludedSubtrees, nothing, 16, 0);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct host *x = a, *y = b;
	int r;

	if (x->kind == HOST_NAME || y->kind == HOST_NAME) {
		if (x->kind != y->kind)
			return x->kind == HOST_NAME ? -1 : 1;
		r = memcmp(x->name.data, y->name.data,
			x->name.length < y->name.length ? x->name.length : y->name.length);
		return r ? r
			 : (x->name.length > y->name.length) - (x->name.length < y->name.length);
	}
	r = memcmp(x->address.bytes, y->address.bytes, sizeof(x->address.bytes));
	return r ? r : (x->prefix > y->prefix) - (x->prefix < y->prefix);
}

/* In one order, each once, so that what means the same is the same. */
static NAME_CONSTRAINTS *make(const struct host *limits, size_t count)
{
	struct host *sorted = memory_new_array(count, sizeof(*sorted));
	NAME_CONSTRAINTS *n = NAME_CONSTRAINTS_new();
	bool names = false, addresses = false;
	int r = n ? 0 : -ENOMEM;

	memcpy(sorted, limits, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	for (size_t i = 0; r == 0 && i < count; i++) {
		names |= sorted[i].kind == HOST_NAME;
		addresses |= sorted[i].kind != HOST_NAME;
		if (i == 0 || compare(&sorted[i - 1], &sorted[i]) != 0)
			r = add_limit(&n->permittedSubtrees, &sorted[i]);
	}
	if (r == 0)
		r = exclude_rest(n, names, addresses);
	free(sorted);
	if (r == 0)
		return n;
	NAME_CONSTRAINTS_free(n);
	return NULL;
}

int authority_names_add(X509 *ca, const struct host *limits, size_t count)
{
	NAME_CONSTRAINTS *n;
	int r;

	if (count == 0)
		return 0;
	n = make(limits, count);
	r = n && X509_add1_ext_i2d(ca, NID_name_constraints, n, 1, X509V3_ADD_DEFAULT) == 1
		? 0
		: -ENOMEM;
	NAME_CONSTRAINTS_free(n);
	return r;
}

/* --- those of a certificate --- */

static bool same_data(X509_EXTENSION *a, X509_EXTENSION *b)
{
	return X509_EXTENSION_get_critical(a) == X509_EXTENSION_get_critical(b) &&
		ASN1_STRING_cmp(X509_EXTENSION_get_data(a), X509_EXTENSION_get_data(b)) == 0;
}

bool authority_names_match(X509 *ca, const struct host *limits, size_t count)
{
	int at = X509_get_ext_by_NID(ca, NID_name_constraints, -1);
	X509_EXTENSION *wanted;
	NAME_CONSTRAINTS *n;
	bool same;

	if (at < 0 || count == 0)
		return at < 0 && count == 0;
	n = make(limits, count);
	wanted = n ? X509V3_EXT_i2d(NID_name_constraints, 1, n) : NULL;
	same = wanted && same_data(X509_get_ext(ca, at), wanted);
	X509_EXTENSION_free(wanted);
	NAME_CONSTRAINTS_free(n);
	return same;
}

static void describe_network(const ASN1_STRING *value, char *room, size_t size)
{
	const uint8_t *data = ASN1_STRING_get0_data(value);
	int half = ASN1_STRING_length(value) / 2;
	char address[INET6_ADDRSTRLEN] = "?";
	unsigned bits = 0;

	if (half == 4 || half == 16)
		inet_ntop(half == 4 ? AF_INET : AF_INET6, data, address, sizeof(address));
	for (int i = 0; i < half * 8; i++)
		bits += (data[half + i / 8] >> (7 - i % 8)) & 1;
	snprintf(room, size, "%s/%u", address, bits);
}

static void describe_one(const GENERAL_NAME *name, char *room, size_t size)
{
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);

	if (type == GEN_IPADD)
		describe_network(value, room, size);
	else if (type == GEN_DNS)
		snprintf(room, size, "%.*s", ASN1_STRING_length(value),
			(const char *)ASN1_STRING_get0_data(value));
	else
		snprintf(room, size, "what is no host");
}

void authority_names_describe(X509 *ca, char *room, size_t size)
{
	NAME_CONSTRAINTS *n = X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
	size_t used = 0;

	snprintf(room, size, "%s", n ? "" : "anything");
	for (int i = 0; n && i < sk_GENERAL_SUBTREE_num(n->permittedSubtrees); i++) {
		char one[300];
		int wanted;

		describe_one(
			sk_GENERAL_SUBTREE_value(n->permittedSubtrees, i)->base, one, sizeof(one));
		wanted = snprintf(room + used, size - used, "%s%s", i ? ", " : "", one);
		if (wanted < 0 || (size_t)wanted >= size - used)
			break;
		used += (size_t)wanted;
	}
	NAME_CONSTRAINTS_free(n);
}
