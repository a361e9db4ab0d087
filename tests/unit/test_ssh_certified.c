/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts that are asked for their certificate and do not show one. One that does is asked in
 * tests/e2e/test_ssh_host_certificates.py.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "ssh/certified.h"

#define GREETING "SSH-2.0-OpenSSH_9.2p1\r\n"
#define PATIENCE (100 * NANOSECONDS_PER_MILLISECOND)

/* What comes of asking a host that says this, and then nothing, or ends the connection. */
static int ask(const char *said, bool ends, struct error *e)
{
	struct known_host_names names = {0};
	struct buffer line;
	int pair[2], r;

	buffer_init(&line, 1024);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	cr_assert_eq(write(pair[1], said, strlen(said)), (ssize_t)strlen(said));
	if (ends)
		shutdown(pair[1], SHUT_WR);
	r = certified_ask(pair[0], clock_monotonic() + PATIENCE, SLICE_EMPTY, &names, &line, e);
	cr_expect_eq(buffer_length(&line), 0);
	buffer_done(&line);
	close(pair[0]);
	close(pair[1]);
	return r;
}

Test(ssh_certified, a_silent_host_is_not_waited_for_any_longer, .timeout = 10)
{
	static const char *const said[] = {"", "SSH-2.0-Open", GREETING, GREETING "a"};

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		uint64_t begin = clock_monotonic();
		struct error e = {""};

		cr_expect_eq(ask(said[i], false, &e), -ETIMEDOUT, "%zu", i);
		cr_expect_str_eq(e.text, "it does not answer");
		cr_expect_geq(clock_monotonic() - begin, PATIENCE, "%zu", i);
	}
}

Test(ssh_certified, a_host_that_ends_the_connection, .timeout = 10)
{
	struct error e = {""};

	cr_expect_eq(ask(GREETING, true, &e), -ECONNRESET);
	cr_expect_str_eq(e.text, "it ended the connection");
}
