/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/trie.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "capture/prefix.h"

static int compare_items(const void *a, const void *b)
{
	return prefix_compare(
		&((const struct trie_item *)a)->key, &((const struct trie_item *)b)->key);
}

static size_t sort_unique(struct trie_item *items, size_t count)
{
	size_t kept = 0;

	if (count)
		qsort(items, count, sizeof(*items), compare_items);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || compare_items(&items[kept - 1], &items[i]) != 0)
			items[kept++] = items[i];
	}
	return kept;
}

int trie_open(struct trie *ret, int fd)
{
	struct trie t = {.fd = fd};
	struct trie_item item = {0};
	size_t capacity = 0;
	bool first = true;

	while (bpf_map_get_next_key(fd, first ? NULL : &item.key, &item.key) == 0) {
		first = false;
		if (bpf_map_lookup_elem(fd, &item.key, &item.value) < 0)
			continue;
		if (t.count == capacity) {
			capacity = capacity ? capacity * 2 : 64;
			t.items = memory_resize_array(t.items, capacity, sizeof(*t.items));
		}
		t.items[t.count++] = item;
	}
	if (errno != ENOENT) {
		free(t.items);
		return -errno;
	}
	t.count = sort_unique(t.items, t.count);
	*ret = t;
	return 0;
}

void trie_done(struct trie *t)
{
	free(t->items);
	*t = (struct trie){.fd = -1};
}

/* Calls for each item of `list` that is not, with the same key (and value, where asked), in
 * `other`. Both are sorted. */
static int for_each_missing(const struct trie_item *list, size_t count,
	const struct trie_item *other, size_t other_count, bool with_value,
	int (*call)(int fd, const struct trie_item *item), int fd)
{
	size_t j = 0;
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		int order = 1, r;

		while (j < other_count && (order = compare_items(&list[i], &other[j])) > 0)
			j++;
		if (j < other_count && order == 0 &&
			(!with_value ||
				memcmp(&list[i].value, &other[j].value, sizeof(list[i].value)) ==
					0))
			continue;
		r = call(fd, &list[i]);
		if (r < 0)
			result = r;
	}
	return result;
}

static int put(int fd, const struct trie_item *item)
{
	return bpf_map_update_elem(fd, &item->key, &item->value, BPF_ANY) < 0 ? -errno : 0;
}

static int delete (int fd, const struct trie_item *item)
{
	return bpf_map_delete_elem(fd, &item->key) < 0 && errno != ENOENT ? -errno : 0;
}

int trie_set(struct trie *t, struct trie_item *items, size_t count)
{
	int r, deleted;

	count = sort_unique(items, count);
	r = for_each_missing(items, count, t->items, t->count, true, put, t->fd);
	deleted = for_each_missing(t->items, t->count, items, count, false, delete, t->fd);
	/* What did not fit may fit now. */
	if (r == -ENOSPC)
		r = for_each_missing(items, count, items, 0, true, put, t->fd);
	free(t->items);
	t->items = items;
	t->count = count;
	return r < 0 ? r : deleted;
}
