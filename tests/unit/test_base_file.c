/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static void expect_same(const char *path)
{
	struct stat found, wanted;
	int fd = open(path, O_PATH | O_CLOEXEC);

	cr_assert_eq(stat(path, &wanted), 0);
	cr_expect_eq(file_identify(AT_FDCWD, path, &found), 0);
	cr_expect(found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino);
	cr_expect_eq(file_identify(fd, "", &found), 0);
	cr_expect(found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino);
	close(fd);
}

Test(file, is_known_by_device_and_inode)
{
	struct stat found;

	expect_same("/bin/sh");
	expect_same("/proc/self/exe");
	expect_same("/dev/null");
	cr_expect_eq(file_identify(AT_FDCWD, "/nowhere/at all", &found), -ENOENT);
}

Test(file, who_serves_a_filesystem_is_not_asked_which_file_it_is)
{
	char folder[] = "/tmp/test_file.XXXXXX", options[128];
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct stat found;

	cr_assert_not_null(mkdtemp(folder));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (fuse < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", folder, "fuse", 0, options) < 0) {
		rmdir(folder);
		cr_skip_test("no filesystem can be served here");
	}
	/* Nobody answers. */
	alarm(10);
	cr_expect_eq(file_identify(AT_FDCWD, folder, &found), 0);
	alarm(0);
	cr_expect_eq(found.st_ino, 1);
	close(fuse);
	cr_assert_eq(umount2(folder, MNT_DETACH), 0);
	rmdir(folder);
}
