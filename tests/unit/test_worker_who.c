/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "policy/policy.h"
#include "worker/who.h"

static int make_list_of(const struct principal_entry *entries, size_t count, const char *garbage)
{
	struct buffer bytes;
	int fd;

	buffer_init(&bytes, 4096);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(principals_encode(&entries[i], &bytes), 0);
	buffer_append_string(&bytes, garbage);
	fd = file_make_sealed("test", buffer_slice(&bytes));
	cr_assert_geq(fd, 0);
	buffer_done(&bytes);
	return fd;
}

static int make_list(const char *garbage)
{
	return make_list_of(
		&(struct principal_entry){.agent = 7, .state = PRINCIPAL_NONE}, 1, garbage);
}

static void done(struct who *w)
{
	free(w->items);
	buffer_done(&w->bytes);
}

static enum who_answer check(const struct who *w, enum reason *ret)
{
	const struct policy_agent agent = {.id = 7};
	enum who_answer answer;
	struct buffer text;

	buffer_init(&text, 4096);
	answer = who_check(w, &agent, 1, true, ret, &text);
	buffer_done(&text);
	return answer;
}

Test(who, nobody_is_let_through_by_a_list_that_cannot_be_read)
{
	const struct policy_agent agent = {.id = 7};
	const int lists[] = {-1, make_list("x")};
	int good = make_list("");
	enum reason reason;
	struct who w;

	who_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		who_take(&w, lists[i]);
		cr_expect(who_is_suspended(&w, &agent, 1));
		cr_expect_eq(check(&w, &reason), WHO_REFUSED);
		cr_expect_eq(reason, REASON_IDENTITY);
		who_take(&w, good);
		cr_expect_not(who_is_suspended(&w, &agent, 1));
		cr_expect_eq(check(&w, &reason), WHO_GOOD);
	}
	done(&w);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		close(lists[i]);
	close(good);
}

/* A run of agent 7. */
static struct principal_entry make_run(const char *name, const char *person)
{
	return (struct principal_entry){.agent = 7,
		.run = 5,
		.state = PRINCIPAL_KNOWN,
		.principal = {.known = true,
			.name = slice_from_string(name),
			.on_behalf_of = slice_from_string(person)}};
}

Test(who, runs_for_people_are_not_runs_as_somebody_else)
{
	static struct slice group = {(const uint8_t *)"g", 1};
	const struct policy_agent agent = {.id = 7}, another = {.id = 8};
	struct principal_entry entries[2] = {make_run("bot", "")};
	const struct {
		const char *name, *person;
		size_t groups;
		enum principal_state state;
		bool others, people;
	} rows[] = {
		{"bot", "", 0, PRINCIPAL_KNOWN, false, false},
		{"bot", "ann", 0, PRINCIPAL_KNOWN, false, true},
		{"else", "", 0, PRINCIPAL_KNOWN, true, false},
		{"bot", "", 1, PRINCIPAL_KNOWN, true, false},
		{"", "", 0, PRINCIPAL_REFUSED, true, false},
	};

	entries[0].run = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct who w;
		int fd;

		entries[1] = make_run(rows[i].name, rows[i].person);
		entries[1].state = rows[i].state;
		entries[1].principal.groups = &group;
		entries[1].principal.group_count = rows[i].groups;
		entries[1].principal.known = rows[i].state == PRINCIPAL_KNOWN;
		fd = make_list_of(entries, 2, "");
		who_init(&w);
		who_take(&w, fd);
		cr_assert_not(w.broken);
		cr_expect_eq(who_has_other_principals(&w, &agent), rows[i].others, "%zu", i);
		cr_expect_eq(who_acts_for_people(&w, &agent), rows[i].people, "%zu", i);
		cr_expect_not(who_has_other_principals(&w, &another));
		cr_expect_not(who_acts_for_people(&w, &another));
		done(&w);
		close(fd);
	}
}

Test(who, a_run_of_an_agent_without_identity_is_as_its_agent)
{
	const struct policy_agent agent = {.id = 7};
	const struct principal_entry entry = {.agent = 7,
		.run = 5,
		.state = PRINCIPAL_NONE,
		.principal = {.on_behalf_of = slice_from_string("ann")}};
	int fd = make_list_of(&entry, 1, "");
	struct who w;

	who_init(&w);
	who_take(&w, fd);
	cr_expect_not(who_has_other_principals(&w, &agent));
	cr_expect(who_acts_for_people(&w, &agent));
	done(&w);
	close(fd);
}
