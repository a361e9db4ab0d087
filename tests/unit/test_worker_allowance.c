/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a session's process may take, which is played here: what it reads, the kernel counts.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "policy_test.h"
#include "protocol/ssh/bridge.h"
#include "worker/session.h"

#define NARROW (1u << 20) /* bytes in a second */
#define PART (NARROW / 64)

static const char text[] = "config:\n"
			   "  agents:\n"
			   "    - {name: narrow, cgroup: c, limits: {bandwidth: 1M}}\n"
			   "    - {name: free, cgroup: d}\n"
			   "rules: []\n";

/* A connection of the process's. */
struct connection {
	int ours, theirs;
};

static struct worker worker;
static struct worker_start start;
static struct share_table table;
static struct policy *policy;
static struct session session, other;
static struct connection agent, server;
static int process_fd; /* the process's own, of the server */
static uint64_t told[16];
static size_t told_count;

static int host_write(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct bridge_frame frame;
	size_t length;

	cr_assert(host == &session.host && to == SIDE_SERVER);
	cr_assert_eq(bridge_take(bytes, &frame, &length), 0);
	cr_assert(length == bytes.length && frame.type == BRIDGE_ALLOWANCE && frame.lane == 0);
	cr_assert(frame.body.length == 8 && told_count < ARRAY_SIZE(told));
	told[told_count++] = bytes_get_u64(frame.body.data);
	return 0;
}

static struct connection connection_new(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	struct connection c = {.theirs = socket(AF_INET, SOCK_STREAM, 0)};
	socklen_t length = sizeof(a);

	cr_assert_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&a, &length), 0);
	cr_assert_eq(connect(c.theirs, (struct sockaddr *)&a, sizeof(a)), 0);
	c.ours = accept(listener, NULL, NULL);
	cr_assert_geq(c.ours, 0);
	close(listener);
	return c;
}

/* As the next function reads, which is called in turns with it, no buffer overflows. */
static void send_bytes(const struct connection *c, size_t count)
{
	static const uint8_t bytes[65536];

	while (count) {
		size_t some = count < sizeof(bytes) ? count : sizeof(bytes);

		cr_assert_eq(send(c->theirs, bytes, some, 0), (ssize_t)some);
		count -= some;
	}
}

static void take_bytes(int fd, size_t count)
{
	static uint8_t bytes[65536];

	while (count) {
		ssize_t n = recv(fd, bytes, count < sizeof(bytes) ? count : sizeof(bytes), 0);

		cr_assert_gt(n, 0);
		count -= (size_t)n;
	}
}

static void carry(const struct connection *c, size_t count)
{
	for (; count > 65536; count -= 65536) {
		send_bytes(c, 65536);
		take_bytes(c->ours, 65536);
	}
	send_bytes(c, count);
	take_bytes(c->ours, count);
}

static void set_agent(struct session *s, const char *name)
{
	s->agent = policy_find_agent_name(policy, slice_from_string(name));
	cr_assert_not_null(s->agent);
}

static void session_init(struct session *s)
{
	struct policy_subject subject = {.principal = &principal_none, .resource = POLICY_EGRESS};

	s->worker = &worker;
	set_agent(s, "narrow");
	subject.agent = s->agent;
	s->scope = policy_scope_get(policy, &subject);
	s->host.write = host_write;
	s->state = SESSION_OPEN;
	s->proof = s->allowance.server = -1;
	s->share.slot = -1;
	list_init(&s->share.link);
	cr_assert_eq(share_take(s), 0);
}

static void setup(void)
{
	worker.start = &start;
	worker.shares.timer.in_flight = true; /* there is no ring */
	shares_init(&worker, &table);
	partings_init(&worker.partings);
	policy = policy_test_new(text);
	session_init(&session);
	session_init(&other);
	agent = connection_new();
	server = connection_new();
	session.proof = agent.ours;
	process_fd = dup(server.ours);
	allowance_begin(&session, server.ours);
}

TestSuite(allowance, .init = setup);

static void ask(uint64_t taken)
{
	session.host.taken = taken;
	session.host.wants_more = true;
	allowance_turn(&session);
}

