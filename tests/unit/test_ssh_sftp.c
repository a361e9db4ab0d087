/* SPDX-License-Identifier: Apache-2.0
 *
 * Files by sftp: what is asked for, what passes, and what an agent or a host may not send.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/sftp.h"
#include "protocol/ssh/sftp_packet.h"

static struct buffer to_agent, to_host, packet, said;
static char asked[8192], text[8192], results[8192];
static uint32_t questions, ended;
static struct sftp *s;

static uint32_t ask(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice words)
{
	size_t n = 0;

	(void)h;
	asked[0] = '\0';
	for (size_t i = 0; i < count; i++)
		n += (size_t)snprintf(asked + n, sizeof(asked) - n, "%s%d%s %.*s", i ? ", " : "",
			deeds[i].kind, deeds[i].known ? "" : "?", SLICE_PRINT(deeds[i].object));
	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(words));
	return ++questions;
}

static void done(struct deeds_host *h, uint32_t question, const struct bridge_result *result)
{
	size_t n = strlen(results);

	(void)h;
	cr_assert(question && question <= questions);
	ended++;
	if (result)
		snprintf(results + n, sizeof(results) - n, "%.*s|", SLICE_PRINT(result->signal));
	else
		snprintf(results + n, sizeof(results) - n, "nothing|");
}

static void say(struct deeds_host *h, struct slice words)
{
	(void)h;
	buffer_append_slice(&said, words);
}

static void repeat(struct deeds_host *h, uint32_t question, const struct bridge_deed *deeds,
	size_t count, struct slice words)
{
	cr_assert_eq(question, questions);
	ask(h, deeds, count, words);
	questions--;
}

static struct deeds_host host = {
	.ask = ask, .done = done, .say = say, .to = {&to_agent, &to_host}, .repeat = repeat};

/* One packet: numbers, and strings for "s". */
static struct slice make(uint8_t type, uint32_t id, const char *fields, ...)
{
	va_list values;

	buffer_clear(&packet);
	buffer_append_u32(&packet, 0);
	buffer_append_byte(&packet, type);
	buffer_append_u32(&packet, id);
	va_start(values, fields);
	for (; *fields; fields++) {
		if (*fields == 's')
			sftp_append_string(&packet, slice_from_string(va_arg(values, char *)));
		else if (*fields == 'b')
			sftp_append_string(&packet, va_arg(values, struct slice));
		else if (*fields == 'o')
			buffer_append_u64(&packet, va_arg(values, uint64_t));
		else
			buffer_append_u32(&packet, va_arg(values, uint32_t));
	}
	va_end(values);
	bytes_put_u32(packet.data, (uint32_t)(buffer_length(&packet) - 4));
	return buffer_slice(&packet);
}

static size_t piece; /* bytes at a time; 0: all */

static int give(enum side from, struct slice bytes)
{
	int r = 0;

	while (r == 0 && bytes.length) {
		struct slice part = slice_head(bytes, piece ? piece : bytes.length);

		r = sftp_take(s, from, part);
		bytes = slice_from(bytes, part.length);
	}
	return r;
}

/* The next packet for a side; its id and the rest. */
static struct slice next(struct buffer *b, uint8_t type, uint32_t *ret_id)
{
	struct slice all = buffer_slice(b);
	size_t length;

	cr_assert_geq(all.length, SFTP_HEAD, "nothing came");
	length = 4 + (size_t)bytes_get_u32(all.data);
	cr_assert_leq(length, all.length);
	cr_assert_eq(all.data[4], type, "%d", all.data[4]);
	if (ret_id)
		*ret_id = bytes_get_u32(all.data + 5);
	buffer_consume(b, length);
	return slice_of(all.data + SFTP_HEAD, length - SFTP_HEAD);
}

static struct slice string_at(struct slice fields, size_t offset)
{
	struct sftp_reader r = {.rest = slice_from(fields, offset)};
	struct slice found = sftp_read_string(&r);

	cr_assert(!r.bad);
	return found;
}

#define assert_is(slice, string)                                                                   \
	cr_assert(slice_equal_string(slice, string), "%.*s", SLICE_PRINT(slice))

/* The host says what the path is that it is asked for; NULL: a status. */
static void find(const char *wanted, const char *found, uint32_t status)
{
	uint32_t id;

	assert_is(string_at(next(&to_host, SFTP_REALPATH, &id), 0), wanted);
	if (found)
		cr_assert_eq(give(SIDE_SERVER, make(SFTP_NAME, id, "ussu", 1u, found, "", 0u)), 0);
	else
		cr_assert_eq(give(SIDE_SERVER, make(SFTP_STATUS, id, "uss", status, "", "")), 0);
}

