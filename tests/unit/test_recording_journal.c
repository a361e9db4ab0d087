/* SPDX-License-Identifier: Apache-2.0
 *
 * Journals written and read back: random records, full disks, new segments.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <stdio.h>

#include "tests/unit/recording_journal.h"

/* ---- round trips ---- */

struct sample {
	uint64_t number;
	char text[40];
	size_t length;
};

static struct sample random_sample(unsigned *seed)
{
	struct sample s = {.number = (uint64_t)rand_r(seed) * (uint64_t)rand_r(seed)};

	/* Few different texts, so that the dictionary is used. */
	s.length = (size_t)rand_r(seed) % sizeof(s.text);
	memset(s.text, 'a' + rand_r(seed) % 3, s.length);
	return s;
}

static void round_trip(enum stream_kind kind, unsigned seed)
{
	enum { COUNT = 300 };
	static struct sample samples[COUNT];
	int fd = new_file();
	struct journal *j = journal_start(kind, fd);
	struct stream_head written, read;
	struct reader reader;
	struct entry entry;

	for (size_t i = 0; i < COUNT; i++) {
		samples[i] = random_sample(&seed);
		journal_begin(j, RECORD_NOTE, i);
		journal_number(j, FIELD_NUMBER, samples[i].number);
		journal_string(j, FIELD_DETAIL, slice_of(samples[i].text, samples[i].length));
		cr_assert_eq(journal_end(j), 0);
		if (rand_r(&seed) % 5 == 0)
			cr_assert_eq(flush(j), 0);
	}
	cr_assert_eq(flush(j), 0);
	journal_head(j, &written);
	cr_assert_eq(reader_open(&reader, fd, false, true), READER_RECORD);
	for (size_t i = 0; i < COUNT; i++) {
		cr_assert_eq(reader_next(&reader, &entry), READER_RECORD, "record %zu: %s", i,
			reader.problem.text);
		cr_assert_eq(entry.sequence, i + 1);
		cr_assert_eq(entry.time, i);
		cr_assert_eq(entry_number(&entry, FIELD_NUMBER), samples[i].number);
		cr_assert(slice_equal(entry_bytes(&entry, FIELD_DETAIL),
			slice_of(samples[i].text, samples[i].length)));
	}
	cr_assert_eq(reader_next(&reader, &entry), READER_END);
	reader_head(&reader, &read);
	cr_assert_eq(memcmp(&written, &read, sizeof(read)), 0);
	reader_close(&reader);
	journal_drop_all(j);
	close(fd);
}

Test(journal, round_trip)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		round_trip(STREAM_AUDIT, seed);
		round_trip(STREAM_RECORDING, seed);
	}
}

/* Strings that share slots of the dictionary: the reader follows, and the file is smaller for it.
 */
Test(journal, dictionary_slots_are_taken_over)
{
	enum { COUNT = 3 * DICTIONARY_SLOTS };
	int fd = new_file();
	struct journal *j = journal_start(STREAM_RECORDING, fd);
	struct reader reader;
	struct entry entry;
	unsigned used = 0;
	char text[32];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < COUNT; i++) {
			snprintf(text, sizeof(text), "statement %u", i);
			/* In place, then defined, then referred to. */
			for (unsigned n = 0; n < 3; n++)
				put(j, text);
		}
	}
	cr_assert_eq(flush(j), 0);
	/* Hashes differ in each run: of three strings per slot, one slot in twenty gets none. */
	for (unsigned i = 0; i < DICTIONARY_SLOTS; i++)
		used += j->dictionary.slots[i].length > 0;
	cr_assert_gt(used, DICTIONARY_SLOTS * 3 / 4);
	cr_assert_eq(reader_open(&reader, fd, false, false), READER_RECORD);
	for (unsigned i = 0; i < 2 * 3 * COUNT; i++) {
		snprintf(text, sizeof(text), "statement %u", i / 3 % COUNT);
		cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
		cr_assert(slice_equal_string(entry_bytes(&entry, FIELD_DETAIL), text));
	}
	reader_close(&reader);
	journal_drop_all(j);
	close(fd);
}

