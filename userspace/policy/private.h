/* SPDX-License-Identifier: Apache-2.0
 *
 * What policy.c, image.c, compile.c and scope.c share. Inside policy/ and for its tests.
 */
#ifndef WAYLEAVE_POLICY_PRIVATE_H
#define WAYLEAVE_POLICY_PRIVATE_H

#include "base/arena.h"
#include "base/table.h"
#include "policy/policy.h"

struct policy_private {
	unsigned references;
	struct arena arena; /* the policy's arrays */
	uint8_t *image; /* the policy's texts */
	/* Scopes by what they are for (scope.c). Those without users stand in `idle`, the longest
	 * unused one first; those with users hold a reference to the policy. */
	struct table scopes;
	struct list idle;
	size_t idle_count;
};

/* Fills *ret, whose arrays come from the arena and whose texts are the config's or `addresses`'. */
void policy_compile(const struct config *config, uint64_t generation,
	const struct policy_address *addresses, size_t address_count, struct arena *arena,
	struct policy *ret);
/* The image of a compiled policy. -E2BIG beyond the buffer's limit. */
int policy_encode(struct policy *p, struct buffer *ret);
/* Unpacks; texts stay in `image`, arrays come from the arena. */
int policy_decode(struct slice image, struct arena *arena, struct policy *ret, struct error *e);
/* Frees all idle scopes: the policy goes. */
void policy_drop_scopes(struct policy *p);

#endif
