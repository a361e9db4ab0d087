/* SPDX-License-Identifier: Apache-2.0
 *
 * upstream: the connection to where the agent dialled, or to the Unix socket that the resource
 * names. Unix sockets are connected by the monitor under the agent's uid, for the server's peer
 * authentication.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/login.h"
#include "worker/reuse.h"

const struct policy_resource *upstream_resource(const struct session *s)
{
	if (s->resource == POLICY_EGRESS)
		return NULL;
	return &policy_scope_policy(s->scope)->resources[s->resource];
}

void upstream_put_name(const struct session *s, char *ret, size_t size)
{
	const struct policy_resource *resource = upstream_resource(s);

	if (resource && resource->unix_path.length)
		snprintf(ret, size, "unix:%.*s", SLICE_PRINT(resource->unix_path));
	else
		snprintf(ret, size, "%s", s->address);
}

void upstream_tell_engine(struct session *s)
{
	/* What is not read has no login to wait for. */
	if (s->engine->protocol == &protocol_opaque)
		s->deadline = 0;
	s->engine->protocol->connected(s->engine);
}

/* The proxy's connection, which cannot be made again from here. */
static void connect_through_proxy(struct session *s)
{
	if (s->upstream != UPSTREAM_NONE || s->legs[SIDE_SERVER].state != LEG_OPEN) {
		s->upstream = UPSTREAM_FAILED;
		session_abort(s, REASON_UPSTREAM_UNREACHABLE, "%s: the connection has ended",
			s->upstream_name);
		return;
	}
	s->upstream = UPSTREAM_CONNECTED;
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	if (s->state == SESSION_DETECTING && buffer_length(&s->partial[SIDE_AGENT]) == 0)
		s->deadline = 0;
	if (s->engine)
		upstream_tell_engine(s);
}

/* The server's leg is open. What the engine makes of it its caller goes on with. */
static void announce(struct session *s)
{
	s->upstream = UPSTREAM_CONNECTED;
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	/* Until somebody says something, such a connection may be as silent as it likes. */
	if (s->state == SESSION_DETECTING && buffer_length(&s->partial[SIDE_AGENT]) == 0)
		s->deadline = 0;
	if (s->engine)
		upstream_tell_engine(s);
	session_touch(s);
}

static void on_connected(struct session *s, int fd)
{
	if (session_is_delegated(s)) {
		s->upstream = UPSTREAM_CONNECTED;
		s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
		if (delegate_connected(s, fd) < 0)
			session_reset(s, REASON_INTERNAL, "the session's process is gone");
		return;
	}
	leg_open(&s->legs[SIDE_SERVER], fd);
	reuse_on_connected(s);
	announce(s);
	pipe_go_on(s);
	session_touch(s);
}

static void on_failed(struct session *s, int error)
{
	s->upstream = UPSTREAM_FAILED;
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	session_abort(s, REASON_UPSTREAM_UNREACHABLE, "%s: %s", s->upstream_name, strerror(-error));
}

static void on_connect(struct ring_operation *operation, int result)
{
	struct session *s = container_of(operation, struct session, connect);
	int fd = operation->fd;

	if (s->state >= SESSION_CLOSING || s->upstream != UPSTREAM_CONNECTING) {
		close(fd);
		session_touch(s);
		return;
	}
	if (result < 0) {
		close(fd);
		on_failed(s, result);
		return;
	}
	on_connected(s, fd);
}

static void connect_unix(struct session *s);

static void on_unix_socket(void *context, int status, struct slice payload, int fd)
{
	struct session *s = context;

	(void)payload;
	s->outstanding--;
	if (s->state >= SESSION_CLOSING || s->upstream != UPSTREAM_CONNECTING) {
		if (fd >= 0)
			close(fd);
		return;
	}
	/* The policy was replaced meanwhile; the new one came before this answer. */
	if (status == -ESTALE && policy_scope_policy(s->scope)->generation != s->asked_generation)
		connect_unix(s);
	else if (status < 0 || fd < 0)
		on_failed(s, status < 0 ? status : -EIO);
	else
		on_connected(s, fd);
}

/* The agent's own connection goes with the request: from it the monitor learns, of the kernel,
 * whose it is. */
