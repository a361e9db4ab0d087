/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/host_path.h"

Test(host_path, each_place_has_one_text)
{
	static const char *const bad[] = {
		"", "a", "./a", "/", "//a", "/a/", "/a//b", "/.", "/a/.", "/./a", "/..", "/a/../b"};
	static const char *const good[] = {"/a", "/a/b", "/.a", "/..a", "/a/...", "/a/b.."};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(host_path_is_plain(bad[i]), "%s", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect(host_path_is_plain(good[i]), "%s", good[i]);
}

/* What opening the path says, and the link that it names. */
static int open_way(const char *path, const char *expected)
{
	char *link = NULL;
	int fd = -1, r = host_path_open(path, &fd, &link);

	if (r == 0)
		close(fd);
	if (expected)
		cr_expect(link && strcmp(link, expected) == 0, "%s", link ? link : "none");
	else
		cr_expect_null(link);
	free(link);
	return r;
}

Test(host_path, links_are_followed_where_root_alone_can_change_them)
{
	char folder[] = "/tmp/path-XXXXXX", *link, *inner, *through;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make root's links");
	cr_assert(mkdtemp(folder));
	inner = memory_format("%s/inner", folder);
	link = memory_format("%s/link", folder);
	through = memory_format("%s/link/./../inner//null", folder);
	cr_assert_eq(mkdir(inner, 0755), 0);
	cr_assert_eq(symlink("inner", link), 0);
	cr_expect_eq(open_way(link, NULL), 0);
	cr_expect_eq(open_way(through, NULL), -ENOENT);
	cr_expect_eq(open_way("/proc/self/root/dev/null", NULL), 0);
	/* Whoever can write to its folder could make it another one, */
	cr_assert_eq(chmod(folder, 0777), 0);
	cr_expect_eq(open_way(link, "link"), -ELOOP);
	cr_expect_eq(open_way(through, "link"), -ELOOP);
	cr_expect_eq(open_way(inner, NULL), 0);
	/* unless nobody but its owner may remove it. */
	cr_assert_eq(chmod(folder, 01777), 0);
	cr_expect_eq(open_way(link, NULL), 0);
	cr_assert_eq(lchown(link, 65534, 65534), 0);
	cr_expect_eq(open_way(link, "link"), -ELOOP);
	cr_assert_eq(lchown(link, 0, 0), 0);
	cr_assert_eq(chown(folder, 65534, 65534), 0);
	cr_expect_eq(open_way(link, "link"), -ELOOP);
	cr_assert_eq(chown(folder, 0, 0), 0);
	unlink(link);
	/* Nor is any followed for ever, or beyond what can't be entered. */
	cr_assert_eq(symlink("link", link), 0);
	cr_expect_eq(open_way(link, "link"), -ELOOP);
	unlink(link);
	cr_assert_eq(symlink("/dev/null", link), 0);
	cr_expect_eq(open_way(link, NULL), 0);
	free(through);
	through = memory_format("%s/link/more", folder);
	cr_expect_eq(open_way(through, NULL), -ENOTDIR);
	unlink(link);
	rmdir(inner);
	rmdir(folder);
	free(link);
	free(inner);
	free(through);
}
