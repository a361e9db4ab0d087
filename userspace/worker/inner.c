/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "policy/host.h"
#include "worker/session_internal.h"
#include "worker/tunnel.h"

/* -ENOENT: it is no place that a resource could name. `ret->name` is of `room`. */
static int parse_place(struct slice place, char *room, size_t size, struct host *ret)
{
	struct error e;

	if (place.length >= size)
		return -ENOENT;
	memcpy(room, place.data, place.length);
	room[place.length] = '\0';
	if (memchr(place.data, '\0', place.length) || host_parse(room, ret, &e) < 0 ||
		(ret->kind != HOST_NAME && ret->kind != HOST_ADDRESS) ||
		ret->port == HOST_ANY_PORT ||
		place_is_loopback(
			ret->kind == HOST_NAME ? ret->name : SLICE_EMPTY, ret->address.bytes))
		return -ENOENT;
	return 0;
}

static bool is_judged(const struct policy *p, const struct host *h)
{
	struct policy_candidate found[SESSION_CANDIDATES_MOST];
	int count = h->kind == HOST_NAME
		? policy_match_name(p, h->name, h->port, found, ARRAY_SIZE(found))
		: (int)policy_match_address(p, &h->address, h->port, found, ARRAY_SIZE(found));

	/* What may be a resource that it must not reach is nothing else either. */
	return count > 0 || (count == 0 && p->egress == EGRESS_ALLOW);
}

void inner_note(struct session *s, const char *format, const char *id)
{
	char text[80];

	snprintf(text, sizeof(text), format, id);
	session_record_note(s, REASON_NONE, text);
}

/* Of the same process as the other one: the kernel did not see this connection. */
struct session *inner_new(struct session *outer, const int *ends)
{
	struct session *s = session_new(outer->worker, ends[SIDE_AGENT], &outer->origin);

	s->inner = (struct inner){.is = true, .server = ends[SIDE_SERVER]};
	return s;
}

static void begin(struct session *outer, const struct host *h, const int *ends)
{
	struct session *s = inner_new(outer, ends);
	char text[HOST_NAME_MOST + 1];

	s->proof = fcntl(outer->proof, F_DUPFD_CLOEXEC, 0);
	s->origin.local = 0;
	tunnel_set_place(s,
		h->kind == HOST_NAME ? h->name
				     : slice_from_string(place_text_of_address(
					       h->address.bytes, text, sizeof(text))),
		h->port);
	session_start(s);
	inner_note(outer, "in a forward: carried as session %s", s->id.text);
	if (s->state < SESSION_CLOSING)
		inner_note(s, "in a forward of session %s", outer->id.text);
}

int inner_make_ends(const struct session *outer, struct inner_ends *ret)
{
	if (outer->state != SESSION_OPEN || outer->worker->stopping ||
		outer->worker->statistics.sessions >= LIMIT_SESSIONS_PER_WORKER)
		return -EBUSY;
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		int pair[2], r;

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
			r = -errno;
			if (side == SIDE_SERVER) {
				close(ret->ours[SIDE_AGENT]);
				close(ret->theirs[SIDE_AGENT]);
			}
			return r;
		}
		ret->ours[side] = pair[0];
		ret->theirs[side] = pair[1];
	}
	return 0;
}

int inner_begin(struct session *outer, uint32_t lane, struct slice place)
{
	struct worker *w = outer->worker;
	char room[LIMIT_SSH_HOST + 16];
	struct inner_ends ends = {{-1, -1}, {-1, -1}};
	struct host host;
	int r;

	r = parse_place(place, room, sizeof(room), &host);
	if (r < 0)
		return r;
	if (!w->policy || !is_judged(w->policy, &host))
		return -ENOENT;
	r = inner_make_ends(outer, &ends);
	if (r < 0)
		return r;
	r = delegate_pass(outer, lane, ends.theirs, 2);
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		close(ends.theirs[side]);
		if (r < 0)
			close(ends.ours[side]);
	}
	if (r == 0)
		begin(outer, &host, ends.ours);
	return r;
}
