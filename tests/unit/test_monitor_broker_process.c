/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "monitor/broker_process.h"

static struct broker_process broker;
static struct loop loop;
static unsigned started;

static void on_start(void *context)
{
	(void)context;
	started++;
}

static void set(void)
{
	struct broker_setup *setup = broker_setup_new(BROKER_ROLE_SLACK);
	struct error e = {""};

	setup->uid = getuid();
	setup->gid = getgid();
	broker_process_init(&broker, &loop);
	broker.on_start = on_start;
	cr_assert_eq(broker_process_set(&broker, setup, &e), 0, "%s", e.text);
}

static void done(void)
{
	struct error e;

	cr_assert_eq(broker_process_set(&broker, NULL, &e), 0);
}

/* Where the program is looked for: beside the one that runs. */
static char *program_path(void)
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	cr_assert_gt(length, 0);
	own[length] = '\0';
	return memory_format("%s/wayleave-broker", dirname(own));
}

static void write_program(const char *path)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	fputs("#!/bin/sh\nexec sleep 100\n", f);
	fclose(f);
	cr_assert_eq(chmod(path, 0755), 0);
}

/* One test, as both are about one file. */
Test(broker_process, what_can_not_be_started_is_tried_later_and_later)
{
	char *path = program_path();

	cr_assert_eq(loop_init(&loop), 0);
	unlink(path);
	set();
	cr_assert_eq(broker.pid, 0);
	for (unsigned i = 1; i < 10; i++) {
		cr_assert_eq(broker.failures, i);
		broker_process_tick(&broker, broker.start_again - 1);
		cr_assert_eq(broker.failures, i, "not before its time");
		broker_process_tick(&broker, broker.start_again);
	}
	cr_assert_gt(broker.start_again, clock_monotonic() + 20 * NANOSECONDS_PER_SECOND);
	cr_assert_eq(started, 0);
	done();

	/* One that can't be heard is no broker. */
	write_program(path);
	loop.fd = -1;
	set();
	cr_assert_eq(broker.pid, 0);
	cr_assert_eq(broker.channel, -1);
	cr_assert_eq(broker.failures, 1);
	cr_assert_eq(started, 0);
	done();
	unlink(path);
	free(path);
}
