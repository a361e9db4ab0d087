/* SPDX-License-Identifier: Apache-2.0
 *
 * The kubeconfigs that a command has, and the CA of a pod; and that of a user whose folders root
 * can't list, as on NFS: here root without the capabilities that make it read everything.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "launcher/launcher.h"

#define USER 65534
#define CONFIG                                                                                     \
	"apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: "             \
	"https://c\n    certificate-authority-data: "                                              \
	"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K\n"
#define HOST_CA "-----BEGIN CERTIFICATE-----\nSG9zdA==\n-----END CERTIFICATE-----\n"

static void write_text(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	cr_assert_eq(syscall(SYS_capget, &head, data), 0);
	for (size_t i = 0; i < 2; i++)
		data[i].inheritable = 0;
	data[0].permitted &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
	data[0].effective = data[0].permitted;
	cr_assert_eq(syscall(SYS_capset, &head, data), 0, "%s", strerror(errno));
}

/* What root, as its group, may do in it. Its mode says all, as an access list's does, so that root
 * can write into a filesystem that is made like it. */
static void let_root(const char *folder, uint16_t may)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, may;
			uint32_t id;
		} entries[4];
	} list = {2, {{1, 7, 0}, {4, may, 0}, {0x10, 7, 0}, {0x20, 0, 0}}};

	cr_assert_eq(setxattr(folder, "system.posix_acl_access", &list, sizeof(list), 0), 0, "%s",
		strerror(errno));
}

/* Whether it was, in a namespace of its own. */
static bool make_home(uint16_t may)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("t", "/mnt", "tmpfs", 0, "mode=755") < 0)
		return false;
	write_text("/mnt/ca.pem", HOST_CA, 0644);
	cr_assert_eq(mkdir("/mnt/.kube", 0700), 0);
	write_text("/mnt/.kube/config", CONFIG, 0600);
	cr_assert_eq(chown("/mnt/.kube/config", USER, USER), 0);
	cr_assert_eq(chown("/mnt/.kube", USER, 0), 0);
	let_root("/mnt/.kube", may);
	drop_capabilities();
	return true;
}

static void check_shown(void)
{
	static char home[] = "HOME=/mnt";
	char *environment[] = {home, NULL}, text[4096] = "";
	const struct caller user = {USER, USER};
	struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER, .trust_file = "/mnt/ca.pem"};
	struct error e = {0};
	int fd;

	cr_assert_eq(kubeconfig_show(environment, &plan, &user, &e), 0, "%s", e.text);
	cr_assert_eq(setegid(USER) | seteuid(USER), 0);
	fd = open("/mnt/.kube/config", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	cr_expect_neq(strcmp(text, CONFIG), 0); /* with the host's CA */
	cr_expect(strstr(text, "server: https://c"));
	/* For what looks for leaks at the end. */
	cr_assert_eq(seteuid(0) | prctl(PR_SET_DUMPABLE, 1), 0);
}

Test(launcher_kubeconfig, a_folder_that_root_lists)
{
	if (!make_home(7))
		cr_skip("needs root");
	check_shown();
}

Test(launcher_kubeconfig, a_folder_that_root_can_not_list)
{
	if (!make_home(1))
		cr_skip("needs root");
	check_shown();
}

Test(launcher_kubeconfig, a_folder_that_root_can_not_enter)
{
	if (!make_home(0))
		cr_skip("needs root");
	check_shown();
}

/* --- several files --- */

#define IN_POD "/var/run/secrets/kubernetes.io/serviceaccount/"
#define CA "-----BEGIN CERTIFICATE-----\nQUE=\n-----END CERTIFICATE-----\n"

static const char *read_text(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	cr_assert_gt(n, 0, "%s", path);
	text[n] = '\0';
	return text;
}

static void make_folder(const char *path)
{
	cr_assert(mkdir(path, 0755) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
}

/* Root's, in a namespace of its own. */
static bool make_root(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("t", "/mnt", "tmpfs", 0, "mode=755") < 0 ||
		mount("t", "/run", "tmpfs", 0, "mode=755") < 0)
		return false;
	write_text("/mnt/ca.pem", HOST_CA, 0644);
	make_folder("/mnt/.kube");
	make_folder("/mnt/.kube/cache");
	make_folder("/mnt/elsewhere");
	return true;
}

static void show(char *list)
{
	static char home[] = "HOME=/mnt";
	char *environment[] = {home, list, NULL};
	const struct caller root = {0, 0};
	struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER, .trust_file = "/mnt/ca.pem"};
	struct error e = {0};

	cr_assert_eq(kubeconfig_show(environment, &plan, &root, &e), 0, "%s", e.text);
}

