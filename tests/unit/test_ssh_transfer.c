/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that commands of scp and rsync carry, as pairs beside the exec that they are.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "policy_test.h"
#include "protocol/ssh/facts.h"

/* The pairs of files, each behind "|"; with "?" where it is not known which they are, and "+" for
 * what is below. */
static void describe(const struct action *action, char *room, size_t size)
{
	size_t n = 0;

	room[0] = '\0';
	for (size_t i = 0; i < action->pair_count; i++) {
		const struct action_pair *p = &action->pairs[i];

		if (operation_get_group(p->operation) != OPERATION_GROUP_RESTATED)
			continue;
		n += (size_t)snprintf(room + n, size - n, "%s%s %s%.*s", n ? "|" : "",
			operation_name(p->operation),
			p->state == OBJECT_UNKNOWN ? "?"
				: p->everything    ? "+"
						   : "",
			SLICE_PRINT(p->object));
	}
}

static void init(struct ssh_facts *f, const char *line, bool terminal)
{
	const struct bridge_request request = {
		.kind = BRIDGE_EXEC, .terminal = terminal, .text = slice_from_string(line)};

	cr_assert_eq(ssh_facts_init(f, &request), 0, "%s", line);
}

static const struct {
	const char *line, *expected;
} rows[] = {
	/* As OpenSSH's clients and rsync write them. */
	{"scp -f /srv/a", "scp_read /srv/a"},
	{"scp -v -r -p -d -t /srv/in", "scp_write +/srv/in"},
	{"scp -rpt /srv/in/", "scp_write +/srv/in"},
	{"scp -r -f /a", "scp_read +/a"},
	{"scp -f /a /b", "scp_read /a|scp_read /b"},
	{"scp -t -- /srv/in", "scp_write +/srv/in"},
	{"scp -t '/srv/in'", "scp_write +/srv/in"},
	{"scp -f /", "scp_read /"},
	{"rsync --server --sender -vlogDtprze.iLsfxCIvu . /srv/out/", "rsync_read +/srv/out"},
	{"rsync --server -logDtpre.iLsfxCIvu --delete --partial --timeout=9 . /srv/in",
		"rsync_write +/srv/in"},
	{"rsync --server --sender -e.LsfxCIvu . /a /b", "rsync_read /a|rsync_read /b"},
	{"rsync --server --sender -e.LsfxCIvu --remove-source-files . /a",
		"rsync_read +/a|rsync_write +/a"},
	/* Folders that are the host's to choose, and other names of something. */
	{"scp -t -- -f", "scp_write ?-f"},
	{"scp -t in", "scp_write ?in"},
	{"scp -t .", "scp_write ?."},
	{"scp -f /srv/../etc/a", "scp_read ?/srv/../etc/a"},
	{"scp -f //etc/a", "scp_read ?//etc/a"},
	{"scp -f ~/a", "scp_read ?scp -f ~/a"},
	{"scp -f /a ~/b", "scp_read ?scp -f /a ~/b"},
	/* What a shell makes something of. */
	{"scp -f /srv/*", "scp_read ?scp -f /srv/*"},
	{"scp -f $HOME/a", "scp_read ?scp -f $HOME/a"},
	{"scp -f /srv/\\*", "scp_read ?/srv/*"},
	{"rsync --server --sender -e.L . '/srv/[a]'", "rsync_read ?/srv/[a]"},
	{"rsync --server --sender -e.L . '/srv/\\\\a'", "rsync_read ?/srv/\\\\a"},
	{"bash -c 'scp -t /x'", "scp_write ?bash -c scp -t /x"},
	{"scp -f '/srv/a b'", "scp_read ?scp -f /srv/a b"},
	{"scp -f ''", "scp_read ?scp -f "},
	{"scp -f /a '' /b", "scp_read ?scp -f /a  /b"},
	{"scp -t /a; scp -t /b", "scp_write ?scp -t /a"},
	{"cd /srv; rsync --server -e.L . in", "rsync_write ?rsync --server -e.L . in"},
	{"scp -f /a >/dev/null", "scp_read ?scp -f /a"},
	/* Options that mean other files, or programs. */
	{"scp -f -t /a", "scp_read ?scp -f -t /a|scp_write ?scp -f -t /a"},
	{"scp -f -o ProxyCommand=x /a", "scp_read ?scp -f -o ProxyCommand=x /a"},
	{"scp -f /a -r", "scp_read ?scp -f /a -r"},
	{"scp -f -", "scp_read ?scp -f -"},
	{"scp -t", "scp_write ?scp -t"},
	{"scp -t /a /b", "scp_write ?scp -t /a /b"},
	{"scp -f /a -- /b", "scp_read ?scp -f /a -- /b"},
	{"rsync --server --sender --files-from=/x . /a",
		"rsync_read ?rsync --server --sender --files-from=/x . /a"},
	{"rsync --server -T /tmp . /a", "rsync_write ?rsync --server -T /tmp . /a"},
	{"rsync --server --backup-dir /b . /a", "rsync_write ?rsync --server --backup-dir /b . /a"},
	/* What was there is kept as "a~". */
	{"rsync --server -blogDtpre.iLsfxCIvu . /a",
		"rsync_write ?rsync --server -blogDtpre.iLsfxCIvu . /a"},
	/* -s: the paths come later. Behind "e" it is something else. */
	{"rsync --server --sender -slogDtpre.iLsfxCIvu . /a",
		"rsync_read ?rsync --server --sender -slogDtpre.iLsfxCIvu . /a"},
	{"rsync --server --sender -e sh . /a", "rsync_read ?rsync --server --sender -e sh . /a"},
	{"rsync --server --sender -e.L", "rsync_read ?rsync --server --sender -e.L"},
	{"rsync --server --sender -e.L . /a --daemon",
		"rsync_read ?rsync --server --sender -e.L . /a --daemon|"
		"rsync_write ?rsync --server --sender -e.L . /a --daemon"},
	{"rsync --server -e.L /a /b", "rsync_write ?rsync --server -e.L /a /b"},
	/* Programs that may be others, and those that run it. */
	{"/tmp/scp -f /a", "scp_read ?/tmp/scp -f /a"},
	{"A=b scp -f /a", "scp_read ?A=b scp -f /a"},
	{"sudo -n rsync --server -e.L . /a", "rsync_write ?sudo -n rsync --server -e.L . /a"},
	/* No servers. */
	{"scp /a other:/b", ""},
	{"rsync -a /a /b", ""},
	{"scpx -f /a", ""},
	{"ls", ""},
	{"scp", ""},
	{"rsync", ""},
};

