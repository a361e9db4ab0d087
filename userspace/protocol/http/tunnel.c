/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel: what a proxy connects to, where it is spoken to in TLS: TLS within TLS is more than a leg
 * of a session has, so that connection is a session of its own, which the host carries (struct
 * protocol_tunnel), as on a stream of HTTP/2 (http2/tunnel.c).
 */
#include <errno.h>

#include "protocol/http/engine.h"

/* Of a side, that the session has not got yet. */
#define WAITING_MOST (256u << 10)

static struct http_engine *engine_of(struct protocol_tunnel *t)
{
	return container_of(t, struct http_engine, tunnel);
}

static int on_data(struct protocol_tunnel *t, enum side to, struct slice bytes)
{
	return http_write(engine_of(t), to, bytes);
}

static void end_if_told(struct http_engine *e)
{
	if (!e->tunnel_told[SIDE_AGENT] || !e->tunnel_told[SIDE_SERVER])
		return;
	e->base.host->tunnel_drop(&e->tunnel);
	http_close(e, REASON_NONE, "");
}

static void on_end(struct protocol_tunnel *t, enum side to, bool reset)
{
	const struct protocol_refusal refusal = {.reason = REASON_NONE};
	struct http_engine *e = engine_of(t);
	struct protocol_host *host = e->base.host;

	e->tunnel_told[to] = true;
	if (reset && to == SIDE_AGENT)
		host->reset(host, &refusal);
	else
		host->shut(host, to);
	end_if_told(e);
}

static void on_taken(struct protocol_tunnel *t, enum side from, size_t bytes)
{
	engine_of(t)->tunnel_waits[from] -= bytes;
}

/* The host looks at what waits for the side itself. */
static bool on_wants(const struct protocol_tunnel *t, enum side to)
{
	(void)t;
	(void)to;
	return true;
}

static const struct protocol_tunnel_events events = {
	.data = on_data, .end = on_end, .taken = on_taken, .wants = on_wants};

int http_tunnel_begin(struct http_engine *e)
{
	const struct http_beyond *beyond = &e->request.beyond;
	struct protocol_host *host = e->base.host;

	e->tunnel.events = &events;
	if (!host->tunnel)
		return -ENOTSUP;
	return host->tunnel(host, &e->tunnel, slice_from_string(beyond->name), beyond->port);
}

bool http_tunnel_wants(const struct http_engine *e, enum side from)
{
	return e->tunnel_waits[from] < WAITING_MOST;
}

int http_tunnel_input(struct http_engine *e, enum side from, struct slice in, size_t *ret_taken)
{
	*ret_taken = in.length;
	if (!e->tunnel.carrier)
		return 0;
	in = slice_head(in, WAITING_MOST - e->tunnel_waits[from]);
	*ret_taken = in.length;
	e->tunnel_waits[from] += in.length;
	return e->base.host->tunnel_write(&e->tunnel, from, in);
}

void http_tunnel_end(struct http_engine *e, enum side from)
{
	bool broken = protocol_ends_both(e->base.host, from);

	if (!e->tunnel.carrier)
		return;
	e->base.host->tunnel_end(&e->tunnel, from, broken);
	e->tunnel_told[from] |= broken;
	end_if_told(e);
}
