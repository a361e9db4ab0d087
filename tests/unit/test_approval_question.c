/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "approval/grant.h"
#include "base/limits.h"
#include "base/memory.h"

#define S(text) slice_from_string(text)

static struct question *example(void)
{
	static const struct action_pair pairs[] = {
		{OPERATION_DELETE, OBJECT_KNOWN, false, {(const uint8_t *)"public.orders", 13}},
		{OPERATION_SELECT, OBJECT_NONE, false, {NULL, 0}},
	};
	struct question *q = memory_new(sizeof(*q));

	q->scope.agent = S("claude-ci");
	q->scope.resource = S("orders");
	q->scope.rules[q->scope.rule_count++] = S("writes need a person");
	cr_assert_eq(scope_of_action_set(&q->scope, pairs, ARRAY_SIZE(pairs)), 0);
	q->protocol = S("postgres");
	q->scope.database = S("shop");
	q->scope.user = S("app");
	q->scope.as = S("app_rw");
	q->session = S("s-7Q2KM4XT");
	q->groups = S("ops\nai-agents");
	q->pid = 17;
	q->uid = 1000;
	q->text = S("delete from orders where id = $1");
	q->settings = S("search_path=public");
	q->runs = S("delete from orders");
	q->values[q->value_count++] = (struct question_value){.data = S("42"), .length = 2};
	q->values_total = 1;
	return q;
}

static bool same_seal(const struct question *a, const struct question *b)
{
	return memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

Test(question, comes_back_as_it_was_written)
{
	struct question *q = example(), *back = memory_new(sizeof(*back));
	struct buffer bytes;

	buffer_init(&bytes, QUESTION_BYTES_MOST);
	cr_assert_eq(question_seal(q, S("42")), 0);
	cr_assert_eq(question_encode(q, &bytes), 0);
	cr_assert_eq(question_decode(buffer_slice(&bytes), back), 0);
	cr_assert(same_seal(q, back));
	cr_assert(slice_equal_string(back->scope.agent, "claude-ci"));
	cr_assert_eq(back->scope.pair_count, 2);
	cr_assert_eq(back->scope.pairs[0].operation, OPERATION_DELETE);
	cr_assert_eq(back->scope.pairs[1].state, OBJECT_NONE);
	cr_assert(slice_equal_string(back->scope.rules[0], "writes need a person"));
	cr_assert(slice_equal_string(back->scope.as, "app_rw"));
	cr_assert(slice_equal(back->text, q->text));
	cr_assert(slice_equal(back->runs, q->runs));
	cr_assert(slice_equal(back->groups, q->groups));
	cr_assert(slice_equal_string(back->values[0].data, "42"));
	cr_assert_eq(back->uid, 1000);
	buffer_done(&bytes);
	free(q);
	free(back);
}

static struct question *example_of_two(void)
{
	struct question *q = example();

	q->text = S("delete from orders where id = $1" QUESTION_SEPARATOR "select 1");
	q->parts[0] = (struct question_part){32, 1};
	q->parts[1] = (struct question_part){8, 0};
	q->part_count = 2;
	return q;
}

static int encode_and_decode(const struct question *q, struct question *ret)
{
	struct buffer bytes;
	int r;

	buffer_init(&bytes, QUESTION_BYTES_MOST);
	cr_assert_eq(question_encode(q, &bytes), 0);
	r = question_decode(buffer_slice(&bytes), ret);
	if (r == 0)
		cr_assert_eq(ret->part_count, q->part_count);
	buffer_done(&bytes);
	return r;
}

Test(question, parts_are_those_of_the_whole)
{
	struct question *q = example_of_two(), *back = memory_new(sizeof(*back));
	size_t at = 0;

	cr_assert_eq(encode_and_decode(q, back), 0);
	cr_assert(slice_equal_string(
		question_part_text(q, 0, &at), "delete from orders where id = $1"));
	cr_assert(slice_equal_string(question_part_text(q, 1, &at), "select 1"));
	q->parts[0].text_length = 31;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "no separator there");
	q->parts[0].text_length = UINT64_MAX;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "longer than the whole");
	q->parts[0].text_length = 32;
	q->parts[1].text_length = 7;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "something is left of the text");
	q->parts[1].text_length = 8;
	q->parts[1].value_count = 1;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "more values than there are");
	q->parts[1].value_count = UINT64_MAX;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG);
	q->parts[0].value_count = q->parts[1].value_count = 0;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "a value that is nobody's");
	q->parts[0] = (struct question_part){q->text.length, 1};
	q->part_count = 1;
	cr_assert_eq(encode_and_decode(q, back), -EBADMSG, "one alone has no parts");
	free(q);
	free(back);
}