Test(ssh_transfer, directions_and_paths)
{
	char room[1024];
	struct ssh_facts f;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		init(&f, rows[i].line, false);
		describe(&f.action, room, sizeof(room));
		cr_expect_str_eq(room, rows[i].expected, "%s: %s", rows[i].line, room);
		/* The command is an exec all the same. */
		cr_expect_eq(f.action.pairs[0].operation, OPERATION_SSH_EXEC);
		ssh_facts_done(&f);
	}
}

Test(ssh_transfer, nothing_is_sure_through_a_terminal_or_in_a_script)
{
	const struct slice script = slice_from_string("scp -f /a\n");
	struct ssh_facts f, whole;
	char room[256];

	init(&f, "scp -f /a", true);
	describe(&f.action, room, sizeof(room));
	cr_expect_str_eq(room, "scp_read ?scp -f /a");
	ssh_facts_done(&f);
	init(&f, "sh", false);
	cr_assert_eq(ssh_facts_init_script(&whole, &f, script, true), 0);
	describe(&whole.action, room, sizeof(room));
	cr_expect_str_eq(room, "scp_read ?scp -f /a");
	ssh_facts_done(&whole);
	ssh_facts_done(&f);
}

Test(ssh_transfer, more_paths_than_are_kept_are_not_known)
{
	struct buffer line;
	struct ssh_facts f;

	buffer_init(&line, 8192);
	buffer_append_string(&line, "rsync --server --sender --remove-source-files .");
	for (size_t i = 0; i < 256; i++)
		buffer_append_string(&line, " /a");
	buffer_append_byte(&line, '\0');
	init(&f, (const char *)buffer_slice(&line).data, false);
	cr_expect_eq(f.action.pair_count, 1 + 2 * 256);
	ssh_facts_done(&f);
	buffer_truncate(&line, buffer_length(&line) - 1);
	buffer_append_string(&line, " /b");
	buffer_append_byte(&line, '\0');
	init(&f, (const char *)buffer_slice(&line).data, false);
	cr_expect_eq(f.action.pair_count, 1 + 2);
	cr_expect_eq(f.action.pairs[1].state, OBJECT_UNKNOWN);
	ssh_facts_done(&f);
	buffer_done(&line);
}
