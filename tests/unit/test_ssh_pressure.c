/* SPDX-License-Identifier: Apache-2.0
 *
 * What the library holds for either side of a session, whose library is played here.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/readahead.h"
#include "ssh/relay.h"

#define MIB (1u << 20)

static struct relay relay;
static struct lane lane;
static struct session {
	int fd, peer; /* of its connection */
	int status;
	size_t unread; /* in the library, in each stream of a channel */
} sessions[2];

/* --- the library --- */

int ssh_get_fd(ssh_session session)
{
	return ((struct session *)(void *)session)->fd;
}

int ssh_get_status(ssh_session session)
{
	return ((struct session *)(void *)session)->status;
}

/* Channels are their sessions. */
int ssh_channel_poll(ssh_channel channel, int errors)
{
	(void)errors;
	return (int)((struct session *)(void *)channel)->unread;
}

/* --- */

static void setup(void)
{
	list_init(&relay.lanes);
	list_init(&relay.listeners);
	list_append(&relay.lanes, &lane.link);
	relay.agent = (ssh_session)(void *)&sessions[SIDE_AGENT];
	relay.server = (ssh_session)(void *)&sessions[SIDE_SERVER];
	for (size_t i = 0; i < ARRAY_SIZE(sessions); i++) {
		int fds[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		sessions[i] = (struct session){.fd = fds[0], .peer = fds[1]};
		readahead_add(fds[0]);
		cr_assert_eq(write(fds[1], "x", 1), 1);
	}
	lane.flows[BRIDGE_STDIN].from = (ssh_channel)(void *)&sessions[SIDE_AGENT];
	lane.flows[BRIDGE_STDOUT].from = (ssh_channel)(void *)&sessions[SIDE_SERVER];
}

TestSuite(ssh_pressure, .init = setup);

static bool is_read(enum side side)
{
	struct pollfd p = {.fd = sessions[side].fd, .events = POLLIN};

	return readahead_poll(&p, 1, 0) == 1;
}

Test(ssh_pressure, a_host_is_read_again_when_there_is_room)
{
	pressure_on_unread(&relay, SIDE_SERVER, LIMIT_SSH_UNREAD);
	cr_expect(is_read(SIDE_SERVER));
	sessions[SIDE_SERVER].unread = LIMIT_SSH_UNREAD + 1;
	pressure_on_unread(&relay, SIDE_SERVER, LIMIT_SSH_UNREAD + 1);
	/* At once, as the library may go on to read. */
	cr_expect_not(is_read(SIDE_SERVER));
	cr_expect(pressure_turn(&relay));
	cr_expect_not(is_read(SIDE_SERVER));
	cr_expect(is_read(SIDE_AGENT));
	sessions[SIDE_SERVER].unread = LIMIT_SSH_UNREAD / 2 + 1;
	cr_expect(pressure_turn(&relay));
	cr_expect_not(is_read(SIDE_SERVER));
	sessions[SIDE_SERVER].unread = LIMIT_SSH_UNREAD / 2;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_SERVER));
}

/* Nobody would ever read it. */
Test(ssh_pressure, a_channel_that_is_cut_off_holds_nobody)
{
	sessions[SIDE_SERVER].unread = LIMIT_SSH_UNREAD + 1;
	pressure_on_unread(&relay, SIDE_SERVER, LIMIT_SSH_UNREAD + 1);
	lane.flows[BRIDGE_STDOUT].from = NULL;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_SERVER));
}

Test(ssh_pressure, an_agent_that_ignores_its_window_is_not_read_any_more)
{
	cr_expect(pressure_turn(&relay));
	pressure_on_unread(&relay, SIDE_AGENT, LIMIT_SSH_UNREAD + 1);
	cr_expect_not(pressure_turn(&relay));
	cr_expect_not(is_read(SIDE_AGENT));
	cr_expect_not(pressure_turn(&relay));
}

/* Whatever its windows allow. */
Test(ssh_pressure, no_more_is_written_than_is_sent)
{
	uint64_t *sent = &relay.counters[SIDE_AGENT].out_bytes;

	for (size_t i = 0; i < 4; i++) {
		cr_assert(pressure_allows_writing(&relay, SIDE_AGENT));
		sessions[SIDE_AGENT].status = SSH_WRITE_PENDING;
		pressure_wrote(&relay, SIDE_AGENT, MIB / 4);
		*sent += 10;
	}
	cr_expect_not(pressure_allows_writing(&relay, SIDE_AGENT));
	cr_expect(pressure_allows_writing(&relay, SIDE_SERVER));
	*sent += MIB;
	sessions[SIDE_AGENT].status = 0;
	cr_expect(pressure_allows_writing(&relay, SIDE_AGENT));
	/* While keys are exchanged nothing is left in the socket's buffer, as nothing gets there.
	 */
	pressure_wrote(&relay, SIDE_AGENT, MIB);
	cr_expect_not(pressure_allows_writing(&relay, SIDE_AGENT));
	*sent += 1;
	cr_expect(pressure_allows_writing(&relay, SIDE_AGENT));
}

Test(ssh_pressure, who_takes_no_answers_asks_no_more)
{
	uint64_t *received = &relay.counters[SIDE_AGENT].in_bytes;

	*received = 100 * MIB;
	cr_expect(pressure_turn(&relay));
	sessions[SIDE_AGENT].status = SSH_WRITE_PENDING;
	*received += 8 * MIB;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_AGENT));
	*received += 1;
	cr_expect(pressure_turn(&relay));
	cr_expect_not(is_read(SIDE_AGENT));
	sessions[SIDE_AGENT].status = 0;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_AGENT));
}

Test(ssh_pressure, who_asked_for_much_asks_no_more_for_now)
{
	relay.request_count = LIMIT_SSH_REQUESTS_ALL;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_AGENT));
	relay.request_count++;
	cr_expect(pressure_turn(&relay));
	cr_expect_not(is_read(SIDE_AGENT));
	cr_expect(is_read(SIDE_SERVER));
	relay.request_count--;
	cr_expect(pressure_turn(&relay));
	cr_expect(is_read(SIDE_AGENT));
}