/* What the store holds of version 1: nothing was said of what a text runs, nor of groups, nor of
 * the process (three texts). */
Test(question, of_an_older_version_is_read)
{
	struct question *q = example(), *back = memory_new(sizeof(*back));
	struct buffer bytes, old;
	struct slice all;
	const uint8_t *runs;
	size_t before;

	buffer_init(&bytes, QUESTION_BYTES_MOST);
	buffer_init(&old, QUESTION_BYTES_MOST);
	q->runs = S("what an EXECUTE runs");
	cr_assert_eq(question_encode(q, &bytes), 0);
	all = buffer_slice(&bytes);
	runs = memmem(all.data, all.length, q->runs.data, q->runs.length);
	cr_assert(runs);
	before = (size_t)(runs - all.data) - 4; /* its length */
	cr_assert_eq(buffer_append_u64(&old, 1), 0);
	cr_assert_eq(buffer_append_slice(&old, slice_from(slice_head(all, before), 8)), 0);
	all = slice_head(all, all.length - 8); /* how many parts */
	cr_assert_eq(buffer_append_slice(&old,
			     slice_from(all,
				     before + 4 + q->runs.length + 4 + q->groups.length + 3 * 4)),
		0);
	cr_assert_eq(question_decode(buffer_slice(&old), back), 0);
	cr_assert_eq(back->runs.length, 0);
	cr_assert(slice_equal(back->text, q->text));
	cr_assert(slice_equal_string(back->values[0].data, "42"));
	old.data[old.start + 7] = 0;
	cr_assert_eq(question_decode(buffer_slice(&old), back), -EBADMSG);
	old.data[old.start + 7] = QUESTION_VERSION + 1;
	cr_assert_eq(question_decode(buffer_slice(&old), back), -EBADMSG);
	buffer_done(&bytes);
	buffer_done(&old);
	free(q);
	free(back);
}

/* Cut anywhere, or with any byte changed, it is refused or decoded, never read beyond. */
Test(question, hostile_bytes_are_refused)
{
	struct question *q = example(), *back = memory_new(sizeof(*back));
	struct buffer bytes;

	buffer_init(&bytes, QUESTION_BYTES_MOST);
	cr_assert_eq(question_encode(q, &bytes), 0);
	for (size_t length = 0; length < buffer_length(&bytes); length++) {
		uint8_t *copy = memory_new(length + 1);

		memcpy(copy, bytes.data, length);
		cr_assert_eq(question_decode(slice_of(copy, length), back), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < buffer_length(&bytes); i++) {
		bytes.data[i] ^= 0xff;
		question_decode(buffer_slice(&bytes), back);
		bytes.data[i] ^= 0xff;
	}
	cr_assert_eq(buffer_append_byte(&bytes, 0), 0);
	cr_assert_eq(question_decode(buffer_slice(&bytes), back), -EBADMSG);
	buffer_done(&bytes);
	free(q);
	free(back);
}

/* A name that no configuration could have: one that a NUL ends early where it is read as a string,
 * or one that fills what shows it. */
Test(question, names_that_are_none_are_refused)
{
	struct question *q = example(), *back = memory_new(sizeof(*back));
	struct slice *const names[] = {&q->scope.agent, &q->scope.principal, &q->scope.on_behalf_of,
		&q->scope.resource, &q->scope.rules[0], &q->protocol, &q->scope.database,
		&q->scope.user, &q->scope.as, &q->session, &q->address, &q->program};
	uint8_t *longest = memory_new(LIMIT_RECORD_NAME + 1);
	struct buffer bytes;

	memset(longest, 'x', LIMIT_RECORD_NAME + 1);
	const struct {
		struct slice name;
		int expected;
	} rows[] = {
		{slice_of("demo\0evil", 9), -EBADMSG},
		{slice_of("\0", 1), -EBADMSG},
		{slice_of(longest, LIMIT_RECORD_NAME), 0},
		{slice_of(longest, LIMIT_RECORD_NAME + 1), -EBADMSG},
	};
	buffer_init(&bytes, QUESTION_BYTES_MOST);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct slice before = *names[i];

		for (size_t j = 0; j < ARRAY_SIZE(rows); j++) {
			*names[i] = rows[j].name;
			buffer_clear(&bytes);
			cr_assert_eq(question_encode(q, &bytes), 0);
			cr_assert_eq(question_decode(buffer_slice(&bytes), back), rows[j].expected,
				"name %zu, row %zu", i, j);
		}
		*names[i] = before;
	}
	/* A text is no name. */
	q->text = slice_of("select '\0'", 10);
	buffer_clear(&bytes);
	cr_assert_eq(question_encode(q, &bytes), 0);
	cr_assert_eq(question_decode(buffer_slice(&bytes), back), 0);
	buffer_done(&bytes);
	free(longest);
	free(q);
	free(back);
}

