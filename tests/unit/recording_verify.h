/* SPDX-License-Identifier: Apache-2.0
 *
 * A fabricated state folder whose files can be tampered with, and verify run on it.
 */
#ifndef WAYLEAVE_TESTS_RECORDING_VERIFY_H
#define WAYLEAVE_TESTS_RECORDING_VERIFY_H

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/file.h"
#include "recording/reader.h"
#include "recording/verify.h"
#include "tests/tools/recording_state.h"

#define VERIFY_UNUSED __attribute__((unused))

#define FINDINGS_MOST 64

struct result {
	struct verify_summary summary;
	struct verify_finding findings[FINDINGS_MOST];
	size_t count;
};

struct fixture {
	char dir[64];
	int audit, recordings;
	struct signing_key key;
	struct segment_list audit_files, recording_files;
};

static VERIFY_UNUSED void on_finding(void *argument, const struct verify_finding *finding)
{
	struct result *result = argument;

	if (result->count < FINDINGS_MOST)
		result->findings[result->count++] = *finding;
}

static VERIFY_UNUSED struct result run_with(const struct fixture *f, struct verify_options options)
{
	static struct result result;
	struct error e;

	result = (struct result){0};
	options.audit_folder = f->audit;
	options.recordings_folder = f->recordings;
	options.key = options.key ? options.key : &f->key;
	options.on_finding = on_finding;
	options.argument = &result;
	cr_assert_eq(verify_run(&options, &result.summary, &e), 0, "%s", e.text);
	return result;
}

static VERIFY_UNUSED struct result run(const struct fixture *f, bool recordings)
{
	return run_with(f, (struct verify_options){.recordings = recordings});
}

static VERIFY_UNUSED const struct verify_finding *first_broken(const struct result *result)
{
	for (size_t i = 0; i < result->count; i++) {
		if (result->findings[i].state == VERIFY_BROKEN)
			return &result->findings[i];
	}
	return NULL;
}

static VERIFY_UNUSED struct fixture fixture_of(const char *dir)
{
	struct fixture f = {0};
	char path[128];
	struct buffer pem;
	struct error e;

	snprintf(f.dir, sizeof(f.dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/audit", f.dir);
	f.audit = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/recordings", f.dir);
	f.recordings = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/keys/audit.pub", f.dir);
	buffer_init(&pem, 4096);
	cr_assert_eq(file_read(path, &pem, &e), 0);
	cr_assert_eq(signing_key_load_public(&f.key, buffer_slice(&pem), &e), 0);
	buffer_done(&pem);
	cr_assert_eq(segment_list_load(&f.audit_files, f.audit, &e), 0);
	cr_assert_eq(segment_list_load(&f.recording_files, f.recordings, &e), 0);
	return f;
}

static VERIFY_UNUSED struct fixture fixture_open(void)
{
	char dir[64] = "/tmp/test_verify.XXXXXX";

	cr_assert_not_null(mkdtemp(dir));
	state_fabricate(dir);
	return fixture_of(dir);
}

static VERIFY_UNUSED void fixture_close(struct fixture *f)
{
	char command[128];

	segment_list_done(&f->audit_files);
	segment_list_done(&f->recording_files);
	signing_key_done(&f->key);
	close(f->audit);
	close(f->recordings);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	cr_assert_eq(system(command), 0);
}

/* ---- files ---- */

static VERIFY_UNUSED struct slice read_file(int folder, const struct segment_name *name)
{
	char text[SEGMENT_NAME_SIZE];
	struct buffer b;
	int fd;

	segment_name_format(name, text);
	fd = openat(folder, text, O_RDONLY);
	cr_assert_geq(fd, 0);
	buffer_init(&b, 1 << 20);
	cr_assert_eq(file_read_descriptor(fd, &b), 0);
	close(fd);
	return buffer_slice(&b);
}

static VERIFY_UNUSED void write_file(
	int folder, const struct segment_name *name, struct slice content)
{
	char text[SEGMENT_NAME_SIZE];
	int fd;

	segment_name_format(name, text);
	fd = openat(folder, text, O_WRONLY | O_TRUNC | O_CREAT, 0600);
	cr_assert_geq(fd, 0);
	cr_assert_eq(file_write_all(fd, content), 0);
	close(fd);
}

static VERIFY_UNUSED void remove_file(int folder, const struct segment_name *name)
{
	char text[SEGMENT_NAME_SIZE];

	segment_name_format(name, text);
	cr_assert_eq(unlinkat(folder, text, 0), 0);
}

/* Where the records of a plain segment begin; the last is the end. */
static VERIFY_UNUSED size_t record_offsets(
	int folder, const struct segment_name *name, size_t ret[64])
{
	int fd = segment_open(folder, name);
	struct reader reader;
	struct entry entry;
	size_t count = 0;

	cr_assert_eq(reader_open(&reader, fd, name->compressed, false), READER_RECORD);
	ret[count++] = reader.offset;
	while (reader_next(&reader, &entry) == READER_RECORD)
		ret[count++] = reader.offset;
	reader_close(&reader);
	close(fd);
	return count;
}

static VERIFY_UNUSED bool is_killed(const struct fixture *f, const struct segment_name *name)
{
	/* The second worker has one audit segment, the first two, of which the last ends in order.
	 */
	return name->incarnation.text[0] == 'w' && name->kind == STREAM_AUDIT &&
		name->segment == 1 &&
		!segment_list_find(&f->audit_files, &name->incarnation, STREAM_AUDIT, 2);
}

/* Up to where a file is vouched for: what is behind may be called a crash. */
static VERIFY_UNUSED uint64_t signed_bytes(
	const struct fixture *f, const struct segment_name *name, size_t length)
{
	size_t offsets[64];
	size_t count = record_offsets(f->audit, name, offsets);

	return is_killed(f, name) ? offsets[count - 2] : length;
}

#endif