/* kubectl merges them, and changes the one that has what is to be changed. */
Test(launcher_kubeconfig, several_files)
{
	static char list[] =
		"KUBECONFIG=/mnt/.kube/users:/mnt/.kube/config:/mnt/.kube/other:/mnt/none::"
		"elsewhere/third:/mnt/.kube/other";
	static const struct {
		const char *path, *text;
	} files[] = {{"/mnt/.kube/users", "users: []\n"}, {"/mnt/.kube/config", CONFIG},
		{"/mnt/.kube/other", CONFIG}, {"/mnt/elsewhere/third", CONFIG}};
	int on_disk[4];

	if (!make_root())
		cr_skip("needs root");
	for (size_t i = 0; i < 4; i++) {
		write_text(files[i].path, files[i].text, 0600);
		on_disk[i] = open(files[i].path, O_RDONLY | O_CLOEXEC);
	}
	write_text("/mnt/.kube/cache/kept", "kept", 0600);
	cr_assert_eq(chdir("/mnt"), 0);
	show(list);
	cr_expect_str_eq(read_text(files[0].path), files[0].text);
	for (size_t i = 1; i < 4; i++)
		cr_expect_neq(strcmp(read_text(files[i].path), CONFIG), 0, "%s", files[i].path);
	cr_expect_str_eq(read_text("/mnt/.kube/cache/kept"), "kept");
	/* Those in the folder of their own can be written anew by rename. */
	for (size_t i = 0; i < 3; i++) {
		write_text("/mnt/.kube/new", "anew", 0600);
		cr_expect_eq(rename("/mnt/.kube/new", files[i].path), 0, "%s: %s", files[i].path,
			strerror(errno));
		cr_expect_str_eq(read_text(files[i].path), "anew");
	}
	for (size_t i = 0; i < 4; i++) {
		char text[4096] = "";

		cr_assert_gt(read(on_disk[i], text, sizeof(text) - 1), 0);
		close(on_disk[i]);
		cr_expect_str_eq(text, files[i].text);
	}
}

#define NAMING "clusters:\n- name: c\n  cluster: {certificate-authority: ca.crt}\n"

/* Below the folder of their own, with the file of CAs that one names: all of them can be written
 * anew by rename, which leaves what is on disk as it is. */
Test(launcher_kubeconfig, files_below)
{
	static char list[] = "KUBECONFIG=/mnt/.kube/config:/mnt/.kube/configs/prod/c";
	static const struct {
		const char *path, *text;
	} files[] = {{"/mnt/.kube/config", NAMING}, {"/mnt/.kube/ca.crt", CA},
		{"/mnt/.kube/configs/prod/c", NAMING}, {"/mnt/.kube/configs/prod/ca.crt", CA}};
	int on_disk[4];

	if (!make_root())
		cr_skip("needs root");
	make_folder("/mnt/.kube/configs");
	make_folder("/mnt/.kube/configs/prod");
	for (size_t i = 0; i < 4; i++) {
		write_text(files[i].path, files[i].text, 0600);
		on_disk[i] = open(files[i].path, O_RDONLY | O_CLOEXEC);
	}
	show(list);
	for (size_t i = 0; i < 4; i++) {
		char text[4096] = "", made[64];

		if (strcmp(files[i].text, CA) == 0)
			cr_expect(strstr(read_text(files[i].path), HOST_CA), "%s", files[i].path);
		snprintf(made, sizeof(made), "%s.new", files[i].path);
		write_text(made, "anew", 0600);
		cr_expect_eq(
			rename(made, files[i].path), 0, "%s: %s", files[i].path, strerror(errno));
		cr_expect_str_eq(read_text(files[i].path), "anew");
		cr_assert_gt(pread(on_disk[i], text, sizeof(text) - 1, 0), 0);
		cr_expect_str_eq(text, files[i].text);
		close(on_disk[i]);
	}
}

