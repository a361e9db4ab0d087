/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/allowance.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "protocol/ssh/bridge.h"
#include "worker/session.h"

#define GIVEN_LEAST 4096u
#define GIVEN_MOST (256u << 10)
#define GIVEN_PART 64u /* of a second */
/* Longer than a process without a worker stays to tell the agent why (ssh/relay.h). */
#define PARTING (31 * NANOSECONDS_PER_SECOND)
/* Looks at a session whose process has yet to hear of a new limit: a second at least. */
#define EXCUSED 2
#define TCP_ESTABLISHED 1 /* of the kernel's net/tcp_states.h, which has no header for others */

/* Bytes that were read of a connection by whoever has it. What comes in between the two calls is
 * counted the next time. */
static uint64_t taken_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	int unread = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
		ioctl(fd, FIONREAD, &unread) < 0 || (uint64_t)unread > info.tcpi_bytes_received)
		return 0;
	return info.tcpi_bytes_received - (uint64_t)unread;
}

static uint64_t taken_now(const struct session *s)
{
	return taken_of(s->proof) + taken_of(s->allowance.server) + s->allowance.earlier;
}

/* False: it took more than it may. What is beyond that is not charged: it would be taken from the
 * agent's other sessions. */
static bool charge(struct session *s)
{
	struct allowance *a = &s->allowance;
	uint64_t now = taken_now(s), most = a->most + LIMIT_SSH_ALLOWANCE_EXCESS;
	uint64_t counted = now < most ? now : most;

	if (counted > a->taken) {
		share_moved(s, counted - a->taken);
		a->taken = counted;
	}
	return now <= most;
}

/* In the process's own count. */
static void tell(struct session *s, uint64_t most)
{
	uint8_t number[sizeof(most)];
	struct buffer frame;
	int r;

	bytes_put_u64(number, most);
	buffer_init(&frame, BRIDGE_HEAD + sizeof(number));
	r = bridge_append(
		&frame, BRIDGE_ALLOWANCE, 0, slice_of(number, sizeof(number)), SLICE_EMPTY);
	if (r == 0)
		r = s->host.write(&s->host, SIDE_SERVER, buffer_slice(&frame));
	buffer_done(&frame);
	if (r < 0)
		session_abort(s, REASON_INTERNAL, "%s", "out of memory");
}

static void give(struct session *s, uint64_t bandwidth)
{
	struct allowance *a = &s->allowance;
	uint64_t part = bandwidth / GIVEN_PART;

	if (!charge(s))
		return;
	part = part < GIVEN_LEAST ? GIVEN_LEAST : part > GIVEN_MOST ? GIVEN_MOST : part;
	a->most = a->taken + part;
	s->host.wants_more = false;
	tell(s, s->host.taken + part);
}

/* The process asks at once when it hears of it. What it takes until then it may: a transfer goes on
 * meanwhile as fast as it did. A question of before is no answer. */
static void begin(struct session *s)
{
	struct allowance *a = &s->allowance;

	a->limited = true;
	a->excused = EXCUSED;
	a->taken = a->most = taken_now(s);
	s->host.wants_more = false;
	tell(s, 0);
}

static void on_heard(struct session *s)
{
	struct allowance *a = &s->allowance;

	if (a->excused)
		a->taken = a->most = taken_now(s);
	a->excused = 0;
}

static void release(struct session *s)
{
	s->allowance.limited = false;
	s->allowance.excused = 0;
	s->host.wants_more = false;
	tell(s, UINT64_MAX);
}

void allowance_turn(struct session *s)
{
	uint64_t bandwidth = share_bandwidth(s);

	if (s->allowance.server < 0 || s->state != SESSION_OPEN)
		return;
	if (bandwidth && !s->allowance.limited) {
		begin(s);
	} else if (!bandwidth && s->allowance.limited) {
		release(s);
	} else if (s->allowance.limited && s->host.wants_more) {
		on_heard(s);
		if (!share_waits(s))
			give(s, bandwidth);
	}
}

static void cut(int server)
{
	shutdown(server, SHUT_RDWR);
	close(server);
}

void allowance_begin(struct session *s, int server)
{
	struct allowance *a = &s->allowance;

	if (a->server >= 0) {
		a->earlier += taken_of(a->server);
		cut(a->server);
	}
	a->server = server;
	allowance_turn(s);
	/* It has taken nothing yet but what both sides say at first. */
	a->excused = 0;
}

bool allowance_check(struct session *s)
{
	struct allowance *a = &s->allowance;

	if (a->excused) {
		a->excused--;
		return true;
	}
	if (!a->limited || charge(s))
		return true;
	shutdown(s->proof, SHUT_RDWR);
	shutdown(s->allowance.server, SHUT_RDWR);
	return false;
}

/* --- what is left of sessions that are over --- */

struct parting {
	struct list link;
	int server;
	uint64_t until; /* monotonic */
	uint64_t most; /* bytes that may be taken of it */
};

void partings_init(struct partings *p)
{
	list_init(&p->all);
	p->count = 0;
}

void allowance_end(struct session *s)
{
	struct partings *all = &s->worker->partings;
	struct allowance *a = &s->allowance;
	struct parting *p;

	if (a->limited && !a->excused)
		(void)charge(s);
	if (a->server >= 0 && (a->gone || all->count >= LIMIT_SSH_SESSIONS)) {
		cut(a->server);
	} else if (a->server >= 0) {
		p = memory_new(sizeof(*p));
		p->server = a->server;
		p->until = clock_monotonic() + PARTING;
		p->most =
			a->limited ? taken_of(a->server) + LIMIT_SSH_ALLOWANCE_EXCESS : UINT64_MAX;
		list_append(&all->all, &p->link);
		all->count++;
	}
	*a = (struct allowance){.server = -1};
}

/* Whoever ended it, nothing is to be taken away. */
static bool is_connected(int server)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	return getsockopt(server, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
		info.tcpi_state == TCP_ESTABLISHED;
}

void partings_tick(struct partings *all, uint64_t now)
{
	list_for_each_safe (position, &all->all) {
		struct parting *p = list_entry(position, struct parting, link);

		if (is_connected(p->server) && now < p->until && taken_of(p->server) <= p->most)
			continue;
		cut(p->server);
		list_remove(&p->link);
		free(p);
		all->count--;
	}
}
