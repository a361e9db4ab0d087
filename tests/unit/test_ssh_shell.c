/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "protocol/ssh/facts.h"
#include "protocol/ssh/shell.h"

/* The commands of a line, each behind "|"; with "?" where it is not known. */
static const char *split(const char *line, char *room, size_t size)
{
	struct shell_line *l = memory_new(sizeof(*l));
	struct slice text = slice_from_string(line);
	size_t n = 0;

	buffer_init(&l->text, 2 * text.length + 2);
	cr_assert_eq(shell_split(text, l), 0);
	room[0] = '\0';
	for (size_t i = 0; i < l->count; i++) {
		struct slice c =
			slice_head(slice_from(buffer_slice(&l->text), l->commands[i].start),
				l->commands[i].length);

		n += (size_t)snprintf(room + n, size - n, "%s%s%.*s", i ? "|" : "",
			l->commands[i].known ? "" : "?", SLICE_PRINT(c));
	}
	buffer_done(&l->text);
	free(l);
	return room;
}

Test(ssh_shell, lines_are_split_as_a_shell_would)
{
	static const struct {
		const char *line, *expected;
	} rows[] = {
		{"ls -l /x", "ls -l /x"},
		{"  ls   -l\t/x  ", "ls -l /x"},
		{"'ls' \"-l\" /'x y'", "ls -l /x y"},
		{"l\\s", "ls"},
		{"l\\\ns", "ls"},
		{"a; b", "a|b"},
		{"a;b", "a|b"},
		{"a && b || c | d & e", "a|b|c|d|e"},
		{"a\nb", "a|b"},
		{"a ';' b", "a ; b"},
		{"a \"x;$y\"", "?a \"x;$y\""},
		{"a \"x\\$y\"", "a x$y"},
		{"a '$y `z`'", "a $y `z`"},
		{"a $y", "?a $y"},
		{"a `y`; b", "?a `y`|b"},
		{"a $(b; c)", "?a $(b|?c)"},
		{"a > f", "?a > f"},
		{"a<f; b", "?a<f|b"},
		{"(a; b)", "?(a|?b)"},
		{"{ a; b; }", "?{ a|b|?}"},
		{"if a; then b; fi", "?if a|?then b|?fi"},
		{"! a", "?! a"},
		{"eval 'rm x'", "?eval 'rm x'"},
		{"command rm x", "?command rm x"},
		/* Quotes make a keyword plain, but no command. */
		{"'if' rm x", "if rm x"},
		{"'command' rm x", "?'command' rm x"},
		{"\\eval 'rm x'", "?\\eval 'rm x'"},
		{"A=1 eval 'rm x'", "?A=1 eval 'rm x'"},
		{"A=1 B=2 . /x", "?A=1 B=2 . /x"},
		{"repeat 2 rm x", "?repeat 2 rm x"},
		{"a *", "?a *"},
		{"a '*'", "a *"},
		{"a ~", "?a ~"},
		{"a b~", "a b~"},
		{"a # b", "?a # b"},
		{"a b#c", "a b#c"},
		{"a 'b", "?a 'b"},
		{"a \"b", "?a \"b"},
		{"a \\", "?a \\"},
		{"A=1 b", "A=1 b"},
		{"a\r", "?a\r"},
		{"", ""},
		{" ; ", ""},
	};
	char room[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(split(rows[i].line, room, sizeof(room)), rows[i].expected,
			"%s: %s", rows[i].line, room);
}

Test(ssh_shell, a_nul_is_not_known)
{
	struct shell_line *l = memory_new(sizeof(*l));

	buffer_init(&l->text, 64);
	cr_assert_eq(shell_split(slice_of("a\0b", 3), l), 0);
	cr_expect(l->count == 1 && !l->commands[0].known);
	buffer_clear(&l->text);
	cr_assert_eq(shell_split(slice_of("a '\0'", 5), l), 0);
	cr_expect(l->count == 1 && !l->commands[0].known);
	buffer_clear(&l->text);
	cr_assert_eq(shell_split(slice_of("a \\\0", 4), l), 0);
	cr_expect(l->count == 1 && !l->commands[0].known);
	buffer_done(&l->text);
	free(l);
}

static struct ssh_facts facts_of(enum bridge_kind kind, const char *text)
{
	const struct bridge_request request = {.kind = kind, .text = slice_from_string(text)};
	struct ssh_facts f;

	cr_assert_eq(ssh_facts_init(&f, &request), 0);
	return f;
}

static void expect_pairs(const char *line, const char *expected)
{
	struct ssh_facts f = facts_of(BRIDGE_EXEC, line);
	char room[512];
	size_t n = 0;

	for (size_t i = 0; i < f.action.pair_count; i++)
		n += (size_t)snprintf(room + n, sizeof(room) - n, "%s%s%s %.*s", i ? "|" : "",
			f.pairs[i].state == OBJECT_UNKNOWN ? "?" : "",
			operation_name(f.pairs[i].operation), SLICE_PRINT(f.pairs[i].object));
	cr_expect_str_eq(room, expected, "%s: %s", line, room);
	cr_expect(!(f.action.unknown & ACTION_UNKNOWN_OBJECT) == !strchr(expected, '?'));
	ssh_facts_done(&f);
}

Test(ssh_facts, a_command_is_the_line_and_each_command_in_it)
{
	expect_pairs("ls -l", "exec ls -l");
	expect_pairs("ls  -l", "exec ls  -l|exec ls -l");
	expect_pairs("ls; rm x", "exec ls; rm x|exec ls|exec rm x");
	expect_pairs("ls $x", "exec ls $x|?exec ls $x");
	expect_pairs("git-upload-pack '/srv/a b.git'", "git_fetch /srv/a b.git");
	expect_pairs("git-receive-pack 'a.git'", "git_push a.git");
	expect_pairs("git-receive-pack 'a.git'; rm x",
		"exec git-receive-pack 'a.git'; rm x|exec git-receive-pack a.git|exec rm x");
	expect_pairs("git-upload-pack --x", "exec git-upload-pack --x");
	expect_pairs("git-upload-pack a b", "exec git-upload-pack a b");
	expect_pairs("git-upload-pack $a", "exec git-upload-pack $a|?exec git-upload-pack $a");
}

Test(ssh_facts, other_requests_are_their_own_operations)
{
	struct ssh_facts f = facts_of(BRIDGE_SUBSYSTEM, "sftp");

	cr_expect_eq(f.pairs[0].operation, OPERATION_SSH_SUBSYSTEM);
	cr_expect(slice_equal_string(f.pairs[0].object, "sftp"));
	ssh_facts_done(&f);
	f = facts_of(BRIDGE_SHELL, "");
	cr_expect_eq(f.pairs[0].operation, OPERATION_SSH_SHELL);
	cr_expect_eq(f.pairs[0].state, OBJECT_NONE);
	ssh_facts_done(&f);
}

Test(ssh_facts, a_line_with_too_many_commands_is_not_understood)
{
	char line[2 * SHELL_COMMANDS_MOST + 8];
	struct ssh_facts f;

	for (size_t i = 0; i < sizeof(line) - 1; i++)
		line[i] = i % 2 ? ';' : 'a';
	line[sizeof(line) - 1] = '\0';
	f = facts_of(BRIDGE_EXEC, line);
	cr_expect(f.action.unknown & ACTION_UNKNOWN_TEXT);
	ssh_facts_done(&f);
}