void upstream_ask_for_unix_socket(struct session *s, channel_reply *reply, void *context)
{
	struct message_connect_unix request = {
		.resource = s->resource,
		.generation = policy_scope_policy(s->scope)->generation,
	};

	channel_ask(&s->worker->channel, MESSAGE_CONNECT_UNIX, &request, sizeof(request),
		SLICE_EMPTY, s->legs[SIDE_AGENT].fd, reply, context);
}

static void connect_unix(struct session *s)
{
	upstream_put_name(s, s->upstream_name, sizeof(s->upstream_name));
	s->asked_generation = policy_scope_policy(s->scope)->generation;
	s->outstanding++;
	upstream_ask_for_unix_socket(s, on_unix_socket, s);
}

/* The host behind stands for the server already, or the forward, or the proxy's connection, would
 * not be there. */
static void connect_inner(struct session *s)
{
	int fd = s->inner.server;

	s->inner.server = -1;
	if (!s->upstream_name[0])
		snprintf(s->upstream_name, sizeof(s->upstream_name), "%s", s->address);
	on_connected(s, fd);
}

int upstream_new_socket(struct session *s, socklen_t *ret_length)
{
	const int on = 1;
	int fd;

	if (s->tunnelled)
		return -EHOSTUNREACH;
	*ret_length = place_socket_address(
		s->origin.address, s->origin.port, s->origin.interface, &s->upstream_address);
	fd = socket(s->upstream_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return fd;
}

void upstream_finish_turn(struct session *s)
{
	struct leg *leg = &s->legs[SIDE_SERVER];
	uint64_t sent = leg->sent_bytes;

	if (!s->reconnects || s->state != SESSION_OPEN || !leg_is_idle(leg))
		return;
	s->reconnects = false;
	buffer_done(&s->partial[SIDE_SERVER]);
	leg_done(leg);
	leg_init(leg, leg->ring, leg->events, s);
	leg->sent_bytes = sent;
	upstream_connect(s);
	if (s->upstream == UPSTREAM_CONNECTED) {
		pipe_go_on(s);
		session_touch(s);
	}
}

void upstream_connect(struct session *s)
{
	const struct policy_resource *resource = upstream_resource(s);
	socklen_t length;
	int fd;

	if (s->inner.server >= 0) {
		connect_inner(s);
		return;
	}
	if (s->tunnelled) {
		connect_through_proxy(s);
		return;
	}
	if (s->upstream == UPSTREAM_CONNECTING)
		return;
	if (s->legs[SIDE_SERVER].state != LEG_UNUSED && !session_is_delegated(s)) {
		leg_close(&s->legs[SIDE_SERVER], false);
		s->end_waits[SIDE_SERVER] = false;
		s->reconnects = true;
		session_touch(s);
		return;
	}
	if (reuse_take(s)) {
		upstream_put_name(s, s->upstream_name, sizeof(s->upstream_name));
		announce(s);
		return;
	}
	reuse_make_room(s);
	s->upstream = UPSTREAM_CONNECTING;
	s->deadline = clock_monotonic() + LIMIT_CONNECT_TIME * NANOSECONDS_PER_MILLISECOND;
	if (resource && resource->unix_path.length) {
		connect_unix(s);
		return;
	}
	upstream_put_name(s, s->upstream_name, sizeof(s->upstream_name));
	fd = upstream_new_socket(s, &length);
	if (fd < 0) {
		on_failed(s, fd);
		return;
	}
	s->connect.complete = on_connect;
	ring_connect(
		&s->worker->ring, &s->connect, fd, (struct sockaddr *)&s->upstream_address, length);
}

/* --- TLS --- */

/* The agent chooses what it sends as SNI: a name that is not the resource's says nothing of who the
 * server is to the administrator. */
static bool name_is_the_resources(const struct session *s)
{
	const struct policy_resource *resource = upstream_resource(s);

	if (!s->sni[0] || !resource || resource->server_name.length)
		return true;
	for (size_t i = 0; i < resource->host_count; i++) {
		if (host_matches_name(&resource->hosts[i], slice_from_string(s->sni)))
			return true;
	}
	return false;
}

static void server_tls_done(struct leg *leg, int error, const char *text)
{
	uint8_t end_point[EVP_MAX_MD_SIZE];
	struct protocol_tls_result result = {.error = error, .text = text};
	struct session *s = leg->owner;

	if (error == 0) {
		result.alpn = tls_alpn(leg->tls);
		result.server_end_point = slice_of(end_point, tls_end_point(leg->tls, end_point));
		result.verified = (SSL_get_verify_mode(leg->tls->ssl) & SSL_VERIFY_PEER) &&
			name_is_the_resources(s);
	}
	/* Another engine may have taken over, that knows of no TLS. */
	if (s->engine->protocol->tls_done)
		s->engine->protocol->tls_done(s->engine, SIDE_SERVER, &result);
	session_touch(s);
}

static const struct tls_events server_tls_events = {.done = server_tls_done, .sign = login_sign};

/* The name to send and to verify: the configured one, else SNI, else the matched host, or what was
 * looked up of a wildcard's, else the address. Where an answer made the address a resource's, a
 * certificate for the address proves nothing. */
const char *upstream_server_name(const struct session *s, char *room, size_t size)
{
	const struct policy_resource *resource = upstream_resource(s);

	if (resource && resource->server_name.length)
		return (const char *)resource->server_name.data; /* followed by a NUL */
	if (s->sni[0])
		return s->sni;
	if (s->matched_name.length && s->matched_name.data[0] != '.')
		return (const char *)s->matched_name.data;
	if (s->answered[0])
		return s->answered;
	if (s->beyond.length) {
		snprintf(room, size, "%.*s", SLICE_PRINT(s->beyond));
		return room;
	}
	return place_text_of_address(s->origin.address, room, size);
}

static enum tls_check check_of(const struct policy_resource *resource)
{
	if (!resource)
		return TLS_CHECK_NAME;
	switch (resource->tls_upstream) {
	case TLS_UPSTREAM_REQUIRE:
		return TLS_CHECK_NOTHING;
	case TLS_UPSTREAM_VERIFY_CA:
		return TLS_CHECK_CHAIN;
	default:
		return TLS_CHECK_NAME;
	}
}

void upstream_start_tls(struct session *s, const struct protocol_tls *tls)
{
	const struct policy_resource *resource = upstream_resource(s);
	struct protocol_tls_result failure = {.error = -EINVAL};
	struct error e = {"out of memory"};
	char room[HOST_NAME_MOST + 1];
	const char *name = upstream_server_name(s, room, sizeof(room));
	struct leg *leg = &s->legs[SIDE_SERVER];
	SSL_CTX *context;

	session_touch(s);
	/* Another session has done it, for the same. */
	if (s->host.reused && leg->tls) {
		server_tls_done(leg, 0, NULL);
		return;
	}
	reuse_on_tls(s, tls->alpn, name);
	context = upstream_context(s->worker, s->resource, &e);
	if (context &&
		tls_connect(leg, &server_tls_events, context, check_of(resource), name, tls->alpn,
			tls->resumes) == 0)
		return;
	failure.text = e.text;
	s->engine->protocol->tls_done(s->engine, SIDE_SERVER, &failure);
}

/* One context per resource and policy; kept in the worker. */
SSL_CTX *upstream_context(struct worker *w, uint32_t resource, struct error *e)
{
	SSL_CTX **slot;

	if (w->contexts_generation != w->policy->generation) {
		for (size_t i = 0; i < w->context_count; i++)
			SSL_CTX_free(w->contexts[i]);
		free(w->contexts);
		w->context_count = w->policy->resource_count + 1;
		w->contexts = memory_new_array(w->context_count, sizeof(*w->contexts));
		w->contexts_generation = w->policy->generation;
	}
	slot = &w->contexts[resource == POLICY_EGRESS ? w->policy->resource_count : resource];
	if (!*slot && resource == POLICY_EGRESS)
		*slot = tls_client_context(SLICE_EMPTY, SLICE_EMPTY, e);
	else if (!*slot)
		*slot = tls_client_context(w->policy->resources[resource].ca_text,
			w->policy->resources[resource].login_chain, e);
	return *slot;
}
