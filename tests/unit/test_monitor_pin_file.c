/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitor/pin_file.h"

#define SECOND NANOSECONDS_PER_SECOND
#define NOW (1000 * SECOND)
#define SLOT 512

static char path[] = "/tmp/wayleave-pins-XXXXXX";
static const struct address one = {{0x20, 1}}, two = {{0x20, 2}};

static void setup(void)
{
	close(mkstemp(path));
	unlink(path);
}

static void teardown(void)
{
	unlink(path);
}

/* What a daemon that starts now knows. The file is `ret_file`'s. */
static struct pinned_table *start(struct pin_file *ret_file, uint64_t now)
{
	struct pinned_table *t = calloc(1, sizeof(*t));
	struct error e;

	cr_assert_eq(pin_file_open(ret_file, path, t, now, &e), 0, "%s", e.text);
	return t;
}

static void put(struct pin_file *f, struct pinned_table *t, uint32_t agent,
	const struct address *address, uint64_t until)
{
	uint32_t at;

	cr_assert_eq(pinned_put(t, agent, "db.example", address, NOW, until, &at), 0);
	cr_assert_eq(pin_file_put(f, t, at), 0);
}

static bool is_first(const void *context, const char *name)
{
	(void)context;
	(void)name;
	return true;
}

static size_t found(const struct pinned_table *t, uint32_t agent, const struct address *a)
{
	struct pinned_names names;

	pinned_find(t, agent, a, NOW, &(struct pinned_first){is_first, NULL}, &names);
	cr_assert(names.count == 0 || strcmp(names.texts[0], "db.example") == 0);
	return names.count;
}

static void end(struct pin_file *f, struct pinned_table *t)
{
	pin_file_close(f);
	free(t);
}

static void overwrite(off_t at, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY);

	cr_assert_eq(pwrite(fd, bytes, length, at), (ssize_t)length);
	close(fd);
}

Test(pin_file, is_there_for_the_next_daemon, .init = setup, .fini = teardown)
{
	struct pin_file f;
	struct pinned_table *t = start(&f, NOW);
	struct stat s;

	cr_assert_eq(found(t, 7, &one), 0);
	put(&f, t, 7, &one, NOW + 10 * SECOND);
	put(&f, t, 7, &two, NOW + 20 * SECOND);
	put(&f, t, 7, &one, NOW + 30 * SECOND);
	end(&f, t);
	cr_assert_eq(stat(path, &s), 0);
	cr_assert_eq(s.st_mode & 0777, 0600);
	cr_assert_eq(s.st_size, 2 * SLOT);
	t = start(&f, NOW + 25 * SECOND);
	cr_assert_eq(found(t, 7, &one), 1);
	cr_assert_eq(found(t, 8, &one), 0);
	cr_assert_eq(found(t, 7, &two), 0, "its time is over");
	end(&f, t);
	/* What was over is not kept either. */
	cr_assert_eq(stat(path, &s), 0);
	cr_assert_eq(s.st_size, SLOT);
	t = start(&f, NOW);
	cr_assert_eq(found(t, 7, &one), 1);
	end(&f, t);
}

Test(pin_file, what_can_not_be_true_is_left_out, .init = setup, .fini = teardown)
{
	static const struct {
		const char *why;
		off_t at; /* in the slot: boot 40, address 16, until 8, agent 4, name 254 */
		const char bytes[8];
		size_t length;
	} wrong[] = {
		{"another boot", 0, "z", 1},
		{"no agent", 64, {0}, 4},
		{"longer than anything lasts", 56, {-1, -1, -1, -1, -1, -1, -1, 0}, 8},
		{"no name", 68, {0}, 1},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct pin_file f;
		struct pinned_table *t = start(&f, NOW);

		put(&f, t, 7, &one, NOW + 10 * SECOND);
		put(&f, t, 7, &two, NOW + 10 * SECOND);
		end(&f, t);
		overwrite(wrong[i].at, wrong[i].bytes, wrong[i].length);
		t = start(&f, NOW);
		cr_assert_eq(found(t, 7, &one), 0, "%s", wrong[i].why);
		cr_assert_eq(found(t, 7, &two), 1, "%s", wrong[i].why);
		end(&f, t);
		unlink(path);
	}
}

Test(pin_file, a_name_without_an_end, .init = setup, .fini = teardown)
{
	char name[SLOT - 68];
	struct pin_file f;
	struct pinned_table *t = start(&f, NOW);

	put(&f, t, 7, &one, NOW + 10 * SECOND);
	end(&f, t);
	memset(name, 'x', sizeof(name));
	overwrite(68, name, sizeof(name));
	t = start(&f, NOW);
	cr_assert_eq(t->count, 0);
	end(&f, t);
}

Test(pin_file, cut_short_or_no_file, .init = setup, .fini = teardown)
{
	struct pin_file f;
	struct pinned_table *t = start(&f, NOW);
	struct error e;

	put(&f, t, 7, &one, NOW + 10 * SECOND);
	put(&f, t, 7, &two, NOW + 10 * SECOND);
	end(&f, t);
	cr_assert_eq(truncate(path, 2 * SLOT - 1), 0);
	t = start(&f, NOW);
	cr_assert_eq(found(t, 7, &one), 1);
	cr_assert_eq(found(t, 7, &two), 0);
	end(&f, t);
	t = calloc(1, sizeof(*t));
	cr_assert_lt(pin_file_open(&f, "/nonexistent/pins", t, NOW, &e), 0);
	cr_assert_eq(f.fd, -1);
	cr_assert_eq(pin_file_put(&f, t, 0), 0);
	end(&f, t);
}

Test(pin_file, a_disk_that_is_full, .init = setup, .fini = teardown)
{
	struct rlimit none = {.rlim_cur = 1, .rlim_max = RLIM_INFINITY};
	struct pin_file f;
	struct pinned_table *t = start(&f, NOW);
	uint32_t at;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	cr_assert_eq(pinned_put(t, 7, "db.example", &one, NOW, NOW + SECOND, &at), 0);
	cr_assert_lt(pin_file_put(&f, t, at), 0);
	cr_assert_eq(found(t, 7, &one), 1);
	end(&f, t);
}
