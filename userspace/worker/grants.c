/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/grants.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/table.h"

int grants_init(struct grants *g, int table_fd)
{
	void *memory = mmap(NULL, sizeof(struct grant_table), PROT_READ, MAP_SHARED, table_fd, 0);

	*g = (struct grants){0};
	buffer_init(&g->bytes, GRANTS_BYTES_MOST);
	if (memory == MAP_FAILED)
		return -errno;
	g->table = memory;
	return 0;
}

/* A bit for each (operation, object): what a grant covers has no bit that the grant lacks. */
static uint64_t signature_of(const struct scope_of_action *scope)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < scope->pair_count; i++) {
		const struct action_pair *pair = &scope->pairs[i];

		bits |= 1ull << ((table_hash_slice(pair->object) + pair->operation) % 64);
	}
	return bits;
}

void grants_take(struct grants *g, int fd)
{
	free(g->items);
	free(g->signatures);
	g->items = NULL;
	g->signatures = NULL;
	g->count = 0;
	g->version++;
	buffer_clear(&g->bytes);
	if (fd < 0 || file_read_shared(fd, &g->bytes) < 0 ||
		grants_decode(buffer_slice(&g->bytes), &g->items, &g->count) < 0)
		log_error("the monitor's grants can't be read, so none is in force here");
	g->signatures = memory_new_array(g->count + 1, sizeof(*g->signatures));
	for (size_t i = 0; i < g->count; i++)
		g->signatures[i] = signature_of(&g->items[i].scope);
}

const struct grant *grants_find(
	const struct grants *g, const struct scope_of_action *scope, unsigned unknown)
{
	uint64_t now = clock_wall(), wanted = signature_of(scope);

	for (size_t i = 0; i < g->count; i++) {
		if (wanted & ~g->signatures[i])
			continue;
		if (grant_is_in_force(&g->items[i], g->table, now) &&
			grant_covers(&g->items[i], scope, unknown))
			return &g->items[i];
	}
	return NULL;
}
