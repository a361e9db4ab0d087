/* SPDX-License-Identifier: Apache-2.0
 *
 * Shells that read their commands from their input, and what is known of those.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "protocol/ssh/facts.h"

static enum reader_kind reader(const char *text)
{
	struct shell_line *line = memory_new(sizeof(*line));
	enum reader_kind r;

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
		"cat | sh", "echo; bash", "nohup sh -s", "'sh'", "s\\h", "bash -i",
		/* With variables, redirections and quotes about it. */
		"sh 2>&1", "2>&1 sh", "sh >log", ">log sh", "> log sh", "\"sh\" >log", "A=1 sh",
		"A=1 B=2 sudo sh", "A=$x bash -s", "sh\t>log", "(cd /x; sh)", "f() { sh; }; f",
		"case x in x) sh;; esac", "function f { bash; }; f",
		/* Options with words of their own. */
		"bash --rcfile 'a b'", "bash --rcfile '/a b' -e", "bash -norc", "bash -rcfile /x",
		"bash -login", "zsh --emulate sh", "bash -sc ls", "bash -s -c ls", "sh /dev/fd/0",
		/* Names that come from somewhere. */
		"s\\\nh >log", "$SHELL", "\"$0\"", "/bin/s?", "$(which sh)", "sudo $SHELL",
		"${SHELL:-sh} -s",
		/* A user's. */
		"su", "su -", "su - root", "su -s /bin/csh root", "su --shell=/bin/sh",
		"runuser - x", "sudo -i", "sudo -s", "sudo -is", "sudo -u root -i",
		"sudo --user root --login", "sudo --shell", "sudo -s A=b", "sudo -S -s", "doas -s",
		"doas -u x -s", "chroot /x", "chroot /x sh", "unshare", "nsenter -t 1 -m",
		"nsenter -t 1 sh", "timeout 5 sh", "timeout -k 5 1m sh", "nice -n 5 sh",
		"flock /x bash", "taskset 0x3 sh", "runuser -u x -- sh", "env 'A=b c' sh",
		"nice sudo -n sh", "env - sh", "bash //dev/stdin", "bash /dev/../dev/stdin",
		"sh /proc/1/../self/fd/0", "cd /dev; sh stdin", "cd /dev && bash fd/0",
		"cd /dev/fd; sh 0", "cd /proc/self/fd && bash 0", "cd /dev/fd; sh -e ./0",
		"cd /proc; sh self/fd/0", "cd /; sh proc/self/fd/0",
		/* What runs what it is given, in whatever way. */
		"script", "script -q /dev/null", "script /dev/null", "script -qt/x/c y",
		"script -O '-x -c' y", "script 'x -c ls'", "script -q 'x -c ls'", "script -Oc x",
		"sudo script -a x", "script >log", "/usr/bin/time sh", "time -p sh",
		"/usr/bin/time -o x sh", "ssh-agent sh", "ssh-agent -t 5 bash -s", "env -Ssh",
		"env -S sh", "env -S'${SHELL}'", "env -vSsh", "env -i -Ssh", "env A=b -S '$X'",
		"env --split-string=sh", "env --s=sh", "sudo env '-S${X}'"};
	static const char *const other[] = {"fish", "/usr/bin/tcsh -f", "sudo csh", "sh; fish"};
	static const char *const not [] = {"", "ls", "sh -c ls", "bash -ec ls", "bash x.sh",
		"bash -e x.sh a", "bash -o errexit x.sh", "sh -- x.sh", "cat sh", "fish -c ls",
		"sudo ls sh.txt", "shfmt", "/bin/sh/x", "sudo cat sh",
		"sudo apt-get install -y bash", "sudo -n apt-get install zsh",
		"env A=b apt-get install bash", "timeout 5 cat sh", "chroot /x ls sh",
		"nsenter -t 1 -m -- ls", "unshare -r ls", "[ -f /x ] && ls", "$HOME/bin/x",
		"~/bin/x sh", "\"$HOME\"/x", "su -c ls", "su - x -c 'ls -l'", "su --command=ls",
		"su --session-command ls", "runuser -u x ls", "sudo -i ls", "sudo -s ls", "sudo -l",
		"sudo -u i ls", "sudo --prompt x ls", "ls $x", "echo $x >sh.log", "A=$x ls",
		"bash -rcfile x -c ls", "sh 'a>b'", "A=1 ls sh", "sudo",
		"sudo sh -c 'apt-get install bash'", "bash stdin.sh", "bash /srv/process/fdisk.sh",
		"sh x/read-stdin", "sh 0.sh", "script -c ls", "script -qec 'ls -l' /dev/null",
		"script -q /dev/null -c ls", "script --command ls x", "script -O x -c ls",
		"script -B x -qc ls", "script -q --command='ls -l' x", "cat script", "env -uS ls",
		"env -u X ls", "env -i ls", "ls -S", "sudo ls -S", "time ls", "ssh-agent -k",
		"/usr/bin/time ls"};

	for (size_t i = 0; i < ARRAY_SIZE(read); i++)
		cr_expect_eq(reader(read[i]), READER_POSIX, "%s", read[i]);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		cr_expect_eq(reader(other[i]), READER_OTHER, "%s", other[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		cr_expect_eq(reader(not [i]), READER_NONE, "%s", not [i]);
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
		/* A shell in it reads what is behind it, or what it is given. */
		{"echo rm x | sh", "echo rm x|?sh"},
		{"ls\nsudo -i\nls", "ls|?sudo -i|?ls"},
		{"bash x.sh\n", "bash x.sh"},
		{"sudo apt-get install bash\n", "sudo apt-get install bash"},
		/* Long options may be shortened, and the input has other names. */
		{"rm -rf x --i=always\nls", "rm -rf x --i=always|?ls"},
		{"rm x ---presume-input-tty\nls", "rm x ---presume-input-tty|?ls"},
		{"cp /dev/stdin x\nls", "cp /dev/stdin x|?ls"},
		{"cp /proc/self/fd/0 x\nls", "cp /proc/self/fd/0 x|?ls"},
		{"cd /dev\ncd fd\nhostname -F 0\nls", "cd /dev|cd fd|?hostname -F 0|?ls"},
		{"ls --color\nstat --printf=x y\nmkdir --mode 755 z\ndate --iso-8601\nls /proc",
			"ls --color|stat --printf=x y|mkdir --mode 755 z|date --iso-8601|ls /proc"},
		{"compgen -C 'rm x'\nls", "?compgen -C 'rm x'|?ls"},
		{"enable -f /x y\nls", "?enable -f /x y|?ls"},
		{"hash -p /x ls\nls", "hash -p /x ls|?ls"},
		{"hostname -F x\nls", "hostname -F x|?ls"},
		{"date -f x\nls", "date -f x|?ls"},
		{"date -f-\nls", "date -f-|?ls"},
		{"cd /dev\ndate -fstdin\nls", "cd /dev|date -fstdin|?ls"},
		{"cd /dev\ndu --files0-from=fd/0\nls", "cd /dev|du --files0-from=fd/0|?ls"},
		{"cd /\ncp proc/self/fd/0 x\nls", "cd /|cp proc/self/fd/0 x|?ls"},
		{"cd /srv/process\ncp 2024 mystdin\nls", "cd /srv/process|cp 2024 mystdin|ls"},
		{"du --files0-from=-\nls", "du --files0-from=-|?ls"},
		{"rm -rf x --one-file-system; ls -i; df -i; echo --- x; ls",
			"rm -rf x --one-file-system|ls -i|df -i|echo --- x|ls"},
		/* What a shell's own commands find in their words. */
		{"printf -v 'a[$(rm x)]' y", "?printf -v a[$(rm x)] y"},
		{"test -v 'a[`rm x`]'", "?test -v a[`rm x`]"},
		{"unset 'a[$(rm x)]'; ls", "?unset a[$(rm x)]|?ls"},
		{"export 'a[${x@P}]=1'", "?export a[${x@P}]=1"},
		{"A=1 printf -v 'a[$(rm x)]' y", "?A=1 printf -v a[$(rm x)] y"},
		{"export PS4='$(rm x)'; set -x; ls", "?export PS4=$(rm x)|?set -x|?ls"},
		{"printf -vPS4 '$(rm x)'; set -x; ls", "?printf -vPS4 $(rm x)|?set -x|?ls"},
		{"PS4='`rm x`'", "?PS4=`rm x`"},
		{"export BASH_ENV=/x", "?export BASH_ENV=/x"},
		{"printf '[%s]\\n' x; echo 'a[$(x)]'; export A=b; ls",
			"printf [%s]\\n x|echo a[$(x)]|export A=b|ls"},
		/* History is put in where quotes go over lines. */
		{"set -o history -H\nls", "set -o history -H|?ls"},
		{"set -euo pipefail\nset +x\nset -- a b\nls",
			"set -euo pipefail|set +x|set -- a b|ls"},
		{"A=1 eval 'rm x'\nls", "?A=1 eval 'rm x'|?ls"},
		{"'alias' ls=rm\nls x", "?'alias' ls=rm|?ls x"},
		{"\\. /x\nls", "?\\. /x|?ls"},
		/* In GBK the backslash is half of a letter, and the quotes end there. */
		{"echo \"\xb5\\\"; rm x; echo \"\"", "?echo \"\xb5\\\"; rm x; echo \"\""},
		{"printf \"\xe2\x9c\x93\\n\"", "printf \xe2\x9c\x93\\n"},
		/* What opens no file; but where commands come from may be elsewhere then. */
		{"ls 2>&1\necho x >&2\nrm x >/dev/null 2>&1\nls </dev/null\nls <&3\nls",
			"ls|echo x|rm x|ls|ls|ls"},
		{"exec 0<&3\nls", "?exec 0<&3|?ls"},
		{"exec <&3\nls", "?exec <&3|?ls"},
		{"exec 2>&1\nls", "?exec 2>&1|?ls"},
		{"A=1 exec <&3\nls", "?A=1 exec <&3|?ls"},
		{"<&3\nls", "?<&3|?ls"},
		{"ls; <&3 ls\nls", "ls|ls|ls"},
		{"sh <&3\nls", "?sh|?ls"},
		{"sh 2>&1\nls", "?sh|?ls"},
		{"read x <&3\nls", "read x|?ls"},
		{"cat 2>&1\nls", "cat|?ls"},
		{"rm -i x 2>&1\nls", "rm -i x|?ls"},
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

/* Its line's other commands may feed the shell, or read first of what it is to read; its options
 * and variables may have it run more. */
Test(ssh_script, what_reads_more_than_the_script_is_not_known)
{
	static const char *const all[] = {"sh", "bash -s -- a -c b", "bash -euo pipefail -s",
		"bash --norc --noprofile", "cd /x && sh", "export A=b; sh", "cd /x || exit 1; sh",
		"sudo -n sh", "env A=b sh", "rm -rf x; sh", "set -e; sh", "sh /dev/stdin", "sh -l",
		"sh; echo done", "sh -s -- 'a<b'", "sh 2>&1", "2>&1 sh", "bash -s >/dev/null 2>&1",
		"sudo -n sh 2>/dev/null", "sh 3>&1", "ls >&2; sh 2>&1; echo done >&2",
		"ls </dev/null; sh"};
	static const char *const more[] = {"echo rm -rf /srv | sh", "head -c 5; sh", "sed p | sh",
		"cat | sh", "sh | cat", "sh; sh", "sh; bash", "cat; sh", "x & sh", "rm -i x; sh",
		"rm --i=always x; sh", "$x; sh", "bash -i", "zsh -i -s", "bash -sc ls",
		"bash -s -c ls", "bash -s -c 'rm -rf /srv' x", "bash --rcfile /x -s",
		"bash -o history -s", "bash -O extdebug -s", "bash -s --init-file /x", "su",
		"sudo -S sh", "sudo --stdin sh", "sudo -i", "sh >log", "sh //dev/stdin",
		"env BASH_ENV=/x bash -s", "BASH_ENV=/x bash -s", "export BASH_ENV=/x; bash",
		"cd /dev/fd; sh", "env 'BASH_FUNC_ls%%=() { rm x; }' bash", "chroot /x", "sh <&3",
		"sh 0<&3", "sh 0>&3", "sh <&-", "sh </dev/null", "<&3 sh", "sh <&3 2>&1",
		"bash -s 0<&1", "sudo sh <&3", "ls; sh <&3", "exec <&3; sh", "exec 0<&3; sh",
		"sh 2>&1 <f", "sh /dev/fd/3 3<&0", "cat <&3; sh", "echo rm 2>&1 | sh",
		"set -o history; sh", "printf -v 'a[$(rm x)]' y; sh", "python3 -; sh"};
	char room[512];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		cr_expect(!strchr(objects(BRIDGE_EXEC, all[i], "", true, room, sizeof(room)), '?'),
			"%s: %s", all[i], room);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		cr_expect(strstr(objects(BRIDGE_EXEC, more[i], "", true, room, sizeof(room)),
				  "?what a shell reads beside its script"),
			"%s: %s", more[i], room);
}

/* Some shells end a line there, and a comment goes on in the next. */
Test(ssh_script, nothing_is_known_beside_a_nul)
{
	static const char script[] = "# \0\necho '\nrm x\n'\n";
	const struct bridge_request request = {
		.kind = BRIDGE_EXEC, .text = slice_from_string("sh")};
	struct ssh_facts one, f;

	cr_assert_eq(ssh_facts_init(&one, &request), 0);
	cr_assert_eq(
		ssh_facts_init_script(&f, &one, slice_of(script, sizeof(script) - 1), true), 0);
	cr_assert_eq(f.action.pair_count, 2);
	cr_expect_eq(f.pairs[1].state, OBJECT_UNKNOWN);
	ssh_facts_done(&one);
	ssh_facts_done(&f);
}

/* Nobody can tell which commands it has, so who decides about it sees the script as well. */
Test(ssh_script, a_line_with_too_many_commands_may_have_a_shell)
{
	char line[2 * SHELL_COMMANDS_MOST + 8];
	const struct bridge_request request = {
		.kind = BRIDGE_EXEC, .text = slice_of(line, sizeof(line))};
	struct ssh_facts one, f;

	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = i % 2 ? ';' : 'a';
	cr_assert_eq(ssh_facts_init(&one, &request), 0);
	cr_expect_eq(one.reader, READER_POSIX);
	cr_assert_eq(ssh_facts_init_script(&f, &one, slice_from_string("rm x\n"), true), 0);
	cr_expect(f.action.unknown & ACTION_UNKNOWN_TEXT);
	cr_expect(f.action.problem);
	cr_expect_eq(f.pairs[0].state, OBJECT_UNKNOWN);
	cr_expect_eq(f.action.text.length, sizeof(line) + strlen("\nrm x\n"));
	ssh_facts_done(&one);
	ssh_facts_done(&f);
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
