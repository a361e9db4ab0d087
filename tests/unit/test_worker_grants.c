/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "worker/grants.h"

#define OBJECTS 200
#define GRANTS 300
#define PAIRS 3

static char objects[OBJECTS][32];
static struct grant_table *table;
static struct grants grants;

static int memory_file(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static void setup(void)
{
	int fd = memory_file();

	srandom(4711);
	for (unsigned i = 0; i < OBJECTS; i++)
		snprintf(objects[i], sizeof(objects[i]), "public.t%u", i);
	cr_assert_eq(ftruncate(fd, sizeof(*table)), 0);
	cr_assert_eq(grants_init(&grants, fd), 0);
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(table, MAP_FAILED);
	close(fd);
}

/* `most`: so many pairs at most, of which some may be alike. */
static void fill_scope(struct scope_of_action *s, size_t most)
{
	static const enum operation operations[] = {
		OPERATION_DELETE, OPERATION_UPDATE, OPERATION_SELECT};

	memset(s, 0, sizeof(*s));
	s->agent = slice_from_string("demo");
	s->resource = slice_from_string("shop");
	s->rules[s->rule_count++] = slice_from_string("rule");
	s->pair_count = (size_t)random() % most + 1;
	for (size_t i = 0; i < s->pair_count; i++) {
		bool none = random() % 8 == 0;

		s->pairs[i] = (struct action_pair){
			.operation = operations[random() % 3],
			.state = none ? OBJECT_NONE : OBJECT_KNOWN,
			.object =
				none ? SLICE_EMPTY : slice_from_string(objects[random() % OBJECTS]),
		};
	}
}

static void take(const struct grant *items, size_t count)
{
	int fd = memory_file();
	struct buffer list;

	buffer_init(&list, GRANTS_BYTES_MOST);
	cr_assert_eq(grants_encode(items, count, &list), 0);
	cr_assert_eq(file_write_all(fd, buffer_slice(&list)), 0);
	grants_take(&grants, fd);
	cr_assert_eq(grants.count, count);
	buffer_done(&list);
	close(fd);
}

/* Whatever makes looking faster finds what looking at each of them finds. */
Test(worker_grants, are_found_as_one_by_one, .init = setup)
{
	struct grant *items = memory_new_array(GRANTS, sizeof(*items));
	struct scope_of_action *wanted = memory_new(sizeof(*wanted));
	unsigned found = 0;

	for (uint32_t i = 0; i < GRANTS; i++) {
		items[i].id = identifier_new('g', 4);
		items[i].slot = i;
		items[i].serial = i + 1;
		fill_scope(&items[i].scope, PAIRS);
		grant_table_set(table, i, i + 1, i % 5 ? UINT64_MAX : 1);
	}
	take(items, GRANTS);
	for (unsigned n = 0; n < 5000; n++) {
		const struct grant *expected = NULL, *got;

		fill_scope(wanted, PAIRS - 1);
		for (uint32_t i = 0; i < GRANTS && !expected; i++) {
			if (grant_is_in_force(&grants.items[i], table, 2) &&
				grant_covers(&grants.items[i], wanted, 0))
				expected = &grants.items[i];
		}
		got = grants_find(&grants, wanted, 0);
		cr_assert_eq(got, expected, "%u", n);
		found += expected != NULL;
	}
	cr_assert(
		found > 100 && found < 4900, "%u: there is something to find, and to miss", found);
	free(wanted);
	free(items);
}

Test(worker_grants, a_broken_list_has_none, .init = setup)
{
	struct scope_of_action *wanted = memory_new(sizeof(*wanted));
	struct grant *one = memory_new(sizeof(*one));
	int fd = memory_file();

	fill_scope(&one->scope, PAIRS);
	one->id = identifier_new('g', 4);
	one->serial = 1;
	grant_table_set(table, 0, 1, UINT64_MAX);
	take(one, 1);
	*wanted = one->scope;
	cr_assert_not_null(grants_find(&grants, wanted, 0));
	cr_assert_eq(file_write_all(fd, slice_of("\xff", 1)), 0);
	grants_take(&grants, fd);
	cr_assert_null(grants_find(&grants, wanted, 0));
	take(one, 1);
	grants_take(&grants, -1);
	cr_assert_null(grants_find(&grants, wanted, 0));
	close(fd);
	free(one);
	free(wanted);
}
