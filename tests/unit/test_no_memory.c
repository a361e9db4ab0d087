/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocations that fail, one after the other and from one on, while what others wrote is read: a
 * configuration with its policy, the image of that which workers get, plans and messages of the
 * control socket. Each time all of it is there, or nothing and a reason: an error, or the end of
 * the process with a message where it is about a few bytes of our own (base/memory.h). The
 * sanitizers have an allocator of their own, in whose place there can't be another: with them all
 * is read, and nothing fails.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "monitor/control.h"
#include "monitor/run_plan.h"
#include "policy_test.h"

#define TEXT_MOST 4096

/* 0, with a number for all that it made; or a negative errno, with a reason in `why`, and nothing
 * made. */
typedef int task(uint64_t *ret_sum, char why[TEXT_MOST]);

#ifdef __SANITIZE_ADDRESS__

static void expect_all_or_nothing(const char *name, task *run, bool may_end)
{
	static char why[TEXT_MOST];
	uint64_t first = 0, second = 0;

	(void)may_end;
	cr_assert_eq(run(&first, why), 0, "%s: %s", name, why);
	cr_assert_eq(run(&second, why), 0, "%s: %s", name, why);
	cr_assert(first && first == second, "%s", name);
}

#else

/* --- an allocator that fails --- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

static long before = -1; /* allocations that succeed until one fails; negative: none does */
static bool for_good; /* all that follow fail, too */
static long made; /* since it was set to 0 */

static bool fails(void)
{
	made++;
	if (before < 0)
		return false;
	if (before > 0) {
		before--;
		return false;
	}
	if (!for_good)
		before = -1;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
	return fails() ? NULL : __libc_realloc(pointer, size);
}

void *reallocarray(void *pointer, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return fails() ? NULL : __libc_realloc(pointer, bytes);
}

/* --- each in a process of its own --- */

#define TRIES_MOST 400 /* of one kind; of more allocations some are left out */
enum outcome { MADE = 10, REFUSED, HALF_MADE, WITHOUT_REASON };

static enum outcome try(task *run, uint64_t expected)
{
	static char why[TEXT_MOST];
	uint64_t sum = 0;
	int r = run(&sum, why);

	before = -1;
	if (r == 0)
		return sum == expected ? MADE : HALF_MADE;
	if (sum)
		return HALF_MADE;
	return why[0] ? REFUSED : WITHOUT_REASON;
}

/* What the process wrote to standard error. */
static int try_apart(task *run, uint64_t expected, long count, bool all, char ret[TEXT_MOST])
{
	FILE *said = tmpfile();
	size_t n;
	pid_t pid;
	int status;

	pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(fileno(said), STDERR_FILENO);
		setvbuf(stderr, NULL, _IONBF, 0); /* as it is where nobody changed it */
		for_good = all;
		before = count;
		_exit(try(run, expected));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	rewind(said);
	n = fread(ret, 1, TEXT_MOST - 1, said);
	ret[n] = '\0';
	fclose(said);
	return status;
}

static void expect_all_or_nothing(const char *name, task *run, bool may_end)
{
	static char why[TEXT_MOST];
	unsigned outcomes[WITHOUT_REASON + 1] = {0}, ended = 0;
	uint64_t expected = 0;
	long count, step;

	cr_assert_eq(run(&expected, why), 0, "%s: %s", name, why);
	made = 0;
	expected = 0;
	cr_assert_eq(run(&expected, why), 0);
	count = made;
	step = count / TRIES_MOST + 1;
	for (long i = 0; i < 2 * count; i += step) {
		int status = try_apart(run, expected, i % count, i >= count, why);

		if (WIFSIGNALED(status)) {
			cr_expect(WTERMSIG(status) == SIGABRT && strstr(why, "out of memory"),
				"%s: allocation %ld of %ld: signal %d, \"%s\"", name, i % count,
				count, WTERMSIG(status), why);
			ended++;
			continue;
		}
		cr_expect(WEXITSTATUS(status) == MADE || WEXITSTATUS(status) == REFUSED,
			"%s: allocation %ld of %ld: %d", name, i % count, count,
			WEXITSTATUS(status));
		outcomes[WEXITSTATUS(status) % (WITHOUT_REASON + 1)]++;
	}
	cr_expect_gt(outcomes[REFUSED] + ended, 0, "%s: none of %ld failed", name, count);
	cr_expect(may_end || !ended, "%s: %u ended the process", name, ended);
}

