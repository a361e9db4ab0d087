/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/sql/catalog_internal.h"

void catalog_relatives_add(struct relatives *all, struct sql_relation *r)
{
	if (r->visited)
		return;
	if (all->count == all->room) {
		all->room = all->room ? all->room * 2 : 16;
		all->items = memory_resize_array(all->items, all->room, sizeof(*all->items));
	}
	r->visited = true;
	all->items[all->count++] = r;
}

void catalog_relatives_done(struct relatives *all)
{
	for (size_t i = 0; i < all->count; i++)
		all->items[i]->visited = false;
	free(all->items);
	*all = (struct relatives){0};
}