static void setup(void)
{
	buffer_init(&to_agent, 1u << 20);
	buffer_init(&to_host, 1u << 20);
	buffer_init(&packet, 1u << 20);
	buffer_init(&said, 1u << 20);
	s = sftp_new(&host);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_INIT, 4, "")), 0);
	next(&to_host, SFTP_INIT, NULL);
	cr_assert_eq(give(SIDE_SERVER,
			     make(SFTP_VERSION, 3, "ssss", "posix-rename@openssh.com", "1",
				     "run-anything@example.com", "1")),
		0);
	assert_is(string_at(next(&to_agent, SFTP_VERSION, NULL), 0), "posix-rename@openssh.com");
	find(".", "/home/a", 0);
}

static void teardown(void)
{
	sftp_free(s);
	cr_assert_eq(ended, questions, "each question has its end");
	buffer_done(&to_agent);
	buffer_done(&to_host);
	buffer_done(&packet);
	buffer_done(&said);
}

TestSuite(ssh_sftp, .init = setup, .fini = teardown);

/* Opens "f", which is /home/a/f, allowed; the agent's handle. */
static struct slice open_file(uint32_t flags)
{
	static uint8_t handle[8];
	uint32_t id;
	struct slice found;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_OPEN, 7, "suu", "f", flags, 0u)), 0);
	find("f", "/home/a/f", 0);
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	assert_is(string_at(next(&to_host, SFTP_OPEN, &id), 0), "/home/a/f");
	cr_assert_eq(give(SIDE_SERVER, make(SFTP_HANDLE, id, "s", "theirs")), 0);
	found = string_at(next(&to_agent, SFTP_HANDLE, &id), 0);
	cr_assert_eq(id, 7);
	cr_assert_eq(found.length, sizeof(handle));
	memcpy(handle, found.data, sizeof(handle));
	return slice_of(handle, sizeof(handle));
}

static uint32_t status_of(uint32_t wanted)
{
	uint32_t id;
	struct slice fields = next(&to_agent, SFTP_STATUS, &id);

	cr_assert_eq(id, wanted);
	return bytes_get_u32(fields.data);
}

static void write_and_read(void)
{
	struct slice handle = open_file(SFTP_OPEN_READ | SFTP_OPEN_WRITE | SFTP_OPEN_CREATE),
		     fields;
	uint32_t id;

	assert_is(slice_from_string(asked), "0 /home/a/f, 2 /home/a/f");
	assert_is(slice_from_string(text), "open read write create /home/a/f");
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_WRITE, 8, "bos", handle, (uint64_t)0, "abc")), 0);
	fields = next(&to_host, SFTP_WRITE, &id);
	assert_is(string_at(fields, 0), "theirs");
	assert_is(string_at(fields, 4 + 6 + 8), "abc");
	cr_assert_eq(give(SIDE_SERVER, make(SFTP_STATUS, id, "uss", 0u, "", "")), 0);
	cr_assert_eq(status_of(8), SFTP_OK);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_READ, 9, "bou", handle, (uint64_t)0, 100u)), 0);
	next(&to_host, SFTP_READ, &id);
	cr_assert_eq(give(SIDE_SERVER, make(SFTP_DATA, id, "s", "abc")), 0);
	assert_is(string_at(next(&to_agent, SFTP_DATA, &id), 0), "abc");
	cr_assert_eq(id, 9);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_CLOSE, 10, "b", handle)), 0);
	assert_is(string_at(next(&to_host, SFTP_CLOSE, &id), 0), "theirs");
	cr_assert_eq(give(SIDE_SERVER, make(SFTP_STATUS, id, "uss", 0u, "", "")), 0);
	cr_assert_eq(status_of(10), SFTP_OK);
	cr_assert_str_eq(results,
		"read 3 bytes, sha256 "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad; "
		"wrote 3 bytes, sha256 "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad|");
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(buffer_length(&to_agent), 0);
}

Test(ssh_sftp, a_file_is_written_and_read)
{
	write_and_read();
}

Test(ssh_sftp, byte_by_byte_it_is_the_same)
{
	piece = 1;
	write_and_read();
}

