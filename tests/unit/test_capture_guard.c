/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/mountinfo.h"
#include "bpf/shared.h"
#include "capture/capture.h"
#include "capture/cgroup.h"
#include "capture/guard.h"
#include "capture/guard_internal.h"
#include "capture/origin.h"
#include "capture/pins.h"
#include "capture/queue.h"

static struct buffer text_of(
	const char *root, uint16_t port, const struct guard_agent *agents, size_t count)
{
	struct guard g = {.instance = "x",
		.cgroup_root = root,
		.port = port,
		.agents = agents,
		.count = count};
	struct buffer b;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(guard_text(&g, &b), 0);
	return b;
}

static unsigned times(const struct buffer *b, const char *what)
{
	const char *at = (const char *)buffer_slice(b).data;
	unsigned n = 0;

	while ((at = strstr(at, what))) {
		at++;
		n++;
	}
	return n;
}

Test(guard, replaces_its_table_in_one_transaction)
{
	struct buffer b = text_of("/sys/fs/cgroup", 1000, NULL, 0);

	cr_assert_eq(strncmp((const char *)buffer_slice(&b).data,
			     "add table inet wayleave_x\ndelete table inet wayleave_x\n"
			     "table inet wayleave_x {\n",
			     70),
		0);
	cr_assert_eq(times(&b, "cgroupv2"), 0);
	buffer_done(&b);
}

Test(guard, names_each_agent_once_per_direction)
{
	static const struct guard_agent agents[] = {
		{"top", false}, {"a/one", false}, {"a/two", true}, {"b/three", true}};
	struct buffer b = text_of("/sys/fs/cgroup", 1000, agents, 4);

	cr_assert_eq(times(&b, "\"top\" : goto agent"), 1);
	cr_assert_eq(times(&b, "\"top\" : goto refuse"), 1);
	cr_assert_eq(times(&b, "\"a/one\" : goto agent"), 1);
	/* Who may listen is not in the way of what comes in. */
	cr_assert_eq(times(&b, "\"a/two\" : goto agent_listening"), 1);
	cr_assert_eq(times(&b, "\"a/two\" : goto refuse"), 0);
	/* One lookup per level and direction. */
	cr_assert_eq(times(&b, "socket cgroupv2 level 1"), 3);
	cr_assert_eq(times(&b, "socket cgroupv2 level 2"), 3);
	cr_assert_eq(times(&b, "socket cgroupv2 level 3"), 0);
	buffer_done(&b);
}

Test(guard, lets_udp_go_to_the_resolvers_alone)
{
	static const struct guard_agent agents[] = {
		{"a", .udp = UDP_DNS}, {"b", .udp = UDP_DENY}, {"c", .udp = UDP_ALLOW}};
	struct guard g = {.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.agents = agents,
		.count = 3,
		.resolvers = {.count = 2,
			.items = {{AF_INET, "192.0.2.53"}, {AF_INET6, "2001:db8::53"}}}};
	struct buffer b;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(guard_text(&g, &b), 0);
	cr_assert_eq(times(&b, "\"a\" : goto udp_dns"), 1);
	cr_assert_eq(times(&b, "\"b\" : goto refuse_udp"), 1);
	cr_assert_eq(times(&b, "\"c\" : goto refuse_udp"), 0);
	cr_assert_eq(times(&b, "ip daddr 192.0.2.53 udp dport 53 accept"), 1);
	cr_assert_eq(times(&b, "ip6 daddr 2001:db8::53 udp dport 53 accept"), 1);
	buffer_done(&b);
}