static bool is_told(uint64_t most)
{
	return told_count && told[--told_count] == most;
}

/* What a bucket was charged, to the millisecond's worth. */
static uint64_t charged(void)
{
	uint64_t until = atomic_load(&table.slots[session.share.slot].moved);

	return until ? (until - clock_monotonic()) / NANOSECONDS_PER_MILLISECOND * NARROW / 1000
		     : 0;
}

static bool is_over(const struct connection *c)
{
	char byte;

	return recv(c->theirs, &byte, 1, MSG_DONTWAIT) == 0;
}

Test(allowance, more_is_given_for_what_was_taken)
{
	cr_assert(is_told(0), "until it asks");
	ask(0);
	cr_assert(is_told(PART));
	allowance_turn(&session);
	cr_assert_eq(told_count, 0, "once for each question");
	/* What nobody has read counts for nobody. */
	send_bytes(&agent, PART);
	ask(0);
	cr_assert(is_told(PART));
	cr_assert_eq(charged(), 0);
	take_bytes(agent.ours, PART / 2);
	carry(&server, PART / 2);
	ask(PART);
	cr_assert(is_told(2 * PART));
	cr_assert_leq(charged(), PART);
	cr_assert_gt(charged(), PART / 2);
	cr_assert(allowance_check(&session));
}

/* Who its host is a process may ask it over a connection before. */
Test(allowance, of_another_connection_the_first_still_counts)
{
	struct connection again = connection_new();

	cr_assert(is_told(0));
	ask(0);
	cr_assert(is_told(PART));
	carry(&server, PART / 2);
	allowance_begin(&session, again.ours);
	cr_assert(is_over(&server), "whoever else has it");
	carry(&again, PART / 2);
	ask(PART);
	cr_assert(is_told(2 * PART));
	cr_assert_gt(charged(), PART / 2);
	carry(&again, PART + LIMIT_SSH_ALLOWANCE_EXCESS);
	cr_assert(allowance_check(&session));
	carry(&again, 1);
	cr_assert_not(allowance_check(&session));
}

Test(allowance, it_waits_where_the_agent_has_moved_enough)
{
	cr_assert(is_told(0));
	share_moved(&other, 3 * NARROW);
	ask(0);
	cr_assert_eq(told_count, 0);
	cr_assert_not(list_is_empty(&session.share.link), "it is woken when there is room");
	cr_assert(session.host.wants_more);
	atomic_store(&table.slots[session.share.slot].moved, 0);
	allowance_turn(&session);
	cr_assert(is_told(PART));
}

/* Whatever it says of it. */
Test(allowance, who_takes_more_loses_its_connections)
{
	ask(0);
	carry(&server, PART + LIMIT_SSH_ALLOWANCE_EXCESS);
	cr_assert(allowance_check(&session), "both sides may say something before they are let in");
	cr_assert_not(is_over(&agent));
	carry(&agent, 4 * NARROW);
	ask(5);
	told_count = 0;
	ask(6);
	cr_assert_eq(told_count, 0, "nor is it given any more");
	cr_assert_not(allowance_check(&session));
	cr_assert(is_over(&agent) && is_over(&server));
	/* The agent's other sessions have what they had. */
	cr_assert_leq(charged(), PART + LIMIT_SSH_ALLOWANCE_EXCESS);
	cr_assert_not(share_waits(&other));
}

Test(allowance, what_it_claims_charges_nobody)
{
	for (unsigned i = 0; i < 10; i++) {
		ask(UINT64_MAX - i);
		told_count = 0;
	}
	cr_assert_eq(charged(), 0);
	cr_assert(allowance_check(&session));
}

Test(allowance, a_limit_comes_and_goes)
{
	cr_assert(is_told(0));
	set_agent(&session, "free");
	allowance_turn(&session);
	cr_assert(is_told(UINT64_MAX));
	carry(&server, 3 * NARROW);
	cr_assert(allowance_check(&session));
	set_agent(&session, "narrow");
	allowance_turn(&session);
	cr_assert(is_told(0));
	cr_assert_eq(charged(), 0, "what was free stays so");
	ask(3 * NARROW);
	cr_assert(is_told(3 * NARROW + PART));
	carry(&server, PART);
	cr_assert(allowance_check(&session));
}

