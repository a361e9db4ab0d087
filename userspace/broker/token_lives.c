/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/token_lives.h"

#include <string.h>

/* What stands in front of the signature (RFC 7515 section 5.1), which may have several texts. */
static struct slice signed_part(struct slice token)
{
	const uint8_t *dot = token.length ? memrchr(token.data, '.', token.length) : NULL;

	return dot ? slice_head(token, (size_t)(dot - token.data)) : token;
}

uint64_t token_lives_keep(struct token_lives *l, struct slice token, uint64_t ends)
{
	struct token_life life = {.ends = ends};
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, signed_part(token));
	sha256_get(&h, life.digest);
	for (size_t i = 0; i < l->count && i < LIMIT_TOKENS_KNOWN; i++) {
		if (memcmp(l->items[i].digest, life.digest, sizeof(life.digest)) == 0)
			return l->items[i].ends;
	}
	l->items[l->count++ % LIMIT_TOKENS_KNOWN] = life;
	return ends;
}