/* One bucket for what leaves and what comes, of all the cgroups of an agent. */
Test(guard, limits_what_datagrams_carry)
{
	static const struct guard_agent agents[] = {
		{"a", .udp = UDP_ALLOW, .id = 0x11, .bandwidth = 1000000},
		{"b", .udp = UDP_DENY, .id = 0x22},
		{"c", .udp = UDP_POLICY, .id = 0x33, .bandwidth = 1000},
		{"d", .udp = UDP_POLICY, .id = 0x33, .bandwidth = 1000},
		{"e", .udp = UDP_DENY, .id = 0x44, .bandwidth = UINT64_MAX}};
	struct guard g = {.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.agents = agents,
		.count = ARRAY_SIZE(agents),
		.queue = 7};

	for (unsigned i = 0; i < 3; i++) {
		struct buffer b;

		g.elsewhere = i == 1;
		g.limits_not = i == 2;
		buffer_init(&b, 1 << 20);
		cr_assert_eq(guard_text(&g, &b), 0);
		if (g.limits_not) {
			cr_expect_eq(times(&b, "bytes/second"), 0);
			cr_expect_eq(times(&b, "arriving"), 0);
			cr_expect_eq(times(&b, "\"a\" : "), 3, "TCP, and answers");
			buffer_done(&b);
			continue;
		}
		cr_expect_eq(times(&b, "bytes/second"), 3);
		cr_expect_eq(times(&b,
				     "chain pace_11 {\n\t\tlimit rate over 1000000 bytes/second "
				     "burst 0 bytes counter drop\n\t}\n"),
			1);
		/* The largest datagram is no more than it has room for. */
		cr_expect_eq(times(&b, "over 1000 bytes/second burst 65536 bytes counter drop"), 1);
		cr_expect_eq(times(&b, "over 16000000000 bytes/second"), 1);
		cr_expect_eq(times(&b, "oif != \"lo\" jump pace_33\n\t\tgoto watch_2\n"), 1);
		cr_expect_eq(times(&b, "oif != \"lo\" jump pace_33\n\t\tgoto watch_3\n"), 1);
		cr_expect_eq(times(&b, "oif != \"lo\" jump pace_11\n\t}\n"), 1);
		cr_expect_eq(times(&b, "jump pace_44\n\t\tgoto refuse_udp\n"), 1);
		cr_expect_eq(times(&b, "\"a\" : goto leave_0"), 1);
		cr_expect_eq(times(&b, "\"b\" : goto refuse_udp"), 1);
		cr_expect_eq(times(&b, "\"d\" : goto pace_33"), 1);
		cr_expect_eq(times(&b,
				     "hook input priority raw; policy accept;\n"
				     "\t\tmeta l4proto != udp accept\n\t\tiif \"lo\" accept\n"
				     "\t\tsocket cgroupv2 level 1 vmap @arriving_1\n"),
			1);
		buffer_done(&b);
	}
}

/* Other hosts' datagrams are looked up for nobody. */
Test(guard, looks_nothing_up_where_nobody_is_limited)
{
	static const struct guard_agent agents[] = {{"a", .udp = UDP_ALLOW, .id = 0x11}};
	struct buffer b = text_of("/sys/fs/cgroup", 1000, agents, 1);

	cr_assert_eq(times(&b, "arriving"), 0);
	cr_assert_eq(times(&b, "pace"), 0);
	buffer_done(&b);
}

static size_t goes_on_by(const struct buffer *b, uint32_t mark)
{
	char text[96];

	/* What is expected of a flow has its mark, and so has what answers there. */
	snprintf(text, sizeof(text),
		"\t\tct mark %#x ct direction original ct state != related accept\n", mark);
	return times(b, text);
}

Test(guard, asks_for_each_flow_where_policy_says)
{
	static const struct guard_agent agents[] = {{"a", .udp = UDP_POLICY, .id = 0x11},
		{"b", .udp = UDP_DENY}, {"c", true, .udp = UDP_POLICY, .id = 0x22}};
	struct guard g = {.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.agents = agents,
		.count = 3,
		.queue = 7,
		.generation = 5};
	struct buffer b;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(guard_text(&g, &b), 0);
	cr_assert_eq(times(&b, "\"a\" : goto judge_0"), 1);
	cr_assert_eq(times(&b, "\"b\" : goto judge"), 0);
	cr_assert_eq(times(&b, "\"b\" : goto refuse_udp"), 1);
	cr_assert_eq(times(&b, "\"c\" : goto judge_2"), 1);
	cr_assert_eq(times(&b, "meta priority set 0:11\n\t\tgoto judge"), 1);
	/* What a flow needs to go on is its agent's mark, of the policy's generation. */
	cr_assert_eq(goes_on_by(&b, queue_pass_mark(0x11, 5)), 1);
	cr_assert_eq(goes_on_by(&b, queue_pass_mark(0x22, 5)), 1);
	cr_assert_eq(goes_on_by(&b, queue_pass_mark(0x11, 4)), 0);
	/* What answers others is listening. */
	cr_assert_eq(times(&b, "ct direction reply accept"), 1);
	cr_assert_eq(times(&b,
			     "\t\tct direction reply goto refuse_udp\n"
			     "\t\tlimit rate over 2000/second"),
		1);
	/* Echoes the same, of either family; they are told by words of their own. */
	cr_assert_eq(times(&b, "type echo-request goto asked"), 2);
	cr_assert_eq(times(&b, "type echo-request ct mark 0x5d000007 counter drop"), 2);
	cr_assert_eq(times(&b, "icmpx type admin-prohibited"), 1);
	cr_assert_eq(times(&b, "delete table inet wayleave_x_queue"), 0);
	buffer_clear(&b);
	/* Without a queue, to the resolvers alone; and nobody pays for connection tracking. */
	g.queue = 0;
	cr_assert_eq(guard_text(&g, &b), 0);
	cr_assert_eq(times(&b, "\"a\" : goto udp_dns"), 1);
	cr_assert_eq(times(&b, "\tct "), 0);
	cr_assert_eq(times(&b, "delete table inet wayleave_x_queue"), 1);
	buffer_done(&b);
}

