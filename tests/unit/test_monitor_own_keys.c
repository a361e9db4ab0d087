/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent's own keys: what its ssh-agent may answer, and whose keys they are.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/keyring.h"
#include "monitor/own_keys.h"
#include "monitor/sshkey.h"

/* --- an ssh-agent that answers as it is told --- */

struct behind {
	struct buffer identities, signature; /* its answers */
	unsigned asked; /* to sign */
	int result;
};

static int ask(void *context, struct slice request, struct buffer *ret)
{
	struct behind *b = context;

	if (b->result < 0)
		return b->result;
	if (request.data[0] == 11)
		return buffer_append_slice(ret, buffer_slice(&b->identities));
	cr_assert_eq(request.data[0], 13);
	b->asked++;
	return buffer_append_slice(ret, buffer_slice(&b->signature));
}

static void open_behind(struct behind *b, struct keyring *k)
{
	*b = (struct behind){.result = 0};
	buffer_init(&b->identities, KEYRING_ANSWER_MOST);
	buffer_init(&b->signature, KEYRING_ANSWER_MOST);
	keyring_init(k, "root");
	k->ask = ask;
	k->context = b;
}

static void close_behind(struct behind *b, struct keyring *k)
{
	buffer_done(&b->identities);
	buffer_done(&b->signature);
	keyring_done(k);
}

/* A public key of this kind, `number` its other bytes. */
static void append_blob(struct buffer *to, const char *kind, uint8_t number)
{
	const uint8_t bytes[32] = {number};

	ssh_wire_append_string(to, slice_from_string(kind));
	ssh_wire_append_string(to, slice_of(bytes, sizeof(bytes)));
}

static void add_identity(struct behind *b, const char *kind, uint8_t number)
{
	struct buffer blob;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	append_blob(&blob, kind, number);
	ssh_wire_append_string(&b->identities, buffer_slice(&blob));
	ssh_wire_append_string(&b->identities, slice_from_string("a comment"));
	buffer_done(&blob);
}

static void begin_identities(struct behind *b, uint32_t count)
{
	buffer_clear(&b->identities);
	buffer_append_byte(&b->identities, 12);
	buffer_append_u32(&b->identities, count);
}

/* A request to sign a login of `user` by the key of that number; the first byte of the answer. */
static int sign(struct keyring *k, const char *user, uint8_t number)
{
	const uint8_t id[32] = {1};
	struct buffer blob, data, request, answer;
	int first;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	buffer_init(&data, KEYRING_REQUEST_MOST);
	buffer_init(&request, KEYRING_REQUEST_MOST);
	buffer_init(&answer, KEYRING_ANSWER_MOST);
	append_blob(&blob, "ssh-ed25519", number);
	ssh_wire_append_string(&data, slice_of(id, sizeof(id)));
	buffer_append_byte(&data, 50);
	ssh_wire_append_string(&data, slice_from_string(user));
	ssh_wire_append_string(&data, slice_from_string("ssh-connection"));
	ssh_wire_append_string(&data, slice_from_string("publickey"));
	buffer_append_byte(&data, 1);
	ssh_wire_append_string(&data, slice_from_string("ssh-ed25519"));
	ssh_wire_append_string(&data, buffer_slice(&blob));
	buffer_append_byte(&request, 13);
	ssh_wire_append_string(&request, buffer_slice(&blob));
	ssh_wire_append_string(&request, buffer_slice(&data));
	buffer_append_u32(&request, 0);
	cr_assert_eq(keyring_answer(k, buffer_slice(&request), &answer), 0);
	first = buffer_slice(&answer).data[0];
	buffer_done(&blob);
	buffer_done(&data);
	buffer_done(&request);
	buffer_done(&answer);
	return first;
}

static void set_signature(struct behind *b, const char *algorithm, size_t length)
{
	static const uint8_t bytes[2 * SSHKEY_BLOB_MOST];
	struct buffer signature;

	buffer_init(&signature, sizeof(bytes) + 1024);
	ssh_wire_append_string(&signature, slice_from_string(algorithm));
	ssh_wire_append_string(&signature, slice_of(bytes, length));
	buffer_clear(&b->signature);
	buffer_append_byte(&b->signature, 14);
	ssh_wire_append_string(&b->signature, buffer_slice(&signature));
	buffer_done(&signature);
}