#endif

/* --- what is read --- */

static uint64_t sum_of(struct slice bytes)
{
	return XXH3_64bits(bytes.data, bytes.length) | 1;
}

static char folder[] = "/tmp/no-memory-XXXXXX";
static char *path;

static void make_files(void)
{
	FILE *file;

	cr_assert_not_null(mkdtemp(folder));
	path = memory_format("%s/rules.yaml", folder);
	file = fopen(path, "w");
	fputs("rules:\n"
	      "  - name: reads\n    resources: [shop]\n    operations: [read]\n"
	      "    objects: [\"public.orders\", \"*.customers\"]\n"
	      "    allow: {mask: [{columns: [\"public.customers.ssn\"], with: redact},"
	      " {detect: [email, credit_card], with: hash}]}\n"
	      "  - name: writes\n    resources: [shop, web]\n    operations: [write, POST]\n"
	      "    review: {by: dba, within: 15m, grant: 30m}\n"
	      "  - {name: never, operations: [ddl], deny: {message: \"by migrations\"}}\n",
		file);
	fclose(file);
	free(path);
	path = memory_format("%s/wayleave.yaml", folder);
	file = fopen(path, "w");
	fprintf(file,
		"state_dir: %s\nruntime_dir: %s\npolicies: [\"%s/rules.yaml\"]\n"
		"agents:\n"
		"  - {name: one, cgroup: a.slice/one, users: [root], limits: {rate: 3}}\n"
		"  - {name: two, cgroup: \"b.slice/*\", listen: allow}\n"
		"reviewers: {dba: {local_users: [root]}}\n"
		"resources:\n"
		"  - {name: shop, protocol: postgres, hosts: [\"10.0.0.1:5432\", "
		"\"[fd00::/8]:5432\"],"
		" tls: {upstream: require}}\n"
		"  - {name: web, protocol: http, hosts: [\"*.example.com:443\"]}\n",
		folder, folder, folder);
	fclose(file);
}

static void remove_files(void)
{
	char *command = memory_format("rm -rf %s", folder);

	cr_assert_eq(system(command), 0);
	free(command);
}

TestSuite(no_memory, .init = make_files, .fini = remove_files, .timeout = 60);

static int build_image(struct config *c, struct buffer *ret)
{
	buffer_init(ret, LIMIT_POLICY_IMAGE);
	return policy_image_build(c, 7, NULL, 0, ret);
}

static int load_configuration(uint64_t *ret_sum, char why[TEXT_MOST])
{
	struct config *c = NULL;
	struct diagnostics d;
	struct buffer image;
	int r;

	diagnostics_init(&d);
	r = config_load(path, 0, &d, &c);
	if (r < 0) {
		*ret_sum = c != NULL;
		if (d.errors && d.items[0].text)
			snprintf(why, TEXT_MOST, "%s", d.items[0].text);
	} else {
		r = build_image(c, &image);
		if (r == 0)
			*ret_sum = sum_of(buffer_slice(&image));
		else
			snprintf(why, TEXT_MOST, "%s", strerror(-r));
		buffer_done(&image);
		config_free(c);
	}
	diagnostics_done(&d);
	return r;
}

Test(no_memory, a_configuration)
{
	expect_all_or_nothing("configuration", load_configuration, true);
}

static int image_fd;

/* What it says of some questions. */
static uint64_t sum_of_policy(const struct policy *p)
{
	uint64_t sum = p->generation * 31 + p->agent_count * 37 + p->resource_count * 41;

	for (size_t i = 0; i < p->agent_count; i++)
		sum = sum * 43 + sum_of(p->agents[i].name) + p->agents[i].limits.rate;
	for (size_t i = 0; i < p->resource_count; i++)
		sum = sum * 47 + sum_of(p->resources[i].name);
	return sum;
}