Test(ssh_sftp, what_was_not_opened_for_it_does_not_happen)
{
	struct slice handle = open_file(SFTP_OPEN_READ);

	assert_is(slice_from_string(asked), "0 /home/a/f");
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_WRITE, 8, "bos", handle, (uint64_t)0, "abc")), 0);
	cr_assert_eq(status_of(8), SFTP_PERMISSION_DENIED);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_READDIR, 9, "b", handle)), 0);
	cr_assert_eq(status_of(9), SFTP_PERMISSION_DENIED);
	cr_assert_eq(
		give(SIDE_AGENT, make(SFTP_WRITE, 10, "sos", "theirs", (uint64_t)0, "abc")), 0);
	cr_assert_eq(status_of(10), SFTP_PERMISSION_DENIED);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_FSETSTAT, 11, "buu", handle, 4u, 0777u)), 0);
	assert_is(slice_from_string(asked), "6 /home/a/f");
	cr_assert_eq(sftp_answer(s, false, slice_from_string("denied: no")), 0);
	cr_assert_eq(status_of(11), SFTP_PERMISSION_DENIED);
	cr_assert_eq(buffer_length(&to_host), 0);
}

Test(ssh_sftp, appending_alone_reads_and_writes)
{
	open_file(SFTP_OPEN_APPEND);
	assert_is(slice_from_string(asked), "0 /home/a/f, 2 /home/a/f");
}

Test(ssh_sftp, what_stands_behind_a_question_waits)
{
	struct slice first;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_REMOVE, 1, "s", "/x/link")), 0);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_MKDIR, 2, "su", "/x/d", 0u)), 0);
	find("/x/", "/y", 0);
	assert_is(slice_from_string(asked), "3 /y/link, 3 /x/link");
	cr_assert(!sftp_wants(s, SIDE_AGENT) && !sftp_is_dry(s, SIDE_AGENT));
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(sftp_answer(s, false, slice_from_string("denied: no")), 0);
	assert_is(buffer_slice(&said), "wayleave: denied: no");
	cr_assert_eq(status_of(1), SFTP_PERMISSION_DENIED);
	find("/x/", "/y", 0);
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	first = next(&to_host, SFTP_MKDIR, NULL);
	assert_is(string_at(first, 0), "/y/d");
}

Test(ssh_sftp, dots_are_only_the_hosts_to_resolve)
{
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_STAT, 1, "s", "/a/../b")), 0);
	find("/a/../b", "/c/b", 0);
	assert_is(slice_from_string(asked), "1 /c/b");
	sftp_answer(s, false, slice_from_string("no"));
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_STAT, 1, "s", "/a/../b")), 0);
	find("/a/../b", NULL, SFTP_NO_SUCH_FILE);
	assert_is(slice_from_string(asked), "1? /a/../b");
	sftp_answer(s, false, slice_from_string("no"));
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_STAT, 1, "s", "/a/b")), 0);
	find("/a/b", "/a/../b", 0);
	assert_is(slice_from_string(asked), "1? /a/b");
	sftp_answer(s, false, slice_from_string("no"));
}

Test(ssh_sftp, what_the_host_does_not_find_is_not_looked_for_again)
{
	buffer_clear(&to_agent);
	cr_assert_eq(
		give(SIDE_AGENT, make(SFTP_OPEN, 1, "suu", "/n/x", (uint32_t)SFTP_OPEN_WRITE, 0u)),
		0);
	find("/n/x", NULL, SFTP_NO_SUCH_FILE);
	assert_is(slice_from_string(asked), "2 /n/x");
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	cr_assert_eq(status_of(1), SFTP_NO_SUCH_FILE);
	cr_assert_eq(buffer_length(&to_host), 0);
}

Test(ssh_sftp, links_are_what_they_lead_to)
{
	struct slice sent;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_SYMLINK, 1, "ss", "../t", "d/l")), 0);
	find("d/", "/home/a/d", 0);
	find("/home/a/d/../t", "/home/a/t", 0);
	assert_is(slice_from_string(asked), "2 /home/a/d/l, 0 /home/a/t, 2 /home/a/t");
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	sent = next(&to_host, SFTP_SYMLINK, NULL);
	assert_is(string_at(sent, 0), "../t");
	assert_is(string_at(sent, 4 + 4), "/home/a/d/l");
}

/* A link on the way to the target may lead elsewhere when the new one is followed. */
Test(ssh_sftp, what_a_link_holds_was_judged)
{
	struct slice sent;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_SYMLINK, 1, "ss", "way/t", "d/l")), 0);
	find("d/", "/home/a/d", 0);
	find("/home/a/d/way/t", "/srv/t", 0);
	assert_is(slice_from_string(asked),
		"2 /home/a/d/l, 0 /srv/t, 2 /srv/t, 0 /home/a/d/way/t, 2 /home/a/d/way/t");
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	sent = next(&to_host, SFTP_SYMLINK, NULL);
	assert_is(string_at(sent, 0), "/srv/t");
}

