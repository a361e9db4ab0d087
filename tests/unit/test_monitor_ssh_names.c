/* SPDX-License-Identifier: Apache-2.0
 *
 * The known_hosts file of agents: our keys for what resources name, and nothing else.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "monitor/monitor.h"
#include "monitor/run_plan.h"

#define KEYS "ssh-ed25519 AAAA\necdsa-sha2-nistp256 BBBB\n"
#define FILE_MOST (1u << 20)

static struct monitor monitor;
static struct config config;
static struct config_resource resources[2];
static struct host hosts[2][2];
static char folder[64];

/* --- what names resolve to, and how addresses are written --- */

static const struct {
	const char *name, *address;
} resolved[] = {
	{"box.internal", "::ffff:10.1.2.3"},
	{"a.wild.internal", "fd00::5"},
	{"other.internal", "::ffff:10.9.9.9"},
};

size_t names_take(struct names *n, struct policy_address **ret)
{
	struct policy_address *all = memory_new_array(ARRAY_SIZE(resolved), sizeof(*all));

	(void)n;
	for (size_t i = 0; i < ARRAY_SIZE(resolved); i++) {
		all[i].name = slice_from_string(resolved[i].name);
		cr_assert_eq(inet_pton(AF_INET6, resolved[i].address, all[i].address.bytes), 1);
	}
	*ret = all;
	return ARRAY_SIZE(resolved);
}

void names_free_addresses(struct policy_address *addresses, size_t count)
{
	(void)count;
	free(addresses);
}

const char *ssh_address_text(const uint8_t *address, char *room, size_t size)
{
	const struct address *a = (const struct address *)address;
	bool mapped = address_is_mapped(a);

	return inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? address + 12 : address, room,
		(socklen_t)size);
}

/* --- */

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/ssh-names-XXXXXX");
	cr_assert(mkdtemp(folder));
	config = (struct config){.resources = resources, .resource_count = ARRAY_SIZE(resources)};
	config.runtime_dir.text = folder;
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		resources[i] = (struct config_resource){.hosts = hosts[i]};
		resources[i].protocol.value = PROTOCOL_SSH;
	}
	monitor = (struct monitor){.config = &config};
	buffer_init(&monitor.ssh.lines, FILE_MOST);
	buffer_append_string(&monitor.ssh.lines, KEYS);
}

static void teardown(void)
{
	unlink(monitor.known_hosts);
	free(monitor.known_hosts);
	buffer_done(&monitor.ssh.lines);
	cr_expect_eq(rmdir(folder), 0);
}

TestSuite(monitor_ssh_names, .init = setup, .fini = teardown, .timeout = 20);

static void add(size_t resource, const char *text)
{
	static char room[4][80];
	static size_t used;
	struct error e;
	char *copy = room[used++];

	snprintf(copy, sizeof(room[0]), "%s", text);
	cr_assert_eq(host_parse(copy, &hosts[resource][resources[resource].host_count++], &e), 0,
		"%s", e.text);
}

static void write_names(void)
{
	struct error e;

	cr_assert_eq(ssh_names_write(&monitor, &e), 0, "%s", e.text);
}

/* The file is each of the places with each key, and then what the host's own file says. */
static void expect_file(const char *const *places, size_t count)
{
	struct buffer wanted, found;
	struct error e;

	buffer_init(&wanted, FILE_MOST);
	buffer_init(&found, FILE_MOST);
	for (size_t i = 0; i < count; i++)
		buffer_append_format(&wanted, "%s ssh-ed25519 AAAA\n%s ecdsa-sha2-nistp256 BBBB\n",
			places[i], places[i]);
	if (access(RUN_PLAN_KNOWN_HOSTS, R_OK) == 0)
		cr_assert_eq(file_read(RUN_PLAN_KNOWN_HOSTS, &wanted, &e), 0);
	cr_assert_eq(file_read(monitor.known_hosts, &found, &e), 0, "%s", e.text);
	cr_expect(slice_equal(buffer_slice(&found), buffer_slice(&wanted)), "%.*s",
		SLICE_PRINT(buffer_slice(&found)));
	buffer_done(&wanted);
	buffer_done(&found);
}

static void expect_place(const char *host, const char *places)
{
	add(0, host);
	write_names();
	expect_file(&places, 1);
}

Test(monitor_ssh_names, a_name_stands_with_its_addresses)
{
	expect_place("box.internal:22", "box.internal,10.1.2.3");
}

Test(monitor_ssh_names, another_port_stands_with_each)
{
	expect_place("box.internal:2222", "[box.internal]:2222,[10.1.2.3]:2222");
}

Test(monitor_ssh_names, any_port_is_ssh_s_own_too)
{
	expect_place("box.internal:*", "box.internal,[box.internal]:*,10.1.2.3,[10.1.2.3]:*");
}

Test(monitor_ssh_names, addresses)
{
	expect_place("[fd00::7]:22", "fd00::7");
}

Test(monitor_ssh_names, a_wildcard_is_one_there_too)
{
	expect_place("*.wild.internal:22", "*.wild.internal,fd00::5");
}

/* A pattern has no bits. */
Test(monitor_ssh_names, a_prefix_is_all_that_it_means)
{
	expect_place("10.2.0.0/15:22", "10.2.*,10.3.*");
}

/* "*" would also mean hosts that are not ours. */
Test(monitor_ssh_names, a_prefix_without_a_form_is_left_out)
{
	add(0, "0.0.0.0/0:22");
	add(0, "[fd00::/8]:22");
	write_names();
	expect_file(NULL, 0);
}

Test(monitor_ssh_names, other_protocols_have_no_line)
{
	resources[0].protocol.value = PROTOCOL_POSTGRES;
	add(0, "db.internal:5432");
	add(1, "box.internal:22");
	write_names();
	expect_file((const char *const[]){"box.internal,10.1.2.3"}, 1);
}

/* Agents that run have the file itself before them: it is written in place, also when it gets
 * shorter, and not at all when it stays as it is. */
Test(monitor_ssh_names, what_is_configured_later_is_in_the_same_file)
{
	struct stat first, later;
	int fd;

	add(0, "box.internal:22");
	write_names();
	fd = open(monitor.known_hosts, O_RDONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &first), 0);
	cr_expect_eq(first.st_mode & 0777, 0644);
	cr_assert_eq(futimens(fd, (const struct timespec[2]){{1, 0}, {1, 0}}), 0);
	write_names();
	cr_assert_eq(fstat(fd, &later), 0);
	cr_expect_eq(later.st_mtim.tv_sec, 1);

	add(1, "other.internal:22");
	write_names();
	cr_assert_eq(stat(monitor.known_hosts, &later), 0);
	cr_expect_eq(first.st_ino, later.st_ino);
	cr_expect_gt(later.st_size, first.st_size);
	expect_file((const char *const[]){"box.internal,10.1.2.3", "other.internal,10.9.9.9"}, 2);

	resources[0].host_count = 0;
	write_names();
	expect_file((const char *const[]){"other.internal,10.9.9.9"}, 1);
	close(fd);
}
