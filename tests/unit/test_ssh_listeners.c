/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host listens on for an agent, between a host and an agent whose library is played here.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "ssh/readahead.h"
#include "ssh/relay.h"

static struct relay relay;
static int fds[2], peers[2]; /* of the sessions */
static char sessions[2];
static struct message {
	int kind, port;
	const char *address;
	bool freed;
} messages[2000];
static size_t message_count;
static char answers[4096]; /* to the agent, in their order */
static char asked[4096]; /* of the host, likewise */
static int outcome, chosen;
static unsigned steps_wanted; /* that come until the host has answered */
static size_t ignored, written;

/* --- the library --- */

static struct message *of(ssh_message m)
{
	return (struct message *)(void *)m;
}

static void note(char *to, const char *text, int number)
{
	size_t length = strlen(to);

	snprintf(to + length, sizeof(answers) - length, "%s%d ", text, number);
}

int ssh_get_fd(ssh_session session)
{
	return fds[(void *)session == &sessions[SIDE_SERVER]];
}

int ssh_get_status(ssh_session session)
{
	(void)session;
	return 0;
}

int ssh_is_connected(ssh_session session)
{
	(void)session;
	return 1;
}

int ssh_message_subtype(ssh_message m)
{
	return of(m)->kind;
}

const char *ssh_message_global_request_address(ssh_message m)
{
	return of(m)->address;
}

int ssh_message_global_request_port(ssh_message m)
{
	return of(m)->port;
}

int ssh_message_global_request_reply_success(ssh_message m, uint16_t bound)
{
	note(answers, "+", of(m)->port ? of(m)->port : bound);
	return SSH_OK;
}

int ssh_message_reply_default(ssh_message m)
{
	note(answers, "-", of(m)->port);
	return SSH_OK;
}

void ssh_message_free(ssh_message m)
{
	cr_assert_not(of(m)->freed);
	of(m)->freed = true;
}

int ssh_channel_listen_forward(ssh_session session, const char *address, int port, int *ret)
{
	struct pollfd p = {.fd = fds[SIDE_SERVER], .events = POLLIN};
	char bytes[READAHEAD_SIZE];

	(void)session;
	(void)address;
	if (steps_wanted && readahead_poll(&p, 1, 0) == 1) {
		cr_assert_eq(readahead_receive(p.fd, bytes, sizeof(bytes)), READAHEAD_STEP);
		steps_wanted--;
	}
	if (steps_wanted)
		return SSH_AGAIN;
	if (outcome != SSH_AGAIN)
		note(asked, "listen ", port);
	if (outcome == SSH_OK && port == 0)
		*ret = chosen;
	return outcome;
}

int ssh_channel_cancel_forward(ssh_session session, const char *address, int port)
{
	(void)session;
	(void)address;
	note(asked, "cancel ", port);
	return outcome;
}

int ssh_send_ignore(ssh_session session, const char *data)
{
	(void)session;
	(void)data;
	ignored++;
	return SSH_OK;
}

int ssh_send_debug(ssh_session session, const char *text, int shown)
{
	(void)session;
	(void)text;
	(void)shown;
	written++;
	return SSH_OK;
}

/* --- */

static void setup(void)
{
	list_init(&relay.lanes);
	list_init(&relay.closing);
	list_init(&relay.listeners);
	link_init(&relay.link, -1);
	relay.agent = (ssh_session)(void *)&sessions[SIDE_AGENT];
	relay.server = (ssh_session)(void *)&sessions[SIDE_SERVER];
	for (size_t i = 0; i < 2; i++) {
		int pair[2];

		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		fds[i] = pair[0];
		peers[i] = pair[1];
		readahead_add(pair[0]);
		cr_assert_eq(write(pair[1], "0123456789abcdef", 16), 16);
	}
	outcome = SSH_OK;
}

static void teardown(void)
{
	listeners_free(&relay);
	cr_expect_eq(relay.listener_count, 0);
	for (size_t i = 0; i < message_count; i++)
		cr_expect(messages[i].freed);
	buffer_done(&relay.link.out);
}

TestSuite(ssh_listeners, .init = setup, .fini = teardown);

static void take(int kind, const char *address, int port)
{
	struct message *m = &messages[message_count++];

	*m = (struct message){.kind = kind, .port = port, .address = address};
	listeners_take(&relay, (ssh_message)(void *)m);
}