static void write_in_place(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* What is made beside such a file stays when the command has ended, so its folder is the real one.
 * A link in the own folder to another one does not make that one's files such. */
Test(launcher_kubeconfig, files_elsewhere)
{
	static char list[] =
		"KUBECONFIG=/mnt/elsewhere/c:/mnt/.kube/linked/d:/mnt/.kube/../elsewhere/e";
	static const char *const files[] = {
		"/mnt/elsewhere/c", "/mnt/elsewhere/d", "/mnt/elsewhere/e"};
	struct stat before, after;

	if (!make_root())
		cr_skip("needs root");
	cr_assert_eq(symlink("/mnt/elsewhere", "/mnt/.kube/linked"), 0);
	for (size_t i = 0; i < 3; i++)
		write_text(files[i], CONFIG, 0600);
	cr_assert_eq(stat("/mnt/elsewhere", &before), 0);
	show(list);
	cr_assert_eq(stat("/mnt/elsewhere", &after), 0);
	cr_expect_eq(before.st_dev, after.st_dev);
	for (size_t i = 0; i < 3; i++) {
		cr_expect_neq(strcmp(read_text(files[i]), CONFIG), 0, "%s", files[i]);
		/* As kubectl does it; another file can't take its place. */
		write_in_place(files[i], "anew");
		cr_expect_str_eq(read_text(files[i]), "anew");
		write_text("/mnt/elsewhere/new", "anew", 0600);
		cr_expect_eq(rename("/mnt/elsewhere/new", files[i]), -1);
		cr_expect_eq(errno, EBUSY);
		cr_assert_eq(umount2(files[i], MNT_DETACH), 0);
		cr_expect_str_eq(read_text(files[i]), CONFIG);
	}
}

Test(launcher_kubeconfig, where_the_command_begins)
{
	static char list[] = "KUBECONFIG=config";

	if (!make_root())
		cr_skip("needs root");
	write_text("/mnt/.kube/config", CONFIG, 0600);
	cr_assert_eq(chdir("/mnt/.kube"), 0);
	show(list);
	cr_expect_neq(strcmp(read_text("config"), CONFIG), 0);
}

/* One whom a file's access list lets in, and nobody else by what its mode says of the group. */
static void let_user(const char *path, uint16_t may)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, may;
			uint32_t id;
		} entries[5];
	} list = {2,
		{{1, 7, (uint32_t)-1}, {2, may, USER}, {4, 0, (uint32_t)-1},
			{0x10, 7, (uint32_t)-1}, {0x20, 0, (uint32_t)-1}}};

	cr_assert_eq(setxattr(path, "system.posix_acl_access", &list, sizeof(list), 0), 0, "%s",
		strerror(errno));
}

static bool may_read(uid_t uid, gid_t gid, const char *path)
{
	bool may;

	cr_assert_eq(setegid(gid) | seteuid(uid), 0);
	may = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0;
	cr_assert_eq(seteuid(0) | setegid(0), 0);
	return may;
}

Test(launcher_kubeconfig, access_lists)
{
	static char home[] = "HOME=/mnt", list[] = "KUBECONFIG=/mnt/.kube/config:/mnt/elsewhere/c";
	static const char *const files[] = {"/mnt/.kube/config", "/mnt/elsewhere/c"};
	char *environment[] = {home, list, NULL};
	const struct caller user = {USER, USER};
	struct run_plan plan = {.flags = RUN_PLAN_KEEP_USER, .trust_file = "/mnt/ca.pem"};
	struct error e = {0};

	if (!make_root())
		cr_skip("needs root");
	cr_assert_eq(setgroups(0, NULL), 0);
	cr_assert_eq(chmod("/mnt/.kube", 0700), 0);
	let_user("/mnt/.kube", 5);
	for (size_t i = 0; i < 2; i++) {
		write_text(files[i], CONFIG, 0600);
		let_user(files[i], 4);
		cr_assert(may_read(USER, USER, files[i]));
	}
	cr_assert_eq(kubeconfig_show(environment, &plan, &user, &e), 0, "%s", e.text);
	for (size_t i = 0; i < 2; i++) {
		cr_expect_neq(strcmp(read_text(files[i]), CONFIG), 0, "%s", files[i]);
		cr_expect(may_read(USER, USER, files[i]), "%s", files[i]);
		/* By its group. */
		cr_expect_not(may_read(USER - 1, 0, files[i]), "%s", files[i]);
	}
	cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

/* As the kubelet makes it: behind two links. */
Test(launcher_kubeconfig, the_ca_of_a_pod)
{
	static char none[] = "KUBECONFIG=";
	int before;

	if (!make_root())
		cr_skip("needs root");
	make_folder("/var/run/secrets");
	make_folder("/var/run/secrets/kubernetes.io");
	make_folder(IN_POD);
	make_folder(IN_POD "..2024");
	write_text(IN_POD "..2024/ca.crt", CA, 0644);
	cr_assert_eq(symlink("..2024", IN_POD "..data"), 0);
	cr_assert_eq(symlink("..data/ca.crt", IN_POD "ca.crt"), 0);
	before = open(IN_POD "ca.crt", O_RDONLY | O_CLOEXEC);
	show(none);
	cr_expect(strstr(read_text(IN_POD "ca.crt"), CA));
	cr_expect(strstr(read_text(IN_POD "ca.crt"), HOST_CA));
	/* What is there stays as it is. */
	cr_expect_str_eq(read_text("/mnt/ca.pem"), HOST_CA);
	{
		char text[4096] = "";

		cr_assert_gt(read(before, text, sizeof(text) - 1), 0);
		cr_expect_str_eq(text, CA);
		close(before);
	}
}
