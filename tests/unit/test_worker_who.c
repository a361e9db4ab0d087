/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/clock.h"
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

/* All workers are given the same file. What one reads must not be missing for another. */
Test(who, a_list_is_read_whole_while_another_reads_it)
{
	const struct policy_agent agent = {.id = 7};
	const struct principal_entry suspended = {
		.agent = 7, .state = PRINCIPAL_NONE, .suspended = true};
	int fd = make_list_of(&suspended, 1, "");
	struct who w;

	who_init(&w);
	who_take(&w, fd);
	cr_expect(who_is_suspended(&w, &agent, 1));
	cr_expect_eq(
		lseek(fd, 0, SEEK_CUR), 0, "where the other reads is where this one has read to");
	done(&w);
	close(fd);
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

/* The agent's own entry, and one of its run 5, as this worker may have heard of them. */
Test(who, whoever_acts_now)
{
	const uint64_t soon = clock_wall() + 60 * NANOSECONDS_PER_SECOND;
	const struct {
		const char *what;
		struct principal_entry entry;
		bool identified, observes;
		enum who_answer answer;
		enum reason reason;
		const char *text;
	} rows[] = {
		{"no identity", {.state = PRINCIPAL_NONE}, false, false, WHO_GOOD, REASON_IDENTITY,
			""},
		{"good", {.state = PRINCIPAL_KNOWN, .until = soon}, true, false, WHO_GOOD,
			REASON_IDENTITY, ""},
		{"ended by the clock", {.state = PRINCIPAL_KNOWN, .until = 1}, true, false,
			WHO_AWAITED, REASON_IDENTITY, "has expired"},
		{"ended", {.state = PRINCIPAL_ENDED, .problem = slice_from_string("it is over")},
			true, false, WHO_AWAITED, REASON_IDENTITY, "it is over"},
		{"looked at",
			{.state = PRINCIPAL_AWAITED, .problem = slice_from_string("a moment")},
			true, false, WHO_AWAITED, REASON_IDENTITY, "a moment"},
		{"refused", {.state = PRINCIPAL_REFUSED, .problem = slice_from_string("it is bad")},
			true, false, WHO_REFUSED, REASON_IDENTITY, "it is bad"},
		{"nothing is known", {.state = PRINCIPAL_NONE}, true, false, WHO_AWAITED,
			REASON_IDENTITY, "not known yet"},
		{"watched", {.state = PRINCIPAL_REFUSED}, true, true, WHO_GOOD, REASON_IDENTITY,
			""},
		{"suspended", {.state = PRINCIPAL_KNOWN, .until = soon, .suspended = true}, true,
			false, WHO_REFUSED, REASON_SUSPENDED, "suspended"},
		{"suspended and watched", {.state = PRINCIPAL_NONE, .suspended = true}, false, true,
			WHO_REFUSED, REASON_SUSPENDED, "suspended"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		const struct policy_agent agent = {.id = 7, .identified = rows[i / 2].identified};
		/* Of another agent; of this one; and, the second time, of the run alone. */
		struct principal_entry entries[] = {
			{.agent = 6, .state = PRINCIPAL_REFUSED, .suspended = true},
			rows[i / 2].entry, rows[i / 2].entry,
			{.agent = 8, .state = PRINCIPAL_REFUSED, .suspended = true}};
		enum who_answer answer;
		enum reason reason;
		struct buffer text;
		struct who w;
		int fd;

		entries[1].agent = entries[2].agent = 7;
		if (i % 2) {
			entries[1] =
				(struct principal_entry){.agent = 7, .state = PRINCIPAL_AWAITED};
			entries[2].run = 5;
		} else {
			entries[2].agent = 9;
		}
		fd = make_list_of(entries, ARRAY_SIZE(entries), "");
		who_init(&w);
		who_take(&w, fd);
		buffer_init(&text, 4096);
		answer = who_check(&w, &agent, 5, rows[i / 2].observes, &reason, &text);
		buffer_append_byte(&text, 0);
		cr_expect_eq(answer, rows[i / 2].answer, "%s", rows[i / 2].what);
		cr_expect(strstr((const char *)text.data, rows[i / 2].text), "%s: %s",
			rows[i / 2].what, (const char *)text.data);
		if (answer != WHO_GOOD)
			cr_expect_eq(reason, rows[i / 2].reason, "%s", rows[i / 2].what);
		cr_expect_eq(who_is_suspended(&w, &agent, 5), rows[i / 2].entry.suspended, "%s",
			rows[i / 2].what);
		cr_expect_eq(who_is_known(&w, &agent, 5),
			!agent.identified || rows[i / 2].entry.state == PRINCIPAL_KNOWN, "%s",
			rows[i / 2].what);
		buffer_done(&text);
		done(&w);
		close(fd);
	}
}

Test(who, what_may_be_any_runs_is_nobodys)
{
	const struct policy_agent agent = {.id = 7, .identified = true};
	struct principal_entry entries[2] = {make_run("bot", ""), make_run("other", "")};
	struct who w;
	int fd;

	entries[0].run = 0;
	entries[0].until = clock_wall() + 60 * NANOSECONDS_PER_SECOND;
	for (size_t count = 1; count <= 2; count++) {
		fd = make_list_of(entries, count, "");
		who_init(&w);
		who_take(&w, fd);
		cr_expect_eq(who_principal_of_any(&w, &agent)->known, count == 1);
		cr_expect(who_principal(&w, &agent, 0)->known);
		done(&w);
		close(fd);
	}
	entries[0].until = clock_wall() - NANOSECONDS_PER_SECOND;
	fd = make_list_of(entries, 1, "");
	who_init(&w);
	who_take(&w, fd);
	cr_expect_not(who_principal_of_any(&w, &agent)->known);
	done(&w);
	close(fd);
}