/* Connection tracking is asked for that alone, and only where it matters. */
Test(guard, what_may_go_anywhere_may_not_answer)
{
	static const struct guard_agent agents[] = {
		{"a", .udp = UDP_ALLOW}, {"b", true, .udp = UDP_ALLOW}, {"c", .udp = UDP_DENY}};
	struct guard g = {.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.agents = agents,
		.count = 3,
		.queue = 7};

	for (unsigned i = 0; i < 2; i++) {
		struct buffer b;

		g.elsewhere = i == 1;
		g.agents = agents;
		g.count = 3;
		buffer_init(&b, 1 << 20);
		cr_assert_eq(guard_text(&g, &b), 0);
		cr_expect_eq(times(&b,
				     "\tchain unjudged {\n"
				     "\t\toif \"lo\" accept\n"
				     "\t\tct direction original accept\n"
				     "\t\tgoto refuse_udp\n"),
			1);
		cr_expect_eq(times(&b, "\"a\" : goto unjudged"), 1);
		cr_expect_eq(times(&b, "goto unjudged"), 1);
		cr_expect_eq(times(&b, "level 1 vmap @judged_1"), 1);
		cr_expect_eq(times(&b, "goto judge\n"), 0);
		buffer_clear(&b);
		g.agents = &agents[1];
		g.count = 2;
		cr_assert_eq(guard_text(&g, &b), 0);
		cr_expect_eq(times(&b, "\tct "), 0);
		cr_expect_eq(times(&b, "vmap @judged_1"), 0);
		buffer_done(&b);
	}
}

Test(guard, elsewhere_it_knows_datagrams_alone)
{
	static const struct guard_agent agents[] = {{"a", .udp = UDP_POLICY, .id = 0x11}};
	struct guard g = {.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.port = 1000,
		.queue = 7,
		.elsewhere = true,
		.resolvers = {.count = 1, .items = {{AF_INET, "192.0.2.53"}}},
		.agents = agents,
		.count = 1};
	struct buffer b;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(guard_text(&g, &b), 0);
	cr_assert_eq(times(&b, "\"a\" : goto judge_0"), 1);
	cr_assert_eq(times(&b, "\"a\" : goto watch_0"), 1);
	cr_assert_eq(times(&b, "\"a\" : goto names_0"), 1);
	cr_assert_eq(times(&b, "meta l4proto != tcp goto other"), 1);
	/* No chain of TCP's, nor a lookup that nobody needs. */
	cr_assert_eq(times(&b, "tcp dport"), 0);
	cr_assert_eq(times(&b, "tcp flags"), 0);
	cr_assert_eq(times(&b, "reject with tcp reset"), 0);
	cr_assert_eq(times(&b, "socket cgroupv2"), 3);
	/* A resolver of the host's is none of those there. */
	cr_assert_eq(times(&b,
			     "iif \"lo\" ip saddr 192.0.2.53 counter drop\n"
			     "\t\tiif \"lo\" goto whose\n"),
		1);
	buffer_clear(&b);
	g.elsewhere = false;
	cr_assert_eq(guard_text(&g, &b), 0);
	cr_assert_eq(times(&b, "iif \"lo\" goto whose"), 1);
	cr_assert_eq(times(&b, "saddr 192.0.2.53 counter drop"), 0);
	buffer_done(&b);
}

