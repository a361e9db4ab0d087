/* SPDX-License-Identifier: Apache-2.0
 *
 * Shells that read their commands from their input, and what is known of those.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "protocol/ssh/facts.h"

static enum script_reader reader(const char *text)
{
	struct shell_line *line = memory_new(sizeof(*line));
	enum script_reader r;

	buffer_init(&line->text, 2 * strlen(text) + 2);
	cr_assert_eq(shell_split(slice_from_string(text), line), 0);
	r = script_reader(line);
	buffer_done(&line->text);
	free(line);
	return r;
}

Test(ssh_script, shells_that_read_their_input)
{
	static const char *const read[] = {"sh", "bash", "/bin/bash", "sh -", "sh -s",
		"bash -s -- a b", "bash -eu", "bash -xs a", "bash -o pipefail", "bash -eo pipefail",
		"dash -e", "zsh", "bash --norc", "bash --rcfile /x", "sh /dev/stdin", "sh -- -",
		"sh --", "sudo sh", "sudo -n -u root bash -e", "env A=b sh", "cd /x && sh",
		"cat | sh", "echo; bash", "nohup sh -s", "'sh'", "s\\h", "bash -i"};
	static const char *const other[] = {"fish", "/usr/bin/tcsh -f", "sudo csh", "sh; fish"};
	static const char *const not [] = {"", "ls", "sh -c ls", "bash -ec ls", "bash x.sh",
		"bash -e x.sh a", "bash -o errexit x.sh", "sh -- x.sh", "cat sh", "fish -c ls",
		"sudo ls sh.txt", "shfmt", "/bin/sh/x"};

	for (size_t i = 0; i < ARRAY_SIZE(read); i++)
		cr_expect_eq(reader(read[i]), SCRIPT_READ, "%s", read[i]);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		cr_expect_eq(reader(other[i]), SCRIPT_READ_OTHERWISE, "%s", other[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		cr_expect_eq(reader(not [i]), SCRIPT_NOT_READ, "%s", not [i]);
}

/* The objects behind the command's own, with "?" where they are not known, "|" between. */
static const char *objects(enum bridge_kind kind, const char *command, const char *script,
	bool whole, char *room, size_t size)
{
	const struct bridge_request request = {.kind = kind, .text = slice_from_string(command)};
	struct ssh_facts one, f;
	size_t n = 0;

	cr_assert_eq(ssh_facts_init(&one, &request), 0);
	cr_assert_eq(ssh_facts_init_script(&f, &one, slice_from_string(script), whole), 0);
	ssh_facts_done(&one);
	cr_expect_eq(f.pairs[0].operation,
		kind == BRIDGE_SHELL ? OPERATION_SSH_SHELL : OPERATION_SSH_EXEC);
	cr_expect(slice_equal_string(f.pairs[0].object, command));
	room[0] = '\0';
	for (size_t i = 1; i < f.action.pair_count; i++) {
		cr_expect_eq(f.pairs[i].operation, OPERATION_SSH_EXEC);
		cr_expect_neq(f.pairs[i].state, OBJECT_NONE);
		n += (size_t)snprintf(room + n, size - n, "%s%s%.*s", i > 1 ? "|" : "",
			f.pairs[i].state == OBJECT_KNOWN ? "" : "?",
			SLICE_PRINT(f.pairs[i].object));
	}
	ssh_facts_done(&f);
	return room;
}

Test(ssh_script, each_command_is_an_object)
{
	static const struct {
		const char *script, *expected;
	} rows[] = {
		{"", ""},
		{"# nothing\n\n   # more\n", ""},
		{"ls -l\n", "ls -l"},
		{"#!/bin/sh\nset -e\nmkdir /x # a comment\nls '/x # y'\n",
			"set -e|mkdir /x|ls /x # y"},
		{"cd /x && rm \\\n  -rf y; echo done", "cd /x|rm -rf y|echo done"},
		{"ls $x\n", "?ls $x"},
		{"if true; then\nls\nfi\n", "?if true|?then|?ls|?fi"},
		{"cat <<E\nit's\nE\nls\n", "?cat <<E|?it's\nE\nls\n"},
		/* What may read on in the script moves what is behind it. */
		{"head -c 6\necho 'rm -rf /x'\n", "head -c 6|?echo rm -rf /x"},
		{"systemctl restart x\n", "systemctl restart x"},
		{"ls | cat; ls", "ls|cat|?ls"},
		{"rm -i x\nls\n", "rm -i x|?ls"},
		{"cp -ri a b\nls\n", "cp -ri a b|?ls"},
		{"ls $x\nls\n", "?ls $x|?ls"},
	};
	char room[512];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got =
			objects(BRIDGE_EXEC, "sh", rows[i].script, true, room, sizeof(room));

		cr_expect_str_eq(got, rows[i].expected, "%s: wanted %s, got %s", rows[i].script,
			rows[i].expected, got);
	}
	cr_expect_str_eq(
		objects(BRIDGE_SHELL, "", "ls\nrm x\n", true, room, sizeof(room)), "ls|rm x");
}

Test(ssh_script, what_is_not_whole_or_not_a_posix_shells_is_not_known)
{
	char room[512], script[2 * 300 + 1];

	cr_expect_eq(objects(BRIDGE_EXEC, "sh", "ls\n", false, room, sizeof(room))[0], '?');
	cr_expect_eq(objects(BRIDGE_EXEC, "sh", "", false, room, sizeof(room))[0], '?');
	cr_expect_eq(objects(BRIDGE_SHELL, "", "", false, room, sizeof(room))[0], '?');
	cr_expect_eq(objects(BRIDGE_EXEC, "fish", "ls\n", true, room, sizeof(room))[0], '?');
	for (size_t i = 0; i < 300; i++)
		memcpy(script + 2 * i, "l\n", 3);
	cr_expect_eq(objects(BRIDGE_EXEC, "sh", script, true, room, sizeof(room))[0], '?');
}

/* What is reviewed is the command and every byte behind it. */
Test(ssh_script, the_text_is_the_command_and_the_script)
{
	const struct bridge_request request = {
		.kind = BRIDGE_EXEC, .text = slice_from_string("bash -s")};
	struct ssh_facts one, f;

	cr_assert_eq(ssh_facts_init(&one, &request), 0);
	cr_assert_eq(ssh_facts_init_script(&f, &one, slice_from_string("ls\n# x\n"), true), 0);
	cr_expect(slice_equal_string(f.action.text, "bash -s\nls\n# x\n"));
	ssh_facts_done(&one);
	ssh_facts_done(&f);
}

/* What is typed there can't be told. */
Test(ssh_script, a_shell_on_a_terminal_is_one)
{
	struct bridge_request request = {
		.kind = BRIDGE_EXEC, .terminal = true, .text = slice_from_string("sudo bash")};
	struct ssh_facts f;

	cr_assert_eq(ssh_facts_init(&f, &request), 0);
	cr_assert_eq(f.action.pair_count, 2);
	cr_expect_eq(f.pairs[1].operation, OPERATION_SSH_SHELL);
	ssh_facts_done(&f);
	request.text = slice_from_string("sh -c 'ls'");
	cr_assert_eq(ssh_facts_init(&f, &request), 0);
	for (size_t i = 0; i < f.action.pair_count; i++)
		cr_expect_eq(f.pairs[i].operation, OPERATION_SSH_EXEC);
	ssh_facts_done(&f);
}