static void limit_comes(void)
{
	set_agent(&session, "free");
	allowance_turn(&session);
	set_agent(&session, "narrow");
	allowance_turn(&session);
	cr_assert(is_told(0));
}

/* It is in the middle of a transfer, and waits then as others do. */
Test(allowance, what_is_taken_before_a_limit_is_heard_of_is_excused)
{
	limit_comes();
	carry(&server, 4 << 20);
	cr_assert(allowance_check(&session));
	share_moved(&other, 3 * NARROW);
	told_count = 0;
	ask(4 << 20);
	cr_assert_eq(told_count, 0);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(allowance_check(&session));
	atomic_store(&table.slots[session.share.slot].moved, 0);
	allowance_turn(&session);
	cr_assert(is_told((4 << 20) + PART));
	cr_assert_eq(charged(), 0, "what was free stays so");
	carry(&server, PART + LIMIT_SSH_ALLOWANCE_EXCESS + 1);
	cr_assert_not(allowance_check(&session));
}

Test(allowance, who_never_asks_is_not_excused_for_long)
{
	limit_comes();
	carry(&server, 4 << 20);
	for (unsigned i = 0; i < 2; i++)
		cr_assert(allowance_check(&session), "%u", i);
	cr_assert_not(allowance_check(&session));
	cr_assert(is_over(&agent) && is_over(&server));
}

/* A limit that is there from the start excuses nothing, nor does a question of before it. */
Test(allowance, no_other_is_excused)
{
	set_agent(&session, "free");
	allowance_turn(&session);
	told_count = 0;
	ask(0);
	cr_assert_eq(told_count, 0, "nor does one that is not limited wait for an answer");
	set_agent(&session, "narrow");
	allowance_turn(&session);
	allowance_turn(&session);
	cr_assert(is_told(0));
	session.allowance = (struct allowance){.server = -1};
	allowance_begin(&session, server.ours);
	carry(&server, LIMIT_SSH_ALLOWANCE_EXCESS + 1);
	cr_assert_not(allowance_check(&session));
}

/* The process may tell the agent why it is over, and has nothing more of the host. */
Test(allowance, a_session_that_is_over_leaves_no_way)
{
	uint64_t now = clock_monotonic();

	allowance_end(&session);
	cr_assert_eq(session.allowance.server, -1);
	partings_tick(&worker.partings, now + NANOSECONDS_PER_SECOND);
	cr_assert_not(is_over(&server));
	partings_tick(&worker.partings, now + 60 * NANOSECONDS_PER_SECOND);
	cr_assert(is_over(&server));
	cr_assert_not(is_over(&agent));
	cr_assert(worker.partings.count == 0 && list_is_empty(&worker.partings.all));
}

Test(allowance, nor_one_whose_process_takes_more_then)
{
	uint64_t now = clock_monotonic();

	ask(0);
	carry(&server, PART);
	allowance_end(&session);
	for (size_t i = 0; i <= LIMIT_SSH_ALLOWANCE_EXCESS; i += 65536) {
		partings_tick(&worker.partings, now);
		cr_assert_not(is_over(&server));
		send_bytes(&server, 65536);
		take_bytes(process_fd, 65536);
	}
	partings_tick(&worker.partings, now);
	cr_assert(is_over(&server));
}

Test(allowance, nor_one_whose_process_has_left_it)
{
	session.allowance.gone = true;
	allowance_end(&session);
	cr_assert(is_over(&server), "or says so");
	cr_assert_eq(worker.partings.count, 0);
}

/* Its peer is to know, although the worker has the connection as well. */
Test(allowance, an_end_is_not_kept_from_the_host)
{
	allowance_end(&session);
	shutdown(process_fd, SHUT_WR);
	close(process_fd);
	cr_assert(is_over(&server));
	partings_tick(&worker.partings, clock_monotonic());
	cr_assert_eq(worker.partings.count, 0);
}