static void want(int port)
{
	take(SSH_GLOBAL_REQUEST_TCPIP_FORWARD, "localhost", port);
}

static void cancel(int port)
{
	take(SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD, "localhost", port);
}

static void decide(uint32_t id, enum bridge_type type)
{
	const struct bridge_frame frame = {.type = type, .lane = id};

	cr_assert(listeners_on_frame(&relay, &frame));
}

static void turn(void)
{
	while (listeners_turn(&relay))
		;
}

static bool agent_is_read(void)
{
	struct pollfd p = {.fd = fds[SIDE_AGENT], .events = POLLIN};

	pressure_turn(&relay);
	return readahead_poll(&p, 1, 0) == 1;
}

/* What the worker was told of it, and nothing else. */
static size_t told(enum bridge_type type)
{
	struct slice rest = buffer_slice(&relay.link.out);
	struct bridge_frame frame;
	size_t length, count = 0;

	for (; bridge_take(rest, &frame, &length) == 0; rest = slice_from(rest, length))
		count += frame.type == type;
	return count;
}

Test(ssh_listeners, answers_come_in_the_order_of_what_they_answer)
{
	want(1);
	cr_expect_not(agent_is_read());
	want(2);
	want(3);
	cancel(4);
	cr_expect_eq(told(BRIDGE_REQUEST), 3);
	decide(3, BRIDGE_ALLOW);
	decide(2, BRIDGE_DENY);
	turn();
	cr_expect_str_empty(answers);
	cr_expect_str_empty(asked, "the first is not decided");
	decide(1, BRIDGE_ALLOW);
	turn();
	cr_expect_str_eq(answers, "+1 -2 +3 -4 ");
	cr_expect_str_eq(asked, "listen 1 listen 3 ", "nobody listened on the last");
	cr_expect(agent_is_read());
	cr_expect_eq(written, 1, "why it was denied");
}

Test(ssh_listeners, it_listens_until_it_is_given_back)
{
	want(7);
	cr_expect_null(listeners_find(&relay, "localhost", 7));
	decide(1, BRIDGE_ALLOW);
	cr_expect_null(listeners_find(&relay, "localhost", 7));
	turn();
	cr_expect_not_null(listeners_find(&relay, "localhost", 7));
	cr_expect_not_null(listeners_find(&relay, "127.0.0.1", 7));
	cr_expect_null(listeners_find(&relay, "localhost", 8));
	take(SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD, "", 7);
	turn();
	cr_expect_not_null(listeners_find(&relay, "localhost", 7));
	cr_expect_eq(told(BRIDGE_RESULT), 0);
	/* Whatever the host says: the agent wants no more of it. */
	outcome = SSH_ERROR;
	cancel(7);
	turn();
	cr_expect_null(listeners_find(&relay, "localhost", 7));
	cr_expect_str_eq(answers, "+7 -7 -7 ");
	cr_expect_eq(told(BRIDGE_RESULT), 1);
	cr_expect_eq(told(BRIDGE_GONE), 1);
	cr_expect_eq(relay.listener_count, 0);
}

Test(ssh_listeners, a_host_that_does_not_listen_has_the_last_word)
{
	want(7);
	decide(1, BRIDGE_ALLOW);
	outcome = SSH_AGAIN;
	turn();
	cr_expect_str_empty(answers);
	cr_expect_not(agent_is_read());
	outcome = SSH_ERROR;
	turn();
	cr_expect_str_eq(answers, "-7 ");
	cr_expect_eq(told(BRIDGE_RESULT), 1);
	cr_expect_eq(relay.listener_count, 0);
}

/* Of each step it is seen whether the host has answered before there is another. */
Test(ssh_listeners, the_port_that_a_host_chose_is_looked_for_step_by_step)
{
	steps_wanted = 3;
	chosen = 4242;
	want(0);
	decide(1, BRIDGE_ALLOW);
	turn();
	cr_expect_str_eq(answers, "+4242 ");
	cr_expect_not_null(listeners_find(&relay, "localhost", 4242));
	cr_expect_eq(steps_wanted, 0);
	/* The rest is there for everybody. */
	cr_expect_eq(
		readahead_poll(&(struct pollfd){.fd = fds[SIDE_SERVER], .events = POLLIN}, 1, 0),
		1);
}

