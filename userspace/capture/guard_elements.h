/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_elements: what stands in one of the guard's maps, as the kernel has it. nft would name each
 * cgroup by its path, for which it goes through all cgroups of the host every time.
 */
#ifndef WAYLEAVE_CAPTURE_GUARD_ELEMENTS_H
#define WAYLEAVE_CAPTURE_GUARD_ELEMENTS_H

#include <stddef.h>
#include <stdint.h>

#define GUARD_CHAIN_SIZE 32 /* bytes of a chain's name, the NUL included */

struct guard_elements {
	struct guard_element *items; /* on the heap, sorted */
	size_t count;
};

/* Of a map of the table "inet wayleave_INSTANCE", in the caller's network namespace. -ENOENT: there
 * is none. */
int guard_elements_read(const char *instance, const char *map, struct guard_elements *ret);
/* The chain that packets of the cgroup with that id go to; the elements'. NULL: none. */
const char *guard_elements_find(const struct guard_elements *e, uint64_t cgroup);
void guard_elements_done(struct guard_elements *e);

#endif
