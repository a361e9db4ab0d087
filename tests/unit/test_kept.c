/* SPDX-License-Identifier: Apache-2.0
 *
 * What is kept of servers' connections: for whom, how many, for how long.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/kept.h"

static struct kept kept;

/* A connection of which `ret_server` is the server's end, which it names. */
static struct kept_connection connection(int *ret_server)
{
	struct kept_connection c = {.made = 1};
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	c.connection.fd = ends[0];
	*ret_server = ends[1];
	snprintf(c.session.text, sizeof(c.session.text), "s-%d", ends[1]);
	return c;
}

static struct kept_key key(uint32_t agent)
{
	struct kept_key k;

	memset(&k, 0, sizeof(k));
	k.scope = 7;
	k.agent = agent;
	k.port = 443;
	return k;
}

/* Keeps one until `until`; the server's end. */
static int put(const struct kept_key *k, uint64_t until)
{
	int server;
	struct kept_connection c = connection(&server);

	kept_put(&kept, k, &c, until);
	return server;
}

static bool is_closed(int server)
{
	char byte;

	return recv(server, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Whether one is taken, which is the one with that server's end. */
static bool takes(const struct kept_key *k, uint64_t now, int server)
{
	struct kept_connection c;
	char wanted[sizeof(c.session.text)];

	if (!kept_take(&kept, k, now, &c))
		return false;
	snprintf(wanted, sizeof(wanted), "s-%d", server);
	cr_assert_str_eq(c.session.text, wanted);
	cr_assert_not(is_closed(server));
	leg_connection_close(&c.connection);
	cr_assert(is_closed(server));
	return true;
}

static void begin(void)
{
	kept_init(&kept);
}

static void end(void)
{
	kept_clear(&kept);
	cr_assert_eq(kept.count, 0);
}

TestSuite(kept, .init = begin, .fini = end);

Test(kept, is_had_once)
{
	struct kept_key k = key(1);
	int server = put(&k, 100);

	cr_assert(takes(&k, 0, server));
	cr_assert_not(takes(&k, 0, server));
}

/* Of all that tells two apart, each byte does. */
Test(kept, only_for_the_very_same)
{
	struct kept_key k = key(1), other;
	int server = put(&k, 100);

	for (size_t i = 0; i < sizeof(k); i++) {
		other = k;
		((uint8_t *)&other)[i] ^= 1;
		cr_assert_not(takes(&other, 0, server), "byte %zu", i);
	}
	cr_assert(takes(&k, 0, server));
}

Test(kept, the_latest_first)
{
	struct kept_key k = key(1);
	int first = put(&k, 100), second = put(&k, 100);

	cr_assert(takes(&k, 0, second));
	cr_assert(takes(&k, 0, first));
}

Test(kept, for_its_time)
{
	struct kept_key k = key(1);
	int first = put(&k, 100), second = put(&k, 200);

	kept_tick(&kept, 99);
	cr_assert_eq(kept.count, 2);
	kept_tick(&kept, 100);
	cr_assert_eq(kept.count, 1);
	cr_assert(is_closed(first));
	cr_assert_not(takes(&k, 200, second));
	cr_assert(is_closed(second));
}

Test(kept, not_when_the_server_says_something)
{
	struct kept_key k = key(1);
	int silent = put(&k, 100), talks = put(&k, 100);

	cr_assert_eq(write(talks, "x", 1), 1);
	cr_assert(takes(&k, 0, silent));
	cr_assert_eq(kept.count, 0);
	talks = put(&k, 100);
	cr_assert_eq(write(talks, "x", 1), 1);
	kept_tick(&kept, 0);
	cr_assert_eq(kept.count, 0);
}

Test(kept, not_when_the_server_ends_it)
{
	struct kept_key k = key(1);

	close(put(&k, 100));
	cr_assert_not(takes(&k, 0, -1));
	shutdown(put(&k, 100), SHUT_WR);
	kept_tick(&kept, 0);
	cr_assert_eq(kept.count, 0);
}

Test(kept, so_many_of_an_agent)
{
	struct kept_key k = key(1), other = key(2);
	int first = put(&k, 100), second = put(&k, 100), others = put(&other, 100);

	for (size_t i = 2; i < KEPT_MOST_AGENT; i++)
		put(&k, 100);
	cr_assert_not(is_closed(first) || recv(first, &(char){0}, 1, MSG_DONTWAIT) >= 0);
	put(&k, 100);
	cr_assert(is_closed(first));
	cr_assert_eq(kept_count(&kept, 1), KEPT_MOST_AGENT);
	cr_assert_not(is_closed(second));
	cr_assert(takes(&other, 0, others));
}

Test(kept, so_many_of_all)
{
	struct kept_key k = key(1);
	int first = put(&k, 100);

	for (uint32_t i = 1; i < KEPT_MOST; i++) {
		k.agent = 2 + i / 8;
		put(&k, 100);
	}
	cr_assert_not(is_closed(first));
	cr_assert_eq(kept.count, KEPT_MOST);
	put(&k, 100);
	cr_assert_eq(kept.count, KEPT_MOST);
	cr_assert(is_closed(first));
}

Test(kept, dropped_when_there_is_no_room)
{
	struct kept_key k = key(1), other = key(2);
	int others = put(&other, 100), first = put(&k, 100), second = put(&k, 100);

	kept_drop(&kept, 1);
	cr_assert(is_closed(first));
	cr_assert_not(is_closed(second));
	cr_assert_not(is_closed(others));
	kept_drop(&kept, 3);
	cr_assert_eq(kept.count, 2);
	kept_clear(&kept);
	cr_assert(is_closed(second) && is_closed(others));
}
