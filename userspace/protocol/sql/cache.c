/* SPDX-License-Identifier: Apache-2.0
 *
 * Why two texts of one shape have the same facts: they are equal but for runs of digits, and no
 * such run can change how anything else is read. It is a token of its own, an integer of at most
 * nine digits (which always fits), or part of a string or comment, because what stands next to it
 * is
 *   - no letter, digit, "_", "$" or byte above 0x7f: not a part of a name, keyword, parameter,
 *     dollar-quote tag, hexadecimal number, bit string or exponent;
 *   - no ".": not a part of a fraction;
 *   - no backslash: not an octal escape, whose length would depend on it.
 * U&'' strings take any character as their escape and have no shape. Quoted identifiers may hold
 * numbers; a text that has some depends on them (walk_table.c), as do constants that decide
 * something.
 */
#include "protocol/sql/cache.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/table.h"

#define NUMBER_DIGITS 9

struct cache_entry {
	struct table_node node;
	struct list recent; /* the most recently used first */
	struct sql_text *text;
	size_t bytes;
	bool shaped; /* stands for all texts of its shape */
	uint32_t key_length;
	uint8_t key[]; /* the shape, or the text */
};

struct sql_cache {
	struct table table;
	struct list recent;
	size_t used, limit;
	uint8_t shape[LIMIT_STATEMENT_CACHE_TEXT];
};

/* Whether the byte, next to a run of digits, makes it a part of something longer. */
static const bool clings[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['_'] = true,
	['$'] = true,
	['.'] = true,
	['\\'] = true,
	[0x80 ... 0xff] = true,
};

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Length of the free-standing number at `i`, 0 where there is none. *ret_run gets the length of the
 * run of digits. */
static size_t number_at(struct slice text, size_t i, size_t *ret_run)
{
	size_t end = i;

	while (end < text.length && is_digit(text.data[end]))
		end++;
	*ret_run = end - i;
	if (end - i > NUMBER_DIGITS || (i > 0 && clings[text.data[i - 1]]) ||
		(end < text.length && clings[text.data[end]]))
		return 0;
	return end - i;
}

bool sql_cache_shape(struct slice text, uint8_t *ret, size_t *ret_length)
{
	size_t length = 0, run;

	for (size_t i = 0; i < text.length;) {
		uint8_t c = text.data[i];

		if (c == '&' && i > 0 && (text.data[i - 1] | 0x20) == 'u')
			return false;
		if (!is_digit(c)) {
			ret[length++] = c;
			i++;
			continue;
		}
		if (number_at(text, i, &run)) {
			ret[length++] = '0';
		} else {
			memcpy(ret + length, text.data + i, run);
			length += run;
		}
		i += run;
	}
	*ret_length = length;
	return true;
}

bool sql_cache_has_number(struct slice name)
{
	size_t run;

	for (size_t i = 0; i < name.length; i += run) {
		if (!is_digit(name.data[i]))
			run = 1;
		else if (number_at(name, i, &run))
			return true;
	}
	return false;
}

struct sql_cache *sql_cache_new(size_t limit_bytes)
{
	struct sql_cache *c = memory_new(sizeof(*c));

	table_init(&c->table);
	list_init(&c->recent);
	c->limit = limit_bytes;
	return c;
}

static void cache_remove(struct sql_cache *c, struct cache_entry *entry)
{
	table_remove(&c->table, &entry->node);
	list_remove(&entry->recent);
	c->used -= entry->bytes;
	sql_text_put(entry->text);
	free(entry);
}

void sql_cache_free(struct sql_cache *c)
{
	if (!c)
		return;
	while (!list_is_empty(&c->recent))
		cache_remove(c, list_entry(c->recent.next, struct cache_entry, recent));
	table_done(&c->table);
	free(c);
}

static struct cache_entry *cache_find(struct sql_cache *c, struct slice key, bool shaped)
{
	uint64_t hash = table_hash_slice(key);

	for (struct table_node *node = table_find(&c->table, hash); node;
		node = table_find_next(&c->table, node)) {
		struct cache_entry *entry = container_of(node, struct cache_entry, node);

		if (entry->shaped == shaped &&
			slice_equal(slice_of(entry->key, entry->key_length), key))
			return entry;
	}
	return NULL;
}

struct sql_text *sql_cache_find(struct sql_cache *c, struct slice text)
{
	struct cache_entry *entry = NULL;
	size_t length;

	if (text.length > LIMIT_STATEMENT_CACHE_TEXT)
		return NULL;
	if (sql_cache_shape(text, c->shape, &length))
		entry = cache_find(c, slice_of(c->shape, length), true);
	if (!entry)
		entry = cache_find(c, text, false);
	if (!entry)
		return NULL;
	list_remove(&entry->recent);
	list_insert_after(&c->recent, &entry->recent);
	return sql_text_get(entry->text);
}

void sql_cache_add(struct sql_cache *c, struct slice text, struct sql_text *t)
{
	struct slice key = text;
	struct cache_entry *entry;
	bool shaped = false;
	size_t length;

	if (sql_text_status(t) != SQL_PARSED || text.length > LIMIT_STATEMENT_CACHE_TEXT ||
		sql_text_size(t) > c->limit / 8)
		return;
	if (!sql_text_depends_on_literals(t) && sql_cache_shape(text, c->shape, &length)) {
		key = slice_of(c->shape, length);
		shaped = true;
	}
	if (cache_find(c, key, shaped))
		return;
	entry = memory_new(sizeof(*entry) + key.length);
	entry->shaped = shaped;
	entry->text = sql_text_get(t);
	entry->key_length = (uint32_t)key.length;
	memcpy(entry->key, key.data, key.length);
	entry->bytes = sql_text_size(t) + sizeof(*entry) + key.length;
	table_insert(&c->table, &entry->node, table_hash_slice(key));
	list_insert_after(&c->recent, &entry->recent);
	c->used += entry->bytes;
	while (c->used > c->limit)
		cache_remove(c, list_entry(c->recent.previous, struct cache_entry, recent));
}
