/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder in which a command begins, while who starts it puts something else at its path: the
 * launcher is held, by a permission event of fanotify(7), where it opens what comes after it has
 * looked for the path and before it goes back there.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "launcher/launcher.h"

#define USER 65534
#define HOME "/mnt/home"
#define CONFIG                                                                                     \
	"clusters:\n- cluster:\n    certificate-authority-data: "                                  \
	"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K\n"
#define HOST_CA "-----BEGIN CERTIFICATE-----\nSG9zdA==\n-----END CERTIFICATE-----\n"
#define HOST_KEY "host ssh-ed25519 AAAA\n"

static const struct caller user = {USER, USER};
static pid_t swapper;

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchown(fd, USER, USER), 0);
	close(fd);
}

static void make_folder(const char *path, mode_t mode, uid_t owner)
{
	cr_assert_eq(mkdir(path, mode), 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(chown(path, owner, owner), 0);
}

/* In a namespace of its own: a home, in whose folder `a` the command is to begin, and what only
 * root gets to. */
static void make_root(void)
{
	static const char *const mounts[] = {"/mnt", "/run"};

	if (geteuid() != 0)
		cr_skip("needs root");
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
		cr_assert_eq(mount("t", mounts[i], "tmpfs", 0, "mode=755"), 0, "%s: %s", mounts[i],
			strerror(errno));
	make_folder("/mnt/secret", 0700, 0);
	make_folder("/mnt/secret/open", 0755, 0);
	make_folder(HOME, 0755, USER);
	make_folder(HOME "/a", 0755, USER);
	make_folder(HOME "/.kube", 0755, USER);
	make_folder(HOME "/.ssh", 0700, USER);
	write_text(HOME "/.kube/config", CONFIG);
	write_text(HOME "/.ssh/known_hosts", "mine ssh-ed25519 BBBB\n");
	write_text("/mnt/ca.pem", HOST_CA);
	write_text("/mnt/hosts", HOST_KEY);
	cr_assert_eq(chdir(HOME "/a"), 0);
}

static void answer_opens(int watch, const char *link)
{
	struct fanotify_event_metadata event;
	bool swapped = false;

	while (read(watch, &event, sizeof(event)) == sizeof(event)) {
		struct fanotify_response answer = {event.fd, FAN_ALLOW};

		if (!swapped && (rename(HOME "/a", HOME "/b") < 0 || symlink(link, HOME "/a") < 0))
			answer.response = FAN_DENY;
		swapped = true;
		if (write(watch, &answer, sizeof(answer)) != sizeof(answer))
			break;
		close(event.fd);
	}
	_exit(1);
}

/* A process in the test's mount namespace, that of the host for the launcher, which at the first
 * open of `path` puts a link where the folder was: to `to`, as that process sees it. */
static void swap_at_open(const char *path, const char *to, bool by_proc)
{
	int watch = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	cr_assert_geq(watch, 0, "%s", strerror(errno));
	cr_assert_eq(fanotify_mark(watch, FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ONDIR, AT_FDCWD, path),
		0, "%s", strerror(errno));
	swapper = fork();
	cr_assert_geq(swapper, 0);
	if (swapper == 0) {
		char *link = by_proc ? memory_format("/proc/%d/root%s", (int)getpid(), to)
				     : memory_copy_string(to);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		answer_opens(watch, link);
	}
	close(watch);
}

/* It was tried at all. */
static void expect_swapped(void)
{
	struct stat link;

	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	cr_assert(lstat(HOME "/a", &link) == 0 && S_ISLNK(link.st_mode));
	/* For what looks for leaks at the end. */
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

static void expect_in(const char *path)
{
	struct stat here, there;

	cr_assert_eq(stat(".", &here), 0);
	cr_assert_eq(stat(path, &there), 0);
	cr_expect(here.st_dev == there.st_dev && here.st_ino == there.st_ino, "not in %s", path);
}

/* The very folder, by its device and number, but in another namespace. */
Test(launcher_working_folder, a_link_out_of_the_namespace)
{
	static char home[] = "HOME=" HOME;
	char *environment[] = {home, NULL};
	const struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER};
	struct error e = {0};

	make_root();
	swap_at_open("/run", HOME "/b", true);
	cr_expect_eq(mounts_make(&plan, &user, environment, &e), -ENOENT);
	cr_expect(strstr(e.text, "is hidden from agents"), "%s", e.text);
	expect_swapped();
}

Test(launcher_working_folder, a_link_to_where_root_gets_beside_a_kubeconfig)
{
	static char home[] = "HOME=" HOME;
	char *environment[] = {home, NULL};
	const struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER, .trust_file = "/mnt/ca.pem"};
	struct error e = {0};

	make_root();
	swap_at_open(HOME "/.kube/config", "/mnt/secret/open", false);
	cr_expect_eq(kubeconfig_show(environment, &plan, &user, &e), 0, "%s", e.text);
	expect_swapped();
	expect_in(HOME "/b");
}

static void show_known_hosts(void)
{
	static char home[] = "HOME=" HOME;
	char *environment[] = {home, NULL};
	const struct run_path shown = {"/mnt/hosts", RUN_PLAN_KNOWN_HOSTS};
	const struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER | RUN_PLAN_USER_KNOWN_HOSTS,
		.shown = &shown,
		.shown_count = 1};
	struct buffer hosts;
	struct error e = {0};

	cr_assert_eq(user_known_hosts_read(&plan, &hosts, &e), 0, "%s", e.text);
	cr_assert_eq(user_known_hosts_show(environment, &plan, &user, &hosts, &e), 0, "%s", e.text);
	buffer_done(&hosts);
}

Test(launcher_working_folder, a_link_by_proc_beside_known_hosts)
{
	make_root();
	swap_at_open(HOME "/.ssh/known_hosts", "/mnt/secret/open", true);
	show_known_hosts();
	expect_swapped();
	expect_in(HOME "/b");
}

Test(launcher_working_folder, what_was_put_over_it_is_entered)
{
	char text[100] = "";
	int fd;

	make_root();
	cr_assert_eq(chdir(HOME "/.ssh"), 0);
	show_known_hosts();
	fd = open("known_hosts", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	cr_expect_eq(strncmp(text, HOST_KEY, strlen(HOST_KEY)), 0, "%s", text);
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

/* As by `setpriv` in a folder of root's. */
Test(launcher_working_folder, one_that_the_caller_can_not_enter_by_itself)
{
	struct working_folder folder;
	bool entered = false;
	struct error e = {0};

	make_root();
	cr_assert_eq(chdir("/mnt/secret/open"), 0);
	cr_assert_eq(working_folder_find(&folder), 0);
	cr_assert_eq(working_folder_enter(&folder, NULL, 0, &user, &entered, &e), 0, "%s", e.text);
	cr_expect(entered);
	expect_in("/mnt/secret/open");
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

Test(launcher_working_folder, another_folder_at_its_path)
{
	struct working_folder folder;
	bool entered = true;
	struct error e = {0};

	make_root();
	cr_assert_eq(working_folder_find(&folder), 0);
	cr_assert_eq(rename(HOME "/a", HOME "/b"), 0);
	make_folder(HOME "/a", 0755, USER);
	cr_assert_eq(working_folder_enter(&folder, NULL, 0, &user, &entered, &e), 0, "%s", e.text);
	cr_expect_not(entered);
	expect_in(HOME "/b");
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}