Test(ssh_sftp, a_name_is_found_again_when_people_have_decided)
{
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_REMOVE, 1, "s", "/x/f")), 0);
	find("/x/", "/x", 0);
	assert_is(slice_from_string(asked), "3 /x/f");
	cr_assert_eq(sftp_again(s), 0);
	cr_assert_eq(sftp_again(s), -EBADMSG, "it is being found");
	asked[0] = '\0';
	find("/x/", "/y", 0);
	assert_is(slice_from_string(asked), "3 /y/f, 3 /x/f");
	cr_assert_eq(sftp_answer(s, true, SLICE_EMPTY), 0);
	assert_is(string_at(next(&to_host, SFTP_REMOVE, NULL), 0), "/y/f");
	cr_assert_eq(questions, 1);
}

Test(ssh_sftp, a_size_is_written_whatever_the_file_was_opened_for)
{
	struct slice handle = open_file(SFTP_OPEN_READ);

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_FSETSTAT, 2, "buo", handle, 1u, (uint64_t)0)), 0);
	assert_is(slice_from_string(asked), "2 /home/a/f");
	assert_is(slice_from_string(text), "setstat size 0 /home/a/f");
	cr_assert_eq(sftp_again(s), 0);
	assert_is(slice_from_string(text), "setstat size 0 /home/a/f");
	cr_assert_eq(sftp_answer(s, false, slice_from_string("no")), 0);
	cr_assert_eq(status_of(2), SFTP_PERMISSION_DENIED);
}

Test(ssh_sftp, who_appends_is_asked_for_a_size)
{
	struct slice handle = open_file(SFTP_OPEN_WRITE | SFTP_OPEN_APPEND);

	assert_is(slice_from_string(text), "open write append /home/a/f");
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_FSETSTAT, 2, "buo", handle, 1u, (uint64_t)0)), 0);
	assert_is(slice_from_string(text), "setstat size 0 /home/a/f");
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(sftp_answer(s, false, slice_from_string("no")), 0);
	cr_assert_eq(status_of(2), SFTP_PERMISSION_DENIED);
}

Test(ssh_sftp, a_rename_that_replaces_says_so)
{
	cr_assert_eq(
		give(SIDE_AGENT,
			make(SFTP_EXTENDED, 1, "sss", "posix-rename@openssh.com", "/x/a", "/x/b")),
		0);
	find("/x/", "/x", 0);
	find("/x/", "/x", 0);
	assert_is(slice_from_string(text), "rename replace /x/a /x/b");
	sftp_answer(s, false, slice_from_string("no"));
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_RENAME, 2, "ss", "/x/a", "/x/b")), 0);
	find("/x/", "/x", 0);
	find("/x/", "/x", 0);
	assert_is(slice_from_string(text), "rename /x/a /x/b");
	sftp_answer(s, false, slice_from_string("no"));
}

Test(ssh_sftp, what_is_not_understood_is_refused)
{
	cr_assert_eq(
		give(SIDE_AGENT, make(SFTP_EXTENDED, 1, "ss", "run-anything@example.com", "x")), 0);
	cr_assert_eq(status_of(1), SFTP_OP_UNSUPPORTED);
	cr_assert_eq(give(SIDE_AGENT, make(21, 2, "s", "x")), 0);
	cr_assert_eq(status_of(2), SFTP_OP_UNSUPPORTED);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_OPEN, 3, "suu", "x", 1u << 6, 0u)), 0);
	cr_assert_eq(status_of(3), SFTP_BAD_MESSAGE);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_STAT, 4, "b", slice_of("a\0b", 3))), 0);
	cr_assert_eq(status_of(4), SFTP_BAD_MESSAGE);
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_STAT, 5, "su", "x", 1u)), 0);
	cr_assert_eq(status_of(5), SFTP_BAD_MESSAGE);
	cr_assert_eq(buffer_length(&to_host), 0);
	cr_assert_eq(questions, 0);
}

Test(ssh_sftp, a_host_answers_only_what_was_asked)
{
	struct slice handle = open_file(SFTP_OPEN_READ);
	uint32_t id;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_READ, 9, "bou", handle, (uint64_t)0, 2u)), 0);
	next(&to_host, SFTP_READ, &id);
	cr_assert_eq(sftp_take(s, SIDE_SERVER, make(SFTP_DATA, id + 1, "s", "ab")), -EBADMSG);
}