/* ---- failures ---- */

static void limit_file_size(uint64_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int new_disk_file(char path[32])
{
	int fd;

	strcpy(path, "/tmp/test_journal.XXXXXX");
	fd = mkostemp(path, O_APPEND | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

/* The disk is full in the middle of a record; later it has room again. */
Test(journal, goes_on_where_it_stopped)
{
	static const enum stream_kind kinds[] = {STREAM_AUDIT, STREAM_RECORDING};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (unsigned room = 0; room < 150; room += 7) {
			char path[32];
			int fd = new_disk_file(path);
			struct journal *j = journal_start(kinds[k], fd);
			struct stream_head written, read;
			struct reader reader;
			struct entry entry;

			put(j, "forwarded");
			cr_assert_eq(flush(j), 0);
			limit_file_size(j->bytes + room);
			put(j, "not forwarded, the first");
			put(j, "not forwarded, the second");
			put(j, "not forwarded, the third");
			cr_assert_eq(flush(j), -EFBIG);
			cr_assert_eq(flush(j), -EFBIG);
			put(j, "not forwarded, the fourth");
			cr_assert_eq(flush(j), -EFBIG);
			limit_file_size(RLIM_INFINITY);
			put(j, "forwarded again");
			cr_assert_eq(flush(j), 0);
			put(j, "and again");
			cr_assert_eq(flush(j), 0);
			journal_head(j, &written);
			cr_assert_eq(reader_open(&reader, fd, false, true), READER_RECORD);
			for (unsigned i = 0; i < 8; i++)
				cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
			cr_assert(
				slice_equal_string(entry_bytes(&entry, FIELD_DETAIL), "and again"));
			cr_assert_eq(reader_next(&reader, &entry), READER_END);
			reader_head(&reader, &read);
			cr_assert_eq(memcmp(&written, &read, sizeof(read)), 0);
			reader_close(&reader);
			/* The seventh is the GAP: of the second to the fifth, and nothing else. */
			cr_assert_eq(reader_open(&reader, fd, false, true), READER_RECORD);
			for (unsigned i = 0; i < 7; i++)
				reader_next(&reader, &entry);
			cr_assert_eq(entry.type, RECORD_GAP);
			cr_assert_eq(entry_number(&entry, FIELD_FIRST), 2);
			cr_assert_eq(entry_number(&entry, FIELD_LAST), 5);
			cr_assert_eq(entry_number(&entry, FIELD_ERRNO), EFBIG);
			reader_close(&reader);
			journal_drop_all(j);
			close(fd);
			unlink(path);
		}
	}
}

/* The file stays full: a new one takes over, and says what is lost. */
Test(journal, goes_on_in_another_file)
{
	for (unsigned room = 0; room < 200; room += 11) {
		char path[32];
		int fd = new_disk_file(path), next = new_file(), old;
		struct journal *j = journal_start(STREAM_AUDIT, fd);
		struct stream_head head, again;
		struct reader reader;
		struct entry entry;

		put(j, "forwarded");
		cr_assert_eq(flush(j), 0);
		limit_file_size(j->bytes + room);
		put(j, "not forwarded, the first");
		put(j, "not forwarded, the second");
		put(j, "not forwarded, the third");
		put(j, "not forwarded, the fourth");
		cr_assert_eq(flush(j), -EFBIG);
		journal_continue(j, next, 2, NULL, &old, &head);
		limit_file_size(RLIM_INFINITY);
		cr_assert_eq(old, fd);
		/* The first record of the turn was made before the new file came, and is in no
		 * file. */
		put(j, "forwarded again");
		cr_assert_eq(flush(j), 0);
		cr_assert_eq(reader_open(&reader, next, false, true), READER_RECORD);
		cr_assert_eq(memcmp(reader.header.previous.hash, head.hash, HASH_SIZE), 0);
		cr_assert_eq(reader.header.previous.sequence, head.sequence);
		cr_assert_eq(reader.header.previous.bytes, head.bytes);
		cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
		cr_assert_eq(entry.type, RECORD_GAP);
		cr_assert_eq(entry.sequence, reader.header.first_sequence);
		cr_assert_eq(entry_number(&entry, FIELD_FIRST), 2);
		cr_assert_eq(entry_number(&entry, FIELD_LAST), entry.sequence - 1);
		cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
		cr_assert(slice_equal_string(entry_bytes(&entry, FIELD_DETAIL), "forwarded again"));
		reader_close(&reader);
		/* The old file holds what the header says of it. */
		cr_assert_eq(reader_open(&reader, fd, false, true), READER_RECORD);
		while (reader.sequence < head.sequence)
			cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
		reader_head(&reader, &again);
		cr_assert_eq(memcmp(&head, &again, sizeof(head)), 0);
		reader_close(&reader);
		journal_drop_all(j);
		close(fd);
		close(next);
		unlink(path);
	}
}

/* Nobody was told yet that what waits is lost with the old file: the next flush says it. */
Test(journal, what_is_lost_with_a_file_is_refused)
{
	int next = new_file(), old;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct journal *j = journal_start(STREAM_AUDIT, fd);
	struct stream_head head;

	put(j, "never flushed");
	journal_continue(j, next, 2, NULL, &old, &head);
	cr_assert_lt(flush(j), 0);
	cr_assert_eq(flush(j), 0);
	put(j, "forwarded");
	cr_assert_eq(flush(j), 0);
	journal_drop_all(j);
	close(fd);
	close(next);
}

Test(journal, memory_is_bounded_while_nothing_can_be_written)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), next = new_file(), old;
	struct journal *j = journal_start(STREAM_RECORDING, fd);
	char *text = memory_new(100001);
	struct stream_head head;
	struct reader reader;
	struct entry entry;
	unsigned dropped = 0;

	memset(text, 'x', 100000);
	for (unsigned i = 0; i < 1000; i++) {
		journal_begin(j, RECORD_NOTE, 1);
		journal_string(j, FIELD_DETAIL, slice_of(text, 100000));
		dropped += journal_end(j) == -ENOBUFS;
		cr_assert_leq(buffer_length(&j->pending), LIMIT_RECORD_PENDING);
	}
	cr_assert_gt(dropped, 700);
	cr_assert_lt(flush(j), 0);
	journal_continue(j, next, 2, NULL, &old, &head);
	flush(j);
	cr_assert_eq(flush(j), 0);
	cr_assert_eq(reader_open(&reader, next, false, false), READER_RECORD);
	cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
	cr_assert_eq(entry.type, RECORD_GAP);
	cr_assert_eq(entry_number(&entry, FIELD_DROPPED), dropped);
	reader_close(&reader);
	journal_drop_all(j);
	free(text);
	close(fd);
	close(next);
}

/* A record that is too long is refused, and what it defined is not referred to. */
Test(journal, record_too_long)
{
	int fd = new_file();
	struct journal *j = journal_start(STREAM_AUDIT, fd);
	char *text = memory_new(LIMIT_RECORD_PAYLOAD + 1);
	struct reader reader;
	struct entry entry;

	journal_begin(j, RECORD_NOTE, 1);
	journal_string(j, FIELD_REASON, slice_from_string("defined in the long one"));
	journal_string(j, FIELD_REASON, slice_from_string("defined in the long one"));
	journal_bytes(j, FIELD_DIGEST, slice_of(text, LIMIT_RECORD_PAYLOAD));
	cr_assert_eq(journal_end(j), -E2BIG);
	put(j, "defined in the long one");
	cr_assert_eq(flush(j), -E2BIG);
	cr_assert_eq(flush(j), 0);
	cr_assert_eq(reader_open(&reader, fd, false, false), READER_RECORD);
	cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
	cr_assert(slice_equal_string(entry_bytes(&entry, FIELD_DETAIL), "defined in the long one"));
	cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
	cr_assert_eq(entry.type, RECORD_GAP);
	reader_close(&reader);
	journal_drop_all(j);
	free(text);
	close(fd);
}
