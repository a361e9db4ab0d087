/* SPDX-License-Identifier: Apache-2.0
 *
 * What passes between the two programs of an scp, seen from the side.
 */
#include <criterion/criterion.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "protocol/ssh/scp_stream.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct buffer notes;
static struct scp_stream *s;

static void note(void *context, struct slice text)
{
	cr_assert_eq(context, &notes);
	buffer_append_format(&notes, "%.*s\n", SLICE_PRINT(text));
}

static void setup(void)
{
	buffer_init(&notes, 1u << 20);
	s = scp_stream_new("wrote", note, &notes);
}

static void teardown(void)
{
	scp_stream_end(s);
	buffer_done(&notes);
}

TestSuite(ssh_scp_stream, .init = setup, .fini = teardown);

static void source(const char *bytes, size_t length)
{
	scp_stream_from_source(s, slice_of(bytes, length));
}

static void sink(const char *bytes, size_t length)
{
	scp_stream_from_sink(s, slice_of(bytes, length));
}

#define SOURCE(text) source(text, sizeof(text) - 1)
#define SINK(text) sink(text, sizeof(text) - 1)

static void expect(const char *text)
{
	cr_expect(slice_equal_string(buffer_slice(&notes), text), "%.*s",
		SLICE_PRINT(buffer_slice(&notes)));
	buffer_clear(&notes);
}

static void end(void)
{
	scp_stream_end(s);
	s = NULL;
}

Test(ssh_scp_stream, a_file)
{
	SINK("\0");
	SOURCE("C0644 3 a b\n");
	SINK("\0");
	SOURCE("abc\0");
	expect("");
	SINK("\0");
	expect("wrote 3 bytes, sha256 " ABC ": a b\n");
	end();
	expect("");
}

Test(ssh_scp_stream, byte_by_byte)
{
	static const char all[] = "T1 0 1 0\nC0644 3 x\nabc";

	SINK("\0");
	for (size_t i = 0; i < sizeof(all); i++) {
		source(all + i, 1);
		if (all[i] == '\n' || all[i] == '\0')
			SINK("\0");
	}
	expect("wrote 3 bytes, sha256 " ABC ": x\n");
}

Test(ssh_scp_stream, folders_and_files_without_bytes)
{
	SINK("\0");
	SOURCE("D0755 0 d\n");
	SINK("\0");
	SOURCE("D0755 0 e\n");
	SINK("\0");
	SOURCE("C0644 0 f\n");
	SINK("\0");
	SOURCE("\0");
	SINK("\0");
	SOURCE("E\n");
	SINK("\0");
	SOURCE("C0644 0 g\n");
	SINK("\0");
	SOURCE("\0");
	SINK("\0");
	SOURCE("E\n");
	SINK("\0");
	SOURCE("C0644 0 h\n");
	SINK("\0");
	SOURCE("\0");
	SINK("\0");
	expect("wrote 0 bytes, sha256 " EMPTY ": d/e/f\nwrote 0 bytes, sha256 " EMPTY
	       ": d/g\nwrote 0 bytes, sha256 " EMPTY ": h\n");
}

Test(ssh_scp_stream, what_the_sink_does_not_take)
{
	SINK("\0");
	SOURCE("C0644 3 a\n");
	SINK("\1scp: a: no\n");
	SOURCE("D0755 0 d\n");
	SINK("\1no \0 either\n");
	SOURCE("C0644 3 b\n");
	SINK("\0");
	SOURCE("abc\0");
	SINK("\1full\n");
	expect("wrote 3 of 3 bytes, not all taken: b\n");
	SOURCE("\1scp: c: no\n");
	SOURCE("C0644 3 e\n");
	SINK("\0");
	SOURCE("abc\1cut\n");
	SINK("\0");
	expect("wrote 3 of 3 bytes, not all read: e\n");
}

Test(ssh_scp_stream, what_is_not_complete)
{
	SINK("\0");
	SOURCE("C0644 3 a\n");
	SINK("\0");
	SOURCE("ab");
	end();
	expect("wrote 2 of 3 bytes, not ended: a\n");
}

/* A source that does not wait could have an answer count for another line than the sink's. */
Test(ssh_scp_stream, a_source_that_does_not_wait)
{
	SOURCE("C0644 3 a\nabc");
	SINK("\0");
	expect("what scp carries is not understood\n");
	SOURCE("C0644 3 a\n");
	end();
	expect("");
}

Test(ssh_scp_stream, what_is_no_line)
{
	static const char *const lines[] = {"X\n", "\n", "C\n", "C0644\n", "C0644 3\n",
		"C0644 3 \n", "C0644 -3 a\n", "C0644 99999999999999999999 a\n", "C 3 a\n", "E\n",
		"D0755\n", "hello\n"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		source(lines[i], strlen(lines[i]));
		expect("what scp carries is not understood\n");
		end();
		s = scp_stream_new("wrote", note, &notes);
	}
}

Test(ssh_scp_stream, nothing_grows_without_end)
{
	char name[5000];

	memset(name, 'x', sizeof(name));
	SOURCE("C0644 3 ");
	source(name, sizeof(name));
	expect("what scp carries is not understood\n");
	end();
	s = scp_stream_new("wrote", note, &notes);
	for (size_t i = 0; i < 257; i++) {
		SOURCE("D0755 0 d\n");
		SINK("\0");
	}
	expect("what scp carries is not understood\n");
	end();
	s = scp_stream_new("wrote", note, &notes);
	for (size_t i = 0; i < LIMIT_SCP_FILES + 2; i++) {
		SOURCE("C0644 0 f\n");
		SINK("\0");
		SOURCE("\0");
		SINK("\0");
	}
	buffer_clear(&notes);
	end();
	expect("wrote 2 more files\n");
}