Test(ssh_sftp, a_host_gives_no_more_than_was_asked_for)
{
	struct slice handle = open_file(SFTP_OPEN_READ);
	uint32_t id;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_READ, 9, "bou", handle, (uint64_t)0, 2u)), 0);
	next(&to_host, SFTP_READ, &id);
	cr_assert_eq(sftp_take(s, SIDE_SERVER, make(SFTP_DATA, id, "s", "abc")), -EBADMSG);
}

Test(ssh_sftp, lengths_are_bounded)
{
	static const uint8_t huge[] = {0, 4, 0, 1, SFTP_STAT, 0, 0, 0, 1};
	static const uint8_t empty[] = {0, 0, 0, 1, SFTP_STAT, 0, 0, 0, 1};

	cr_assert_eq(sftp_take(s, SIDE_AGENT, slice_of(huge, sizeof(huge))), -EBADMSG);
	cr_assert_eq(sftp_take(s, SIDE_SERVER, slice_of(empty, sizeof(empty))), -EBADMSG);
}

Test(ssh_sftp, our_answers_stand_between_the_hosts)
{
	struct slice handle = open_file(SFTP_OPEN_READ), data;
	uint32_t id;

	cr_assert_eq(give(SIDE_AGENT, make(SFTP_READ, 9, "bou", handle, (uint64_t)0, 100u)), 0);
	next(&to_host, SFTP_READ, &id);
	data = make(SFTP_DATA, id, "s", "abcdef");
	cr_assert_eq(sftp_take(s, SIDE_SERVER, slice_head(data, data.length - 3)), 0);
	cr_assert_eq(give(SIDE_AGENT, make(21, 2, "")), 0);
	cr_assert_eq(give(SIDE_SERVER, slice_of("def", 3)), 0);
	assert_is(string_at(next(&to_agent, SFTP_DATA, NULL), 0), "abcdef");
	cr_assert_eq(status_of(2), SFTP_OP_UNSUPPORTED);
}

Test(ssh_sftp, where_one_is_needs_no_question)
{
	cr_assert_eq(give(SIDE_AGENT, make(SFTP_REALPATH, 1, "s", ".")), 0);
	find(".", "/home/a", 0);
	cr_assert_eq(questions, 0);
	assert_is(string_at(next(&to_agent, SFTP_NAME, NULL), 4), "/home/a");
}

static const char *absolute(const char *folder, const char *path)
{
	static struct buffer b;

	buffer_done(&b);
	buffer_init(&b, 100);
	if (path_append_absolute(slice_from_string(folder), slice_from_string(path), &b) < 0)
		return "unknown";
	buffer_append_byte(&b, 0);
	return (const char *)buffer_slice(&b).data;
}

static const char *behind(const char *folder, const char *path)
{
	static struct buffer b;

	buffer_done(&b);
	buffer_init(&b, 100);
	if (path_append_behind(slice_from_string(folder), slice_from_string(path), &b) < 0)
		return "unknown";
	buffer_append_byte(&b, 0);
	return (const char *)buffer_slice(&b).data;
}

Test(ssh_path, behind_a_folder_without_links)
{
	cr_assert_str_eq(behind("/a/b/", "c"), "/a/b/c");
	cr_assert_str_eq(behind("/a/b", "../c"), "/a/c");
	cr_assert_str_eq(behind("/a/b", ".././..//../c/d"), "/c/d");
	cr_assert_str_eq(behind("/a/b", ".."), "/a");
	cr_assert_str_eq(behind("/", "../.."), "/");
	cr_assert_str_eq(behind("/a", "/c"), "/c");
	cr_assert_str_eq(behind("/a", "c/../d"), "unknown");
	cr_assert_str_eq(behind("", "../c"), "unknown");
}

Test(ssh_path, names)
{
	cr_assert_str_eq(absolute("/h", "a"), "/h/a");
	cr_assert_str_eq(absolute("/h", "//a/./b//"), "/a/b");
	cr_assert_str_eq(absolute("/h", ""), "/h");
	cr_assert_str_eq(absolute("", "/"), "/");
	cr_assert_str_eq(absolute("", "a"), "unknown");
	cr_assert_str_eq(absolute("/h", "a/.."), "unknown");
	cr_assert_str_eq(absolute("/h", "..."), "/h/...");
	cr_assert(
		path_is_plain(slice_from_string("/a/b")) && path_is_plain(slice_from_string("/")));
	cr_assert(
		!path_is_plain(slice_from_string("/a/")) && !path_is_plain(slice_from_string("a")));
	cr_assert(!path_is_plain(SLICE_EMPTY) && !path_is_plain(slice_from_string("/a/../b")));
}