/* Whatever the decision is bound to changes the digest; who asks where does not. */
Test(question, the_seal_covers_what_would_run)
{
	struct question *q = example(), *other = example();
	struct slice *const bound[] = {&other->scope.agent, &other->scope.principal,
		&other->scope.on_behalf_of, &other->scope.resource, &other->scope.database,
		&other->scope.user, &other->scope.as, &other->text, &other->settings, &other->runs,
		&other->protocol, &other->scope.pairs[0].object};

	question_seal(q, S("42"));
	question_seal(other, S("42"));
	cr_assert(same_seal(q, other));
	question_seal(other, S("43"));
	cr_assert(!same_seal(q, other));
	for (size_t i = 0; i < ARRAY_SIZE(bound); i++) {
		struct slice before = *bound[i];

		*bound[i] = S("something else");
		question_seal(other, S("42"));
		cr_assert(!same_seal(q, other), "part %zu is not covered", i);
		*bound[i] = before;
	}
	other->scope.rules[0] = S("another");
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other), "the rules");
	other->scope.rules[0] = q->scope.rules[0];
	other->scope.pairs[0].operation = OPERATION_UPDATE;
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other), "the operation");
	other->scope.pairs[0].operation = OPERATION_DELETE;
	other->scope.pairs[0].state = OBJECT_UNKNOWN;
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other), "whether the object is known");
	other->scope.pairs[0].state = OBJECT_KNOWN;
	other->groups = S("ops");
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other), "the principal's groups");
	other->groups = q->groups;
	question_seal(other, S("42"));
	cr_assert(same_seal(q, other));
	other->scope.pairs[0].everything = true;
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other));
	other->scope.pairs[0].everything = false;
	other->session = S("s-00000000");
	other->pid = 18;
	question_seal(other, S("42"));
	cr_assert(same_seal(q, other));
	/* The end of one part is not the beginning of the next. */
	other->scope.database = S("sho");
	other->scope.user = S("papp");
	question_seal(other, S("42"));
	cr_assert(!same_seal(q, other));
	free(q);
	free(other);
}

Test(question, too_many_pairs_have_no_room)
{
	static struct action_pair pairs[QUESTION_PAIRS_MOST + 1];
	struct scope_of_action scope;

	cr_assert_eq(scope_of_action_set(&scope, pairs, QUESTION_PAIRS_MOST), 0);
	cr_assert_eq(scope_of_action_set(&scope, pairs, QUESTION_PAIRS_MOST + 1), -E2BIG);
}

static struct grant *grant_of(const struct question *q)
{
	struct grant *g = memory_new(sizeof(*g));

	g->id = identifier_new('g', 8);
	g->slot = 3;
	g->serial = 7;
	g->scope = q->scope;
	return g;
}

Test(grant, covers_what_was_approved_and_less)
{
	struct question *q = example();
	struct grant *g = grant_of(q);
	struct scope_of_action *scope = &q->scope;

	cr_assert(grant_covers(g, scope, 0));
	scope->pair_count = 1;
	cr_assert(grant_covers(g, scope, 0));
	cr_assert(!grant_covers(g, scope, ACTION_UNKNOWN_EFFECT));
	scope->pairs[0].everything = true;
	cr_assert(!grant_covers(g, scope, 0), "without a WHERE");
	g->scope.pairs[0].everything = true;
	cr_assert(grant_covers(g, scope, 0));
	scope->pairs[0].everything = false;
	cr_assert(grant_covers(g, scope, 0), "with a WHERE where none was asked for");
	scope->pairs[0].operation = OPERATION_UPDATE;
	cr_assert(!grant_covers(g, scope, 0));
	scope->pairs[0].operation = OPERATION_DELETE;
	scope->pairs[0].object = S("public.customers");
	cr_assert(!grant_covers(g, scope, 0));
	scope->pairs[0].object = S("public.orders");
	scope->pairs[0].state = OBJECT_UNKNOWN;
	cr_assert(!grant_covers(g, scope, 0));
	free(q);
	free(g);
}