Test(ssh_listeners, a_port_that_is_none_is_no_answer)
{
	const int ports[] = {0, -1, 65536};

	for (uint32_t i = 0; i < ARRAY_SIZE(ports); i++) {
		chosen = ports[i];
		want(0);
		decide(i + 1, BRIDGE_ALLOW);
		turn();
	}
	cr_expect_str_eq(answers, "-0 -0 -0 ");
	cr_expect_eq(relay.listener_count, 0);
}

Test(ssh_listeners, names_that_only_the_host_knows_are_refused)
{
	static const char *const names[] = {"a b", "a\nb", "/run/socket", "fe80::1%eth0", "**"};
	const size_t count = ARRAY_SIZE(names);

	for (size_t i = 0; i < count; i++)
		take(SSH_GLOBAL_REQUEST_TCPIP_FORWARD, names[i], 1);
	cr_expect_eq(told(BRIDGE_REQUEST), 0);
	turn();
	cr_expect_str_eq(answers, "-1 -1 -1 -1 -1 ");
	take(SSH_GLOBAL_REQUEST_TCPIP_FORWARD, "", 1);
	take(SSH_GLOBAL_REQUEST_TCPIP_FORWARD, "*", 1);
	take(SSH_GLOBAL_REQUEST_TCPIP_FORWARD, "::", 1);
	cr_expect_eq(told(BRIDGE_REQUEST), 3);
}

Test(ssh_listeners, there_are_not_any_number_of_them)
{
	for (int i = 1; i <= 1500; i++)
		want(i);
	cr_expect_eq(relay.listener_count, LIMIT_SSH_LISTENERS_OWED);
	cr_expect_eq(told(BRIDGE_REQUEST), LIMIT_SSH_LISTENERS);
	for (uint32_t i = 1; i <= LIMIT_SSH_LISTENERS; i++)
		decide(i, BRIDGE_ALLOW);
	turn();
	cr_expect_eq(relay.listener_count, LIMIT_SSH_LISTENERS);
	want(9000);
	turn();
	cr_expect_eq(told(BRIDGE_REQUEST), LIMIT_SSH_LISTENERS);
}

Test(ssh_listeners, a_session_that_is_over_listens_on_nothing_more)
{
	want(1);
	want(2);
	decide(2, BRIDGE_ALLOW);
	relay.refused = strdup("it is over");
	listeners_refuse(&relay);
	want(3);
	cancel(4);
	turn();
	cr_expect_str_eq(answers, "-1 -2 -3 -4 ");
	cr_expect_str_empty(asked);
	cr_expect_eq(told(BRIDGE_REQUEST), 2);
}

static bool host_is_left(void)
{
	char byte;

	return recv(peers[SIDE_SERVER], &byte, 1, MSG_DONTWAIT) == 0;
}

static void expect_that_it_is_left(struct listener *l)
{
	outcome = SSH_AGAIN;
	turn();
	cr_assert_gt(l->until, clock_monotonic());
	cr_expect_not(host_is_left());
	cr_expect_null(relay.refused);
	l->until = clock_monotonic();
	turn();
	cr_expect(host_is_left());
	cr_expect_str_eq(relay.refused, "wayleave: the host does not answer whether it listens");
	listeners_refuse(&relay);
	turn();
	cr_expect_not(listeners_owe(&relay));
	free(relay.refused);
	relay.refused = NULL;
}

/* People may take as long as they like, a host may not. */
Test(ssh_listeners, a_host_that_never_answers_is_left)
{
	struct listener *l;

	want(1);
	turn();
	l = list_entry(relay.listeners.previous, struct listener, link);
	cr_expect_eq(l->until, 0);
	decide(1, BRIDGE_ALLOW);
	expect_that_it_is_left(l);
}

Test(ssh_listeners, a_host_that_never_says_that_it_listens_no_more_is_left)
{
	want(1);
	decide(1, BRIDGE_ALLOW);
	turn();
	cancel(1);
	expect_that_it_is_left(list_entry(relay.listeners.previous, struct listener, link));
}

Test(ssh_listeners, who_waits_is_shown_that_we_are_there)
{
	cr_expect_eq(listeners_due(&relay), 0);
	want(1);
	turn();
	cr_expect_eq(ignored, 0);
	cr_expect_gt(listeners_due(&relay), clock_monotonic());
	relay.owed_since -= 2 * NANOSECONDS_PER_SECOND;
	turn();
	turn();
	cr_expect_eq(ignored, 1);
	decide(1, BRIDGE_ALLOW);
	turn();
	cr_expect_eq(listeners_due(&relay), 0);
}