Test(guard, resolvers_of_a_text)
{
	struct resolvers r;

	resolvers_parse(
		"# nameserver 1.1.1.1\nnameserver 192.0.2.1\nnameserver\t fe80::1%eth0 x\n"
		"nameserverx 1.1.1.1\nnameserver 1.2.3\nnameserver\nsearch a\nnameserver ::1",
		&r);
	cr_assert_eq(r.count, 3);
	cr_assert_str_eq(r.items[0].text, "192.0.2.1");
	cr_assert_str_eq(r.items[1].text, "fe80::1");
	cr_assert_str_eq(r.items[2].text, "::1");
	cr_assert_eq(r.items[2].family, AF_INET6);
}

Test(guard, without_a_port_accepts_no_listener)
{
	struct buffer b = text_of("/sys/fs/cgroup", 0, NULL, 0);

	cr_assert_eq(times(&b, "dport"), 0);
	buffer_done(&b);
	b = text_of("/sys/fs/cgroup", 1000, NULL, 0);
	cr_assert_eq(times(&b, "dport 1000 accept"), 2);
	buffer_done(&b);
}

Test(guard, finds_the_hierarchy_wherever_it_is)
{
	static const struct guard_agent agent = {"a", false};
	static const struct {
		const char *root, *path;
	} cases[] = {{"/sys/fs/cgroup", "\"a\" : goto agent"},
		{"/sys/fs/cgroup/unified", "\"unified/a\" : goto agent"},
		{"/sys/fs/cgroup2", "\"../../../sys/fs/cgroup2/a\" : goto agent"},
		{"/mnt/x", "\"../../../mnt/x/a\" : goto agent"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer b = text_of(cases[i].root, 0, &agent, 1);

		cr_assert_eq(times(&b, cases[i].path), 1, "%s", cases[i].root);
		buffer_done(&b);
	}
}

Test(cgroup, path_is_clean_or_refused)
{
	static const char *const good[] = {"a", "wayleave.slice/claude-ci", "a b/c", "…", "a.b"};
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a",
		"a\"b", "a\nb", "a\\b", "a\x7f"};
	char text[CGROUP_PATH_SIZE + 1];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_assert(cgroup_path_is_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(cgroup_path_is_valid(bad[i]), "%s", bad[i]);
	memset(text, 'a', sizeof(text));
	text[256] = 0;
	cr_assert_not(cgroup_path_is_valid(text));
	text[255] = 0;
	cr_assert(cgroup_path_is_valid(text));
	for (size_t i = 0; i < 80; i++)
		text[i] = i % 2 ? '/' : 'a';
	text[2 * CGROUP_DEPTH_MOST + 1] = 0;
	cr_assert_not(cgroup_path_is_valid(text));
	text[2 * CGROUP_DEPTH_MOST - 1] = 0;
	cr_assert(cgroup_path_is_valid(text));
}

Test(cgroup, inside_means_whole_folders)
{
	cr_assert(cgroup_path_is_within("a/b", "a/b"));
	cr_assert(cgroup_path_is_within("a/b/c", "a/b"));
	cr_assert_not(cgroup_path_is_within("a/bc", "a/b"));
	cr_assert_not(cgroup_path_is_within("a", "a/b"));
	cr_assert_not(cgroup_path_is_within("", "a"));
	cr_assert_eq(cgroup_path_depth("a/b/c"), 3);
}

Test(pins, instance_is_a_plain_word)
{
	static const char *const bad[] = {
		"", "1a", "_a", "A", "a-b", "a b", "a/b", "a.b", "a\"", "abcdefghijklmnopqrstu"};

	cr_assert(pins_instance_is_valid("default"));
	cr_assert(pins_instance_is_valid("a_1"));
	cr_assert(pins_instance_is_valid("abcdefghijklmnopqrst"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_not(pins_instance_is_valid(bad[i]), "%s", bad[i]);
}

Test(mountinfo, lines_are_taken_apart)
{
	char line[] = "41 31 0:38 / /sys/fs/my\\040cgroup rw,relatime shared:9 master:1 - cgroup2 "
		      "none rw\n";
	char bind[] = "41 31 0:38 /part\\134 /mnt rw - ext4 /dev/x rw";
	char wrong[] = "41 31 0:38 / - cgroup2";
	char shorter[] = "41 31 0:38 / /mnt rw";
	char map[] = "41 31 0:38 / /net rw - autofs -hosts\\0401 rw,fd=5,indirect";
	struct mountinfo m;

	cr_assert(mountinfo_parse(line, &m));
	cr_assert_str_eq(m.point, "/sys/fs/my cgroup");
	cr_assert_str_eq(m.root, "/");
	cr_assert_str_eq(m.type, "cgroup2");
	cr_assert(mountinfo_parse(bind, &m));
	cr_assert_str_eq(m.root, "/part\\");
	cr_assert_str_eq(m.source, "/dev/x");
	cr_assert(mountinfo_parse(map, &m));
	cr_assert_str_eq(m.source, "-hosts 1");
	cr_assert_not(mountinfo_parse(wrong, &m));
	cr_assert_not(mountinfo_parse(shorter, &m));
}

Test(origin, program_is_told_by_inode_and_device)
{
	struct stat file = {.st_ino = 77, .st_dev = makedev(254, 3)};
	struct origin o = {.exe_inode = 77, .exe_device = 254u << 20 | 3};

	cr_assert(origin_is_program(&o, &file));
	o.exe_device++;
	cr_assert_not(origin_is_program(&o, &file));
	o.exe_device--;
	file.st_ino++;
	cr_assert_not(origin_is_program(&o, &file));
	/* Unknown never matches. */
	file.st_ino = o.exe_inode = 0;
	cr_assert_not(origin_is_program(&o, &file));
}

Test(origin, only_our_programs_give_one)
{
	struct origin o;
	int pipes[2];

	cr_assert_eq(pipe(pipes), 0);
	cr_assert_eq(origin_get(-1, &o), -EBADF);
	cr_assert_eq(origin_get(pipes[0], &o), -ENOTSOCK);
}

Test(counts, each_has_its_text)
{
	for (int i = 0; i < STEER_COUNT_COUNT; i++) {
		cr_assert_neq(capture_count_text(i)->metric[0], 0);
		cr_assert_neq(capture_count_text(i)->text[0], 0);
	}
}

/* In a network namespace of its own. */
Test(guard, what_others_change_is_news_and_what_is_loaded_is_none)
{
	static const char *const changes[] = {"flush chain inet wayleave_x output\n",
		"add chain inet wayleave_x more\n", "delete table inet wayleave_x\n"};
	const struct guard g = {.instance = "x", .cgroup_root = "/sys/fs/cgroup", .port = 1000};
	struct guard_watch watch;
	uint64_t shape;
	struct error e;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make a network namespace");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_assert_eq(guard_watch_open(&watch, "x", &e), 0, "%s", e.text);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		cr_assert_eq(guard_apply(&g, &e), 0, "%s", e.text);
		cr_assert_eq(guard_take_shape(&g, &watch, &shape, &e), 0, "%s", e.text);
		cr_expect_not(guard_watch_read(&watch));
		cr_expect_eq(guard_check(&g, shape, &e), 0, "%s", e.text);
		cr_assert_eq(guard_run("add table inet others\n", NULL, &e), 0, "%s", e.text);
		cr_expect_not(guard_watch_read(&watch));
		cr_assert_eq(guard_run(changes[i], NULL, &e), 0, "%s", e.text);
		cr_expect(guard_watch_read(&watch), "%s", changes[i]);
		cr_expect_lt(guard_check(&g, shape, &e), 0, "%s", changes[i]);
	}
	guard_watch_close(&watch);
}

#define AGENTS_MOST (STEER_AGENTS_MOST / 2) /* of a configuration */

/* Each in a cgroup of its own, below one that the caller removes. */
static struct guard_agent *make_agents(const struct cgroup_root *root, const char *folder)
{
	struct guard_agent *agents = memory_new_array(AGENTS_MOST, sizeof(*agents));
	int fd;

	for (size_t i = 0; i < AGENTS_MOST; i++) {
		char *path = memory_format("%s/%zu", folder, i);

		cr_assert_eq(cgroup_open(root, path, true, &fd, NULL), 0);
		close(fd);
		agents[i] = (struct guard_agent){path, false, UDP_POLICY, (uint32_t)i + 1};
	}
	return agents;
}

static void remove_agents(const struct cgroup_root *root, struct guard_agent *agents)
{
	for (size_t i = 0; i < AGENTS_MOST; i++) {
		(void)cgroup_remove(root, agents[i].cgroup);
		free((void *)agents[i].cgroup);
	}
	free(agents);
}

/* As many as there may be are looked at while others wait. */
Test(guard, many_agents_are_looked_at_soon)
{
	struct guard g = {.instance = "x", .port = 1000, .count = AGENTS_MOST, .queue = 7};
	char *folder = memory_format("wltguard%d", getpid());
	struct guard_watch watch;
	struct cgroup_root root;
	uint64_t shape, start;
	struct error e;
	int r;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make a network namespace");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_assert_eq(cgroup_root_open(&root, &e), 0, "%s", e.text);
	g.cgroup_root = root.path;
	g.agents = make_agents(&root, folder);
	cr_assert_eq(guard_watch_open(&watch, "x", &e), 0, "%s", e.text);
	r = guard_make_queue(&g, &e);
	if (r == 0)
		r = guard_apply(&g, &e);
	start = clock_monotonic();
	if (r == 0)
		r = guard_take_shape(&g, &watch, &shape, &e);
	if (r == 0)
		r = guard_check(&g, shape, &e);
	cr_expect_eq(r, 0, "%s", e.text);
	cr_expect_lt(clock_monotonic() - start, 10 * NANOSECONDS_PER_SECOND);
	/* Also by what they hold, which the number does not have. */
	cr_expect_eq(guard_run("flush map inet wayleave_x judged_2\n", NULL, &e), 0, "%s", e.text);
	cr_expect_eq(guard_check(&g, shape, &e), -ENOENT);
	guard_watch_close(&watch);
	remove_agents(&root, (struct guard_agent *)g.agents);
	cgroup_root_close(&root);
	free(folder);
}

/* So many that loading them takes a while. */
static void load_much(int held)
{
	struct buffer text;
	struct error e;

	buffer_init(&text, 1 << 22);
	buffer_append_string(&text, "add table inet wayleave_x\n");
	for (unsigned i = 0; i < 20000; i++)
		buffer_append_format(&text, "add chain inet wayleave_x chain%u\n", i);
	buffer_append_byte(&text, 0);
	guard_run((const char *)buffer_slice(&text).data, NULL, &e);
	close(held);
	_exit(0);
}

static bool has_child(pid_t pid)
{
	char path[64];
	FILE *file;
	int first;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	cr_assert_not_null(file);
	first = fgetc(file);
	fclose(file);
	return first != EOF;
}

/* Neither what it holds outlives a daemon that is killed, nor what it was about to load. */
Test(guard, who_runs_nft_ends_with_the_daemon)
{
	struct error e;
	int held[2];
	pid_t daemon;
	char byte;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make a network namespace");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	cr_assert_eq(pipe(held), 0);
	daemon = fork();
	if (daemon == 0)
		load_much(held[1]);
	close(held[1]);
	while (!has_child(daemon))
		usleep(100);
	cr_assert_eq(kill(daemon, SIGKILL), 0);
	cr_assert_eq(waitpid(daemon, NULL, 0), daemon);
	cr_expect_eq(read(held[0], &byte, 1), 0);
	cr_expect_lt(guard_run("list table inet wayleave_x\n", NULL, &e), 0);
	close(held[0]);
}

/* As Docker and kube-proxy are at work when a host starts. */
_Noreturn static void change_rules(void)
{
	struct error e;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		guard_run("add table inet others\ndelete table inet others\n", NULL, &e);
}

/* What is said once holds until the daemon ends. */
Test(guard, what_the_kernel_can_is_told_while_others_change_rules)
{
	pid_t others[2];
	struct error e;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make a network namespace");
	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	if (guard_can_limit(&e) == 0)
		cr_skip_test("the kernel has no limit");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = fork();
		if (others[i] == 0)
			change_rules();
	}
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(guard_can_limit(&e), 1, "%u: %s", i, e.text);
	cr_expect_eq(guard_try("meta mark nothing_known", &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		cr_expect_eq(kill(others[i], SIGKILL), 0);
		cr_expect_eq(waitpid(others[i], NULL, 0), others[i]);
	}
}

/* Who may try nothing has not found that the kernel can't. */
Test(guard, what_can_not_be_tried_is_an_error)
{
	struct error e = {.text = ""};

	if (geteuid() == 0)
		cr_assert_eq(setuid(65534), 0);
	cr_expect_lt(guard_can_limit(&e), 0);
	cr_expect_neq(e.text[0], 0);
	cr_expect_lt(guard_try("counter", &e), 0);
}
