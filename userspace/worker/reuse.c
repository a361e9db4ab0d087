/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/reuse.h"

#include <stdio.h>

#include "base/clock.h"

/* Of a connection that is this session's alone to make: of this host's own sockets, of proxies and
 * of what another session carries there is no second one. At a place that no resource names nobody
 * says for how long. */
static bool is_ordinary(const struct session *s)
{
	return s->resource != POLICY_EGRESS && !s->tunnelled && !s->inner.is && !s->flow &&
		!session_is_delegated(s) && s->origin.family != AF_UNIX &&
		upstream_resource(s)->unix_path.length == 0;
}

static bool keeps(const struct session *s)
{
	return is_ordinary(s) && upstream_resource(s)->reuse &&
		policy_scope_policy(s->scope)->mode != POLICY_OBSERVE;
}

void reuse_prepare(struct session *s)
{
	s->host.keeps = keeps(s);
}

/* Of a connection that is made now, as far as it is known before TLS. */
static void begin_key(const struct session *s, struct kept_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->scope = policy_scope_serial(s->scope);
	ret->cgroup = s->origin.cgroup;
	ret->network = s->origin.network;
	ret->agent = s->origin.agent;
	ret->uid = s->origin.uid;
	ret->way = s->origin.way;
	ret->interface = s->origin.interface;
	memcpy(ret->address, s->origin.address, sizeof(ret->address));
	ret->port = s->origin.port;
}

/* False: it has no room for them. */
static bool add_tls(
	const struct session *s, const char *alpn, const char *name, struct kept_key *ret)
{
	if (strlen(alpn) >= sizeof(ret->alpn) || strlen(name) >= sizeof(ret->name))
		return false;
	ret->tls = 1;
	memcpy(ret->alpn, alpn, strlen(alpn));
	memcpy(ret->name, name, strlen(name));
	memcpy(ret->sni, s->sni, strlen(s->sni));
	return true;
}

/* Nobody gets the server's connection. */
static void forget(struct session *s)
{
	free(s->reuse);
	s->reuse = NULL;
}

void reuse_done(struct session *s)
{
	forget(s);
}

void reuse_on_connected(struct session *s)
{
	s->host.reused = false;
	forget(s);
	if (!keeps(s))
		return;
	s->reuse = memory_new(sizeof(*s->reuse));
	begin_key(s, &s->reuse->key);
	s->reuse->made = clock_monotonic();
	s->reuse->session = s->id;
}

void reuse_on_tls(struct session *s, const char *alpn, const char *name)
{
	if (s->reuse && !add_tls(s, alpn ? alpn : "", name, &s->reuse->key))
		forget(s);
}

static void adopt(struct session *s, const struct kept_key *key, const struct kept_connection *c)
{
	char text[128];

	leg_give(&s->legs[SIDE_SERVER], &c->connection);
	forget(s);
	s->reuse = memory_new(sizeof(*s->reuse));
	*s->reuse = (struct reuse){*key, c->made, c->session};
	s->host.reused = true;
	snprintf(text, sizeof(text), "goes on with the connection to the server of session %s",
		c->session.text);
	session_record_note(s, REASON_NONE, text);
}

bool reuse_take(struct session *s)
{
	const struct protocol_connect wanted = s->wanted;
	char room[HOST_NAME_MOST + 1];
	struct kept_connection found;
	struct kept_key key;

	s->wanted = (struct protocol_connect){0};
	if (s->worker->kept.count == 0 || !is_ordinary(s))
		return false;
	begin_key(s, &key);
	if (wanted.alpn &&
		!add_tls(s, wanted.alpn, upstream_server_name(s, room, sizeof(room)), &key))
		return false;
	if (!kept_take(&s->worker->kept, &key, clock_monotonic(), &found))
		return false;
	if (!wanted.reuses) {
		leg_connection_close(&found.connection);
		return false;
	}
	adopt(s, &key, &found);
	return true;
}

void reuse_make_room(struct session *s)
{
	struct kept *kept = &s->worker->kept;
	uint64_t room;

	if (kept->count == 0)
		return;
	room = share_room(s);
	while (kept_count(kept, s->origin.agent) > room)
		kept_drop(kept, s->origin.agent);
}

/* As long as the rules are those under which it was made. */
static bool may_leave(const struct session *s)
{
	const struct worker *w = s->worker;
	const struct leg *leg = &s->legs[SIDE_SERVER];

	return s->reuse && keeps(s) && s->reuse->key.scope == policy_scope_serial(s->scope) &&
		policy_scope_policy(s->scope) == w->policy && s->aborted == REASON_NONE &&
		s->reason == REASON_NONE && !w->stopping && !w->draining && !s->reconnects &&
		!s->end_waits[SIDE_SERVER] && buffer_length(&s->partial[SIDE_SERVER]) == 0 &&
		(s->reuse->key.tls == 1) == (leg->tls != NULL) && leg_is_quiet(leg) &&
		clock_monotonic() < s->reuse->made + KEPT_AGE_MOST;
}

/* What an agent may have of sessions bounds its connections, too; this one's place is free. */
static bool has_room(const struct session *s)
{
	return kept_count(&s->worker->kept, s->origin.agent) <= share_room(s);
}

static void leave(struct session *s)
{
	struct worker *w = s->worker;
	struct kept_connection c = {.made = s->reuse->made, .session = s->reuse->session};

	leg_take(&s->legs[SIDE_SERVER], &c.connection);
	kept_put(&w->kept, &s->reuse->key, &c, clock_monotonic() + upstream_resource(s)->reuse);
}

bool reuse_leave(struct session *s)
{
	struct leg *leg = &s->legs[SIDE_SERVER];

	if (!s->leaves_server)
		return false;
	if (leg->state == LEG_CLOSED)
		return true;
	s->leaves_server = may_leave(s) && has_room(s);
	if (!s->leaves_server)
		return false;
	if (leg_is_idle(leg))
		leave(s);
	else if (!leg->resting)
		leg_rest(leg);
	return true;
}