Test(keyring, an_ssh_agent_behind_signs_logins_alone)
{
	struct behind b;
	struct keyring k;

	open_behind(&b, &k);
	begin_identities(&b, 2);
	add_identity(&b, "ssh-ed25519", 1);
	add_identity(&b, "ssh-ed25519", 2);
	cr_assert_eq(keyring_add_from_agent(&k), 0);
	cr_assert_eq(k.count, 2);
	set_signature(&b, "ssh-ed25519", 64);
	cr_expect_eq(sign(&k, "admin", 1), 5);
	cr_expect_eq(sign(&k, "root", 3), 5, "a key that it did not name");
	cr_expect_eq(b.asked, 0);
	cr_expect_eq(sign(&k, "root", 1), 14);
	cr_expect_eq(sign(&k, "root", 2), 14);
	cr_expect_eq(b.asked, 2);
	/* As often as there are keys: a login needs no more. */
	cr_expect_eq(sign(&k, "root", 1), 5);
	cr_expect_eq(b.asked, 2);
	close_behind(&b, &k);
}

Test(keyring, its_signature_is_one_or_nothing)
{
	struct behind b;
	struct keyring k;

	open_behind(&b, &k);
	begin_identities(&b, LIMIT_SSH_OWN_KEYS);
	for (uint8_t i = 0; i < LIMIT_SSH_OWN_KEYS; i++)
		add_identity(&b, "ssh-ed25519", i);
	cr_assert_eq(keyring_add_from_agent(&k), 0);
	cr_expect_eq(sign(&k, "root", 1), 5, "empty");
	buffer_append_byte(&b.signature, 5);
	cr_expect_eq(sign(&k, "root", 1), 5, "it does not want to");
	set_signature(&b, "ssh-ed25519", 0);
	cr_expect_eq(sign(&k, "root", 1), 5);
	set_signature(&b, "", 64);
	cr_expect_eq(sign(&k, "root", 1), 5);
	set_signature(&b, "ssh-ed25519", SSHKEY_BLOB_MOST + 1);
	cr_expect_eq(sign(&k, "root", 1), 5);
	set_signature(&b, "ssh-ed25519", 64);
	buffer_append_byte(&b.signature, 0);
	cr_expect_eq(sign(&k, "root", 1), 5, "more behind it");
	buffer_truncate(&b.signature, 20);
	cr_expect_eq(sign(&k, "root", 1), 5, "cut off");
	b.result = -ETIMEDOUT;
	cr_expect_eq(sign(&k, "root", 1), 5);
	close_behind(&b, &k);
}

Test(keyring, what_it_lists_is_taken_as_far_as_we_know_it)
{
	struct behind b;
	struct keyring k;

	open_behind(&b, &k);
	begin_identities(&b, 5);
	add_identity(&b, "ssh-ed25519", 1);
	add_identity(&b, "ssh-dss", 2);
	add_identity(&b, "sk-ssh-ed25519@openssh.com", 3);
	add_identity(&b, "ssh-ed25519", 1);
	add_identity(&b, "ssh-rsa", 4);
	cr_assert_eq(keyring_add_from_agent(&k), 0);
	cr_expect_eq(k.count, 2);
	close_behind(&b, &k);

	open_behind(&b, &k);
	begin_identities(&b, 100);
	for (uint8_t i = 0; i < 100; i++)
		add_identity(&b, "ssh-ed25519", i);
	cr_assert_eq(keyring_add_from_agent(&k), 0);
	cr_expect_eq(k.count, LIMIT_SSH_OWN_KEYS);
	close_behind(&b, &k);
}

Test(keyring, what_is_no_list_is_refused)
{
	struct behind b;
	struct keyring k;

	open_behind(&b, &k);
	cr_expect_eq(keyring_add_from_agent(&k), -EBADMSG, "empty");
	buffer_append_byte(&b.identities, 5);
	cr_expect_eq(keyring_add_from_agent(&k), -EBADMSG, "a refusal");
	begin_identities(&b, UINT32_MAX);
	add_identity(&b, "ssh-ed25519", 1);
	cr_expect_eq(keyring_add_from_agent(&k), -EBADMSG, "fewer than it says");
	begin_identities(&b, 0);
	buffer_append_byte(&b.identities, 0);
	cr_expect_eq(keyring_add_from_agent(&k), -EBADMSG, "more than it says");
	begin_identities(&b, 0);
	cr_expect_eq(keyring_add_from_agent(&k), 0);
	close_behind(&b, &k);
}

/* --- whose they are --- */

static int parse(const char *text, struct owner *ret)
{
	return owner_parse_status(slice_from_string(text), ret);
}

Test(owner, it_is_the_real_user)
{
	static struct owner o;

	cr_assert_eq(
		parse("Name:\tUid:\\n0\nUid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nGroups:\t4 24 \n",
			&o),
		0);
	cr_expect_eq(o.uid, 1000);
	cr_expect_eq(o.gid, 100);
	cr_expect_eq(o.group_count, 2);
	cr_expect_eq(o.groups[1], 24);
	cr_assert_eq(parse("Uid:\t1\nGid:\t1\nGroups:\t\n", &o), 0);
	cr_expect_eq(o.group_count, 0);
}

