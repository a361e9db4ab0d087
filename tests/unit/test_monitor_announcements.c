/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/announcements.h"

static char folder[] = "/tmp/wayleave-test-XXXXXX";
static char path[64];

static void setup(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/slack.db", folder);
}

static void teardown(void)
{
	static const char *const ends[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char *file = memory_format("%s%s", path, ends[i]);

		unlink(file);
		free(file);
	}
	rmdir(folder);
}

TestSuite(announcements, .init = setup, .fini = teardown);

static struct announcements *open_it(void)
{
	struct announcements *a = NULL;
	struct error e = {""};

	cr_assert_eq(announcements_open(path, &a, &e), 0, "%s", e.text);
	return a;
}

static const struct identifier one = {"r-AAAA"}, two = {"r-BBBB"};

Test(announcements, are_there_after_a_restart)
{
	struct announcements *a = open_it();
	struct announcement *item;
	struct stat s;

	announcements_set_posted(a, announcements_add(a, &one, "C1", 7), "1.5");
	announcements_set_told(a, announcements_add(a, &one, "C2", 7));
	item = announcements_add(a, &one, "C3", 7);
	announcements_set_told(a, item);
	announcements_set_refused(a, item);
	announcements_add(a, &two, "C2", 7);
	announcements_remove(a, announcements_add(a, &two, "C1", 7));
	announcements_close(a);
	cr_assert_eq(stat(path, &s), 0);
	cr_assert_eq(s.st_mode & 07777, 0600);

	a = open_it();
	item = announcements_find(a, &one, "C1");
	cr_assert(item && item->posted == BROKER_POSTED && item->changed && item->soon);
	cr_assert_str_eq(item->place.time, "1.5");
	item = announcements_find(a, &one, "C2");
	cr_assert(item && item->posted == BROKER_PERHAPS_POSTED);
	item = announcements_find(a, &one, "C3");
	cr_assert(item && item->posted == BROKER_NOT_POSTED);
	cr_assert_eq(announcements_find(a, &two, "C1"), NULL);
	cr_assert_eq(announcements_find(a, &two, "C2"), NULL, "no broker was told");
	announcements_close(a);
}

/* What stands there as it should is not said again, by whatever broker, until it changes. */
Test(announcements, outcomes_are_told_once)
{
	struct announcements *a = open_it();
	struct announcement *item = announcements_add(a, &one, "C1", 7);

	announcements_set_told(a, item);
	announcements_set_posted(a, item, "1.5");
	item->changed = item->soon = false;
	announcements_set_outcome(a, item, "1.5");
	announcements_forget_broker(a);
	cr_assert_not(item->changed);
	announcements_close(a);

	a = open_it();
	item = announcements_find(a, &one, "C1");
	cr_assert(item && item->posted == BROKER_POSTED_OUTCOME);
	cr_assert_not(item->changed || item->soon);
	cr_assert_str_eq(item->place.time, "1.5");
	/* Another one, of which nobody knows yet whether it stands there. */
	announcements_set_told(a, item);
	announcements_close(a);
	a = open_it();
	item = announcements_find(a, &one, "C1");
	cr_assert(item && item->posted == BROKER_POSTED && item->changed && item->soon);
	cr_assert_str_eq(item->place.time, "1.5");
	announcements_close(a);
}

Test(announcements, have_a_limit)
{
	struct announcements *a = open_it();
	struct identifier id;

	for (unsigned i = 0; i <= ANNOUNCEMENTS_MOST; i++) {
		snprintf(id.text, sizeof(id.text), "r-%05u", i);
		announcements_add(a, &id, "C1", 1 + i % 5);
	}
	cr_assert_eq(announcements_find(a, &(struct identifier){"r-00000"}, "C1"), NULL);
	cr_assert(announcements_find(a, &(struct identifier){"r-00001"}, "C1"));
	cr_assert(announcements_find(a, &id, "C1"));
	announcements_close(a);
}

/* One that asks while Slack is down puts its own out, not others'. */
Test(announcements, an_agent_has_its_part)
{
	struct announcements *a = open_it();
	struct identifier id;

	announcements_add(a, &one, "C1", 8);
	for (unsigned i = 0; i <= ANNOUNCEMENTS_OF_AGENT_MOST; i++) {
		snprintf(id.text, sizeof(id.text), "r-%05u", i);
		announcements_add(a, &id, "C1", 7);
	}
	cr_assert(announcements_find(a, &one, "C1"));
	cr_assert_eq(announcements_find(a, &(struct identifier){"r-00000"}, "C1"), NULL);
	cr_assert(announcements_find(a, &(struct identifier){"r-00001"}, "C1"));
	cr_assert(announcements_find(a, &id, "C1"));
	announcements_close(a);
}

/* Each may be megabytes: who has one waits for one of each other agent. */
Test(announcements, agents_take_turns)
{
	struct announcements *a = open_it();
	struct announcement *item;
	char order[8] = "";
	bool more = false;

	for (unsigned i = 0; i < 6; i++) {
		struct identifier id;

		snprintf(id.text, sizeof(id.text), "r-%05u", i);
		item = announcements_add(a, &id, "C1", i < 4 ? 7 : 4 + i);
		item->due = i == 5 ? 100 : 50;
	}
	cr_assert_eq(announcements_next(a, 49, &more), NULL);
	for (unsigned i = 0; (item = announcements_next(a, i < 2 ? 50 : 100, &more)); i++) {
		order[i] = (char)('0' + item->agent);
		item->soon = false;
		cr_assert_eq(more, i != 5, "%u", i);
	}
	cr_assert_str_eq(order, "787977");
	announcements_close(a);
}

Test(announcements, what_is_no_database_is_said)
{
	struct announcements *a = NULL;
	FILE *f = fopen(path, "w");
	struct error e = {""};

	fputs("this is no database, and long enough that it could not be taken for an empty one",
		f);
	fclose(f);
	cr_assert_lt(announcements_open(path, &a, &e), 0);
	cr_assert(strstr(e.text, path));
}