Test(grant, is_for_one_agent_principal_resource_database_user_and_rule)
{
	struct question *q = example();
	struct grant *g = grant_of(q);
	struct slice *const parts[] = {&q->scope.agent, &q->scope.principal, &q->scope.on_behalf_of,
		&q->scope.resource, &q->scope.database, &q->scope.user, &q->scope.as,
		&q->scope.rules[0]};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct slice before = *parts[i];

		*parts[i] = S("another");
		cr_assert(!grant_covers(g, &q->scope, 0), "part %zu", i);
		*parts[i] = before;
	}
	cr_assert(grant_covers(g, &q->scope, 0));
	free(q);
	free(g);
}

Test(grant, is_in_force_by_the_table)
{
	struct grant_table *table = memory_new(sizeof(*table));
	struct question *q = example();
	struct grant *g = grant_of(q);

	cr_assert(!grant_is_in_force(g, table, 50));
	grant_table_set(table, 3, 7, 100);
	cr_assert(grant_is_in_force(g, table, 99));
	cr_assert(!grant_is_in_force(g, table, 100));
	grant_table_set(table, 3, 8, 200); /* the slot has another grant now */
	cr_assert(!grant_is_in_force(g, table, 99));
	grant_table_set(table, 3, 0, 0);
	g->serial = 0;
	cr_assert(!grant_is_in_force(g, table, 0));
	free(table);
	free(q);
	free(g);
}

Test(grant, lists_come_back)
{
	struct question *q = example();
	struct grant *g = grant_of(q), *back;
	struct buffer bytes;
	size_t count;

	buffer_init(&bytes, GRANTS_BYTES_MOST);
	cr_assert_eq(grants_encode(g, 1, &bytes), 0);
	cr_assert_eq(grants_decode(buffer_slice(&bytes), &back, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_str_eq(back->id.text, g->id.text);
	cr_assert_eq(back->slot, 3);
	cr_assert_eq(back->serial, 7);
	cr_assert(grant_covers(back, &q->scope, 0));
	free(back);
	for (size_t length = 0; length < buffer_length(&bytes); length++)
		cr_assert_eq(grants_decode(slice_of(bytes.data, length), &back, &count), -EBADMSG);
	bytes.data[7] = 2; /* a second one that is not there */
	cr_assert_eq(grants_decode(buffer_slice(&bytes), &back, &count), -EBADMSG);
	buffer_done(&bytes);
	free(q);
	free(g);
}

/* Of Kubernetes and SSH some have the names of others. */
Test(grant, each_operation_comes_back)
{
	struct question *q = example();
	struct grant *g = grant_of(q), *back;
	struct buffer bytes;
	size_t count;

	buffer_init(&bytes, GRANTS_BYTES_MOST);
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		q->scope.pairs[0].operation = g->scope.pairs[0].operation = (enum operation)i;
		buffer_clear(&bytes);
		cr_assert_eq(grants_encode(g, 1, &bytes), 0);
		cr_assert_eq(grants_decode(buffer_slice(&bytes), &back, &count), 0);
		cr_expect(
			grant_covers(back, &q->scope, 0), "%s", operation_name((enum operation)i));
		free(back);
	}
	buffer_done(&bytes);
	free(q);
	free(g);
}

Test(grant, an_operation_has_one_key)
{
	static const char *const none[] = {"", " ", "exec of", "exec of ", "exec of kubernetes",
		"exec of mysql", "exec of ssh ", "exec  of ssh", "delete of postgres",
		"connect of ssh", "DELETE of http", "read"};

	cr_expect_eq(operation_from_key(S("exec")), OPERATION_KUBE_EXEC);
	cr_expect_eq(operation_from_key(S("exec of ssh")), OPERATION_SSH_EXEC);
	cr_expect_eq(operation_from_key(S("delete")), OPERATION_DELETE);
	cr_expect_eq(operation_from_key(S("delete of kubernetes")), OPERATION_KUBE_DELETE);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		cr_expect_eq(operation_from_key(S(none[i])), OPERATION_COUNT, "%s", none[i]);
}
