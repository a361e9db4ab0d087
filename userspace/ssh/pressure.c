/* SPDX-License-Identifier: Apache-2.0
 *
 * pressure: bounds what the library holds for either side, as it has no bounds of its own: less
 * than 256 MiB in one buffer are no error to it.
 *
 * It takes what is beyond a channel's window. It gives more room when something is read, and when
 * something comes in one of a channel's streams, whatever it has of the other: a host that keeps to
 * its windows may thus send any amount in the one that nobody reads. And it keeps what it was given
 * to send: all that the other side's windows allow, which may be 4 GiB each, and all answers.
 */
#include "ssh/readahead.h"
#include "ssh/relay.h"

#define UNSENT_MOST (1u << 20)
#define ANSWERED_MOST (8u << 20) /* bytes of one that takes none of the answers */

static ssh_session session_of(const struct relay *r, enum side side)
{
	return side == SIDE_AGENT ? r->agent : r->server;
}

static bool is_sending(const struct relay *r, enum side to)
{
	return ssh_get_status(session_of(r, to)) & SSH_WRITE_PENDING;
}

/* While keys are exchanged it is kept elsewhere, and nothing of it goes out. */
bool pressure_allows_writing(struct relay *r, enum side to)
{
	struct pressure *p = &r->pressure[to];
	uint64_t sent = r->counters[to].out_bytes;

	if (p->unsent && sent != p->sent && !is_sending(r, to)) {
		p->unsent = 0;
		p->sent = sent;
	}
	return p->unsent < UNSENT_MOST || !session_of(r, to);
}

void pressure_wrote(struct relay *r, enum side to, size_t length)
{
	r->pressure[to].unsent += length;
}

void pressure_on_unread(struct relay *r, enum side from, size_t unread)
{
	if (unread <= LIMIT_SSH_UNREAD)
		return;
	r->pressure[from].crowded = true;
	readahead_hold(ssh_get_fd(session_of(r, from)), true);
}

static bool is_crowded(const struct flow *f)
{
	int unread = f->from ? ssh_channel_poll(f->from, f->stream == BRIDGE_STDERR) : 0;

	return unread > (int)LIMIT_SSH_UNREAD / 2;
}

static bool host_is_crowded(const struct relay *r)
{
	list_for_each (position, &r->lanes) {
		const struct lane *lane = list_entry(position, const struct lane, link);

		if (is_crowded(&lane->flows[BRIDGE_STDOUT]) ||
			is_crowded(&lane->flows[BRIDGE_STDERR]))
			return true;
	}
	return false;
}

static bool is_to_wait(struct relay *r, enum side from)
{
	struct pressure *p = &r->pressure[from];
	uint64_t received = r->counters[from].in_bytes;

	if (!is_sending(r, from))
		p->received = received;
	/* Nothing more passes. */
	if (from == SIDE_SERVER && r->alone)
		return true;
	/* They wait for others. */
	if (from == SIDE_AGENT && (r->request_count > LIMIT_SSH_REQUESTS_ALL || listeners_owe(r)))
		return true;
	return p->crowded || received - p->received > ANSWERED_MOST;
}

/* A host that kept to its windows goes on when enough was read. An agent has one stream, of which
 * the library never gives room for so much. */
bool pressure_turn(struct relay *r)
{
	struct pressure *host = &r->pressure[SIDE_SERVER];

	host->crowded = host->crowded && host_is_crowded(r);
	readahead_hold(ssh_get_fd(r->agent), is_to_wait(r, SIDE_AGENT));
	if (r->server)
		readahead_hold(ssh_get_fd(r->server), is_to_wait(r, SIDE_SERVER));
	return !r->pressure[SIDE_AGENT].crowded;
}