Test(owner, what_is_not_all_there_is_refused)
{
	static const char *const texts[] = {"", "Uid:\t1\nGid:\t1\n", "Uid:\t1\nGroups:\t1\n",
		"Uid:\t-1\nGid:\t1\nGroups:\n", "Uid:\t4294967296\nGid:\t1\nGroups:\n",
		"Uid:\t1\nGid:\t1\nGroups:\tx\n", "Uid:\nGid:\t1\nGroups:\n"};
	static struct owner o;
	struct buffer many;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_expect_eq(parse(texts[i], &o), -EBADMSG, "%zu", i);
	buffer_init(&many, 65536);
	buffer_append_string(&many, "Uid:\t1\nGid:\t1\nGroups:");
	for (unsigned i = 0; i <= OWNER_GROUPS_MOST; i++)
		buffer_append_format(&many, " %u", i);
	cr_expect_eq(owner_parse_status(buffer_slice(&many), &o), -E2BIG);
	buffer_done(&many);
}

static void expect_variable(struct slice environment, const char *name, const char *expected)
{
	char *found = owner_find_variable(environment, name);

	if (expected)
		cr_expect_str_eq(found, expected);
	else
		cr_expect_null(found);
	free(found);
}

Test(owner, a_variable_is_the_first_of_its_name)
{
	static const char environment[] = "XHOME=/x\0HOME\0HOME=/a\0HOME=/b\0EMPTY=\0LAST=l";
	const struct slice all = slice_of(environment, sizeof(environment) - 1);

	expect_variable(all, "HOME", "/a");
	expect_variable(all, "EMPTY", NULL);
	expect_variable(all, "LAST", "l");
	expect_variable(all, "HOM", NULL);
	expect_variable(SLICE_EMPTY, "HOME", NULL);
}

/* Links lead nowhere but below its root, and not through /proc. */
Test(owner, a_path_stays_below_its_root)
{
	char folder[] = "/tmp/wayleave-owner-XXXXXX";
	struct owner o = {.root = -1};
	char *command;
	int fd;

	cr_assert(mkdtemp(folder));
	command = memory_format("cd %s && mkdir etc && echo inside > etc/hostname && "
				"ln -s /etc/hostname absolute && ln -s ../../../etc/hostname up && "
				"ln -s /nowhere/passwd gone",
		folder);
	cr_assert_eq(system(command), 0);
	free(command);
	o.root = open(folder, O_PATH | O_DIRECTORY);
	for (size_t i = 0; i < 3; i++) {
		static const char *const paths[] = {"/absolute", "/up", "/../etc/hostname"};
		char text[8] = "";

		fd = owner_open(&o, paths[i], O_RDONLY);
		cr_assert_geq(fd, 0, "%s", paths[i]);
		cr_expect_eq(read(fd, text, 7), 7);
		cr_expect_str_eq(text, "inside\n", "%s", paths[i]);
		close(fd);
	}
	cr_expect_eq(owner_open(&o, "/gone", O_RDONLY), -ENOENT);
	cr_expect_eq(owner_open(&o, "etc/hostname", O_RDONLY), -EINVAL);
	cr_expect_eq(owner_open(&o, "", O_RDONLY), -EINVAL);
	owner_done(&o);
	command = memory_format("rm -r %s", folder);
	cr_assert_eq(system(command), 0);
	free(command);
}

/* --- its process --- */

static void stop_oneself(void)
{
	raise(SIGSTOP);
}

/* Whether it does by itself; it does in the end. */
static bool ends(pid_t pid, int *ret_status)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (waitpid(pid, ret_status, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, ret_status, 0);
	return false;
}

/* What has an agent's user the agent may stop; no alarm ends it then. */
Test(monitor_own_keys, a_process_that_was_stopped_is_ended)
{
	struct own_keys_start start = {.signer = -1};
	struct own_keys_processes p;
	uint64_t now;
	int status, fd;
	struct error e;
	pid_t pid;

	cr_assert_eq(pthread_atfork(NULL, NULL, stop_oneself), 0);
	own_keys_open(&p);
	cr_assert_eq(own_keys_begin(&p, 1, &start, &fd, &e), 0);
	pid = waitpid(-1, &status, WUNTRACED);
	cr_assert(pid > 0 && WIFSTOPPED(status));
	now = clock_monotonic();
	own_keys_tick(&p, now + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND);
	usleep(50000);
	cr_expect_eq(waitpid(pid, &status, WNOHANG), 0);
	own_keys_tick(&p, now + 2 * LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND);
	cr_expect(ends(pid, &status));
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	cr_expect(own_keys_on_exit(&p, pid, status));
	cr_expect_eq(p.count, 0);
	own_keys_close(&p);
	close(fd);
}
