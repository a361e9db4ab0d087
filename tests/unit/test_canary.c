/* SPDX-License-Identifier: Apache-2.0
 *
 * Outside of all agents the ways are open: the canary would see that.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/canary_ways.h"

static struct canary_catcher listen_at_loopback(void)
{
	struct canary_catcher c = {.length = sizeof(c.address.v4)};

	c.address.v4.sin_family = AF_INET;
	c.address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(c.fd, &c.address.any, c.length), 0);
	cr_assert_eq(listen(c.fd, 1), 0);
	cr_assert_eq(getsockname(c.fd, &c.address.any, &c.length), 0);
	return c;
}

static void expect_caught(enum canary_way way)
{
	struct canary_catcher c = listen_at_loopback();
	int error = canary_try(way, &c, "/");

	cr_expect(error == 0, "%s: %s", canary_way_text(way)->name, strerror(error));
	cr_expect(accept(c.fd, NULL, NULL) >= 0, "%s: nothing arrived", canary_way_text(way)->name);
	close(c.fd);
}

Test(canary, an_open_way_ends_at_the_catcher)
{
	expect_caught(CANARY_TCP4);
	expect_caught(CANARY_FAST_OPEN);
}

Test(canary, an_open_way_by_io_uring)
{
	struct canary_catcher c = listen_at_loopback();
	int error = canary_try(CANARY_IO_URING, &c, "/");

	if (error == EPERM || error == ENOSYS)
		cr_skip("io_uring is switched off");
	cr_expect_eq(error, 0);
	cr_expect(accept(c.fd, NULL, NULL) >= 0);
}

Test(canary, leaving_a_cgroup_that_lets_one)
{
	char folder[] = "/tmp/test_canary.XXXXXX", path[64];
	int fd;

	cr_assert_not_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	cr_expect_eq(canary_try(CANARY_CGROUP, NULL, folder), ENOENT);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	cr_expect_eq(canary_try(CANARY_CGROUP, NULL, folder), 0);
	close(fd);
	unlink(path);
	rmdir(folder);
}

Test(canary, every_way_has_a_name)
{
	for (int i = 0; i < CANARY_WAY_COUNT; i++) {
		const struct canary_way_text *text = canary_way_text((enum canary_way)i);

		cr_assert(text->name && *text->name && text->text && *text->text);
	}
}