static int open_image(uint64_t *ret_sum, char why[TEXT_MOST])
{
	struct error e = {""};
	struct policy *p = NULL;
	int r = policy_open_descriptor(image_fd, &p, &e);

	if (r < 0) {
		*ret_sum = p != NULL;
		snprintf(why, TEXT_MOST, "%s", e.text);
		return r;
	}
	*ret_sum = sum_of_policy(p);
	policy_put(p);
	return 0;
}

Test(no_memory, a_policy_that_a_worker_is_given)
{
	struct diagnostics d;
	struct config *c = NULL;
	struct buffer image;

	diagnostics_init(&d);
	cr_assert_eq(config_load(path, 0, &d, &c), 0);
	cr_assert_eq(build_image(c, &image), 0);
	image_fd = memfd_create("image", 0);
	cr_assert_eq(write(image_fd, buffer_slice(&image).data, buffer_length(&image)),
		(ssize_t)buffer_length(&image));
	buffer_done(&image);
	config_free(c);
	diagnostics_done(&d);
	expect_all_or_nothing("image", open_image, true);
}

static struct buffer plan_bytes;

static int decode_plan(uint64_t *ret_sum, char why[TEXT_MOST])
{
	struct run_plan plan = {0};
	struct arena memory;
	struct buffer again;
	int r;

	arena_init(&memory, 1 << 20);
	r = run_plan_decode(buffer_slice(&plan_bytes), &memory, &plan);
	if (r == 0) {
		buffer_init(&again, CONTROL_PAYLOAD_MOST);
		r = run_plan_encode(&plan, &again);
		if (r == 0)
			*ret_sum = sum_of(buffer_slice(&again));
		buffer_done(&again);
	}
	arena_done(&memory);
	if (r < 0)
		snprintf(why, TEXT_MOST, "%s", strerror(-r));
	return r == -ENOMEM || r == 0 ? r : 1;
}

/* Nothing of it is a process's end: the launcher says why. */
Test(no_memory, what_a_command_is_to_run_as)
{
	static const char *const hidden[] = {"/a", "/b", "/c"};
	static const struct run_path shown[] = {{"/d", "/e"}, {"/f", "/g"}};
	static const uint32_t groups[] = {1, 2, 3};
	const struct run_plan plan = {.agent = 5,
		.cgroup = 77,
		.cgroup_path = "/sys/fs/cgroup/a",
		.uid = 1000,
		.gid = 1000,
		.user = "ann",
		.home = "/home/ann",
		.groups = groups,
		.group_count = 3,
		.hidden = hidden,
		.hidden_count = 3,
		.shown = shown,
		.shown_count = 2,
		.trust_file = "/run/ca.pem"};

	buffer_init(&plan_bytes, CONTROL_PAYLOAD_MOST);
	cr_assert_eq(run_plan_encode(&plan, &plan_bytes), 0);
	expect_all_or_nothing("plan", decode_plan, false);
	buffer_done(&plan_bytes);
}

/* The descriptor that came is closed, or the caller's. */
static int pass_message(uint64_t *ret_sum, char why[TEXT_MOST])
{
	static uint8_t text[20000];
	struct control_header header = {.type = 9, .status = 3}, came = {0};
	int pair[2], fds[CONTROL_DESCRIPTORS_MOST], r;
	struct buffer payload;
	size_t count = 0;

	memset(text, 'x', sizeof(text));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return -errno;
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_send(pair[0], &header, slice_of(text, sizeof(text)), pair, 1);
	if (r == 0)
		r = control_receive(pair[1], &came, &payload, fds, &count);
	if (r == 0 && came.type == 9 && came.status == 3 && count == 1)
		*ret_sum = sum_of(buffer_slice(&payload));
	else if (count)
		*ret_sum = 1;
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	buffer_done(&payload);
	close(pair[0]);
	close(pair[1]);
	if (r < 0)
		snprintf(why, TEXT_MOST, "%s", strerror(-r));
	return r;
}

Test(no_memory, a_message_of_the_control_socket)
{
	expect_all_or_nothing("message", pass_message, false);
}
