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
		{"i\\\nf true; th\\\nen rm x; f\\\ni", "?i\\\nf true|?th\\\nen rm x|?f\\\ni"},
		{"\\\nif true", "?if true"},
		{"if\\\n true", "?if\\\n true"},
		{"i\\\n\\f true", "if true"},
		{"i\"\\\nf\" true", "if true"},
		{"comm\\\nand rm x", "?comm\\\nand rm x"},
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
		{"a b:~/x", "a b:~/x"},
		{"dd if=~/x", "?dd if=~/x"},
		{"a b=x:~", "?a b=x:~"},
		{"a b=x~", "a b=x~"},
		{"a b='~'", "a b=~"},
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

Test(ssh_shell, what_opens_no_file_says_nothing_about_a_command)
{
	static const struct {
		const char *line, *expected;
	} rows[] = {
		{"ls 2>&1", "ls"},
		{"ls >/dev/null 2>&1", "ls"},
		{"ls 2> /dev/null -l", "ls -l"},
		{"ls >>\t/dev/null -l </dev/null", "ls -l"},
		{"2>&1 ls", "ls"},
		{">&2 echo x", "echo x"},
		{"A=1 >&2 echo x", "A=1 echo x"},
		{"echo x>&2", "echo x"},
		{"echo x2>/dev/null y", "echo x2 y"},
		{"echo 2 >&1", "echo 2"},
		{"echo '2' >&1", "echo 2"},
		{"echo '2>&1' \\2\\>\\&1", "echo 2>&1 2>&1"},
		{"a 3>&1 1>&2 2>&3 3>&-", "a"},
		{"a <&- >&- 2<&-", "a"},
		{"a <&3 0<&4", "a"},
		{"a 2>&1|b>&2;c 2>&1&d >/dev/null&&e </dev/null||f\ng 2>&1\nh", "a|b|c|d|e|f|g|h"},
		{"a \\\n2>&1", "?a \\\n2>|1"},
		{"a 2>&1 \\\nb", "a b"},
		{"a & >/dev/null b", "a|b"},
		{"rm -rf / 2>&1 $x", "?rm -rf / 2>&1 $x"},
		{"a 2>&1 >f; b", "?a 2>&1 >f|b"},
		{"exec 0<&3", "?exec 0<&3"},
		{"eval ls 2>&1", "?eval ls 2>&1"},
	};
	char room[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(split(rows[i].line, room, sizeof(room)), rows[i].expected,
			"%s: %s", rows[i].line, room);
}

/* Other forms open a file, or are not the same for all shells, or say more about the command. */
Test(ssh_shell, other_redirections_are_not_known)
{
	static const char *const lines[] = {/* Files. */
		"a >f", "a 2>f", "a >&f", "a >& f", "a >&1f", "a 2>&1foo", "a <f", "a >>f", "a 2>1",
		"a &>f", "a &>>f", "a >|f", "a <>f", "a <<E", "a <<<f", "a <(b)", "a >(b)",
		/* What is put in for something. */
		"a >&$x", "a >&${x}", "a >&`b`", "a >&$(b)", "a >$x", "a >/dev/null$x",
		"a >/dev/null*", "a >/dev/nul?", "a >/dev/{null,x}", "a 2>&1`b`", "a 2>&1$x",
		"a {fd}>&1", "a {fd}>/dev/null", "a $x>&1", "a ~>&1",
		/* Not quite that file. */
		"a >/dev/nul", "a >/dev/nullx", "a >/dev/null/", "a >/dev/null/../x",
		"a >/dev/../dev/null", "a >//dev/null", "a >dev/null", "a >./dev/null",
		"a >/dev/null'x'", "a >/dev/null\"\"", "a >/dev/null\\\nx", "a >\n/dev/null",
		"a >/dev/null\\ x", "a >/dev/tty", "a >/dev/stdin", "a </dev/fd/3", "a </dev/zero",
		/* Quotes. */
		"a >'/dev/null'", "a >\\/dev/null", "a \">\"/dev/null >f", "a >&\"1\"", "a >&'1'",
		"a >&\\1", "a '2'>&1", "a \\2>&1", "a ''2>&1", "a 2''>&1", "a 'b'>&1", "a b\\ >&1",
		/* The line goes on in the next. */
		"a 2\\\n>&1", "a 2>\\\n&1", "a 2>&\\\n1", "a 2>&1\\\nb", "a >\\\n/dev/null",
		"a \\\n>&1", "a >/dev/\\\nnull", "a >/dev/null\\\n",
		/* Numbers. */
		"a >&10", "a 10>&1", "a 01>&1", "a 22>&1", "a >&01", "a 2>&1 11>&2",
		"a 99999999999999999999>&1", "a >&99999999999999999999", "a >&-1", "a -1 >& 2",
		"a +2 2>&+1",
		/* Other operators that begin or end alike. */
		"a &>/dev/null", "a &>/dev/null b", "a &\\\n>/dev/null b", "a &>>/dev/null",
		"a &2>/dev/null b", "a >&/dev/null", "a >& /dev/null", "a >& 1", "a <& 3",
		"a >|/dev/null", "a >!/dev/null", "a <>/dev/null", "a <>&1", "a >>&1", "a <<&1",
		"a >>>/dev/null", "a <</dev/null", "a <<</dev/null", "a <<-/dev/null", "a >&&1",
		"a <&1-", "a >&2-", "a 3>&2-", "a >&-x", "a >&--", "a >&p", "a >&!", "a >#1",
		"a >&1>f", "a >&1>/dev/null", "a >&1<&2", "a >&-<&-", "a >/dev/null2>&1",
		"a 2>&1(b)", "a 2>&1)", "a >/dev/null(b)", "a 2>&1#b", "a <->&1",
		/* In some encodings these part words. */
		"a \xa0"
		"2>&1",
		"a \xe2\x80\x83>&1", "a 2>&1\xa0", "a 2>&1\r", "a >/dev/null\v", "a >\f/dev/null",
		"a\r2>&1",
		/* Nothing is run by these, or what a variable says (zsh). */
		">&1", "2>&1", "</dev/null", "<&3", "A=1 >&2", "a; >&2", "a; 2>&1 ;b", "a | <&3",
		/* The shell's own. */
		"exec 2>&1", "exec <&3", "exec 0>&3", "exec 3<&0", "exec <&-", "'exec' <&3",
		"A=1 exec <&3", "<&3 exec", "command exec <&3", "builtin exec 0<&3",
		"eval 'exec 0<&3'", "{ a; } <&3", "while a; do b; done <&3",
		"if a; then b; fi 2>&1"};
	char room[256];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect(
			strchr(split(lines[i], room, sizeof(room)), '?'), "%s: %s", lines[i], room);
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
	buffer_clear(&l->text);
	cr_assert_eq(shell_split(slice_of("a >/dev/null\0", 13), l), 0);
	cr_expect(l->count && !l->commands[0].known);
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
	expect_pairs("make 2>&1 all", "exec make 2>&1 all|exec make all");
	expect_pairs(
		"make 2>&1 | tail -n 5", "exec make 2>&1 | tail -n 5|exec make|exec tail -n 5");
	expect_pairs(
		"git-upload-pack a 2>&1", "exec git-upload-pack a 2>&1|exec git-upload-pack a");
	expect_pairs("git-upload-pack $a", "exec git-upload-pack $a|?exec git-upload-pack $a");
}

/* Where a shell's commands come from then nobody has seen. */
Test(ssh_facts, a_shell_with_another_input_is_not_known)
{
	static const char *const lines[] = {"sh <&3", "sh 0<&3", "sh 0>&3", "sh <&-", "sh<&3",
		"sh </dev/null", "<&3 sh", "sudo -n bash -s <&3", "env A=b sh 0>&1", "su - <&3",
		"cd /x; sh -e <&3", "sh 2>&1 <&1", "unshare <&3", "fish <&3"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		for (size_t kind = 0; kind < 2; kind++) {
			struct ssh_facts f = facts_of(kind ? BRIDGE_LINE : BRIDGE_EXEC, lines[i]);

			cr_expect(f.action.unknown & ACTION_UNKNOWN_OBJECT, "%s", lines[i]);
			ssh_facts_done(&f);
		}
	}
	expect_pairs("sh x.sh <&3", "exec sh x.sh <&3|exec sh x.sh");
	expect_pairs("sh 2>&1", "exec sh 2>&1|exec sh");
	expect_pairs("cat <&3", "exec cat <&3|exec cat");
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

/* The terminal at the host takes some of its bytes as keys. */
Test(ssh_facts, sftp_on_a_terminal_is_not_understood)
{
	static const struct {
		const char *name;
		bool terminal, understood;
	} cases[] = {{"sftp", true, false}, {"sftp", false, true}, {"netconf", true, true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct bridge_request request = {.kind = BRIDGE_SUBSYSTEM,
			.terminal = cases[i].terminal,
			.text = slice_from_string(cases[i].name)};
		struct ssh_facts f;

		cr_assert_eq(ssh_facts_init(&f, &request), 0);
		cr_expect_eq(!(f.action.unknown & ACTION_UNKNOWN_TEXT), cases[i].understood);
		cr_expect_eq(f.pairs[0].operation, OPERATION_SSH_SUBSYSTEM);
		ssh_facts_done(&f);
	}
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
