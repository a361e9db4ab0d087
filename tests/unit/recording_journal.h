/* SPDX-License-Identifier: Apache-2.0
 *
 * Journals on files in memory, for the tests of writing and of reading.
 */
#ifndef WAYLEAVE_TESTS_RECORDING_JOURNAL_H
#define WAYLEAVE_TESTS_RECORDING_JOURNAL_H

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "recording/journal.h"
#include "recording/reader.h"

#define JOURNAL_UNUSED __attribute__((unused))

static const struct identifier incarnation = {"w-0123456789ABCDEF"};

static JOURNAL_UNUSED int new_file(void)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static JOURNAL_UNUSED struct journal *journal_start(enum stream_kind kind, int fd)
{
	struct journal *j = memory_new(sizeof(*j));
	struct stream_head head;
	int old;

	journal_init(j, kind, &incarnation, clock_wall);
	journal_continue(j, fd, 1, NULL, &old, &head);
	cr_assert_eq(old, -1);
	return j;
}

static JOURNAL_UNUSED void journal_drop_all(struct journal *j)
{
	journal_done(j);
	free(j);
}

static JOURNAL_UNUSED int flush(struct journal *j)
{
	int r = journal_write(j);

	if (r == 0 && j->gap) {
		journal_make_gap(j);
		r = journal_write(j);
	}
	if (r < 0)
		journal_refuse(j, r);
	else
		journal_acknowledge(j);
	return r;
}

static JOURNAL_UNUSED void put(struct journal *j, const char *text)
{
	journal_begin(j, RECORD_NOTE, 42);
	journal_string(j, FIELD_DETAIL, slice_from_string(text));
	journal_end(j);
}

#endif
