/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/monitor.h"
#include "policy/host.h"

#define CONNECTIONS_MOST 16
#define PATIENCE (5 * NANOSECONDS_PER_SECOND)
#define ANSWER_MOST (4u << 20)

struct connection {
	struct metrics_listener *listener;
	struct list link;
	struct loop_source source;
	uint64_t deadline;
	struct buffer answer;
	bool begun, sent;
};

static void connection_free(struct connection *c)
{
	int fd = c->source.fd;

	loop_remove(&c->listener->monitor->loop, &c->source);
	list_remove(&c->link);
	c->listener->count--;
	close(fd);
	buffer_done(&c->answer);
	free(c);
}

/* What does not fit into the socket's buffer is lost, and the client sees that by the length. */
static void send_answer(struct connection *c)
{
	struct slice answer;

	c->begun = true;
	if (c->listener->answer(c->listener->monitor, &c->answer) < 0)
		return;
	answer = buffer_slice(&c->answer);
	c->sent = send(c->source.fd, answer.data, answer.length, MSG_NOSIGNAL | MSG_DONTWAIT) ==
		(ssize_t)answer.length;
	buffer_clear(&c->answer);
	shutdown(c->source.fd, SHUT_WR);
}

/* Read until the client closes: closing first, with something unread, would take the answer away.
 */
static void on_client(struct loop_source *source)
{
	struct connection *c = source->context;
	char nothing[4096];
	ssize_t n = recv(source->fd, nothing, sizeof(nothing), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		connection_free(c);
	else if (n > 0 && !c->begun)
		send_answer(c);
}

static void on_connection(struct loop_source *source)
{
	struct metrics_listener *l = source->context;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int room = ANSWER_MOST;
	struct connection *c;

	/* It stays ready as long as it can't be taken. */
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		loop_pause(&l->monitor->loop, source);
	if (fd < 0)
		return;
	if (l->count >= CONNECTIONS_MOST)
		connection_free(list_entry(l->connections.next, struct connection, link));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	c = memory_new(sizeof(*c));
	c->listener = l;
	c->deadline = clock_monotonic() + PATIENCE;
	buffer_init(&c->answer, ANSWER_MOST);
	list_append(&l->connections, &c->link);
	l->count++;
	if (loop_add(&l->monitor->loop, &c->source, fd, on_client, c) < 0)
		connection_free(c);
}

/* --- the answers */

static int respond(struct buffer *ret, const char *status, const char *type, struct buffer *body)
{
	int r = buffer_append_format(ret,
		"HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		status, type, buffer_length(body));

	return r == 0 ? buffer_append_slice(ret, buffer_slice(body)) : r;
}

static int answer_metrics(struct monitor *m, struct buffer *ret)
{
	struct buffer body;
	int r;

	buffer_init(&body, ANSWER_MOST);
	r = status_build_metrics(m, &body);
	if (r == 0)
		r = respond(ret, "200 OK", "text/plain; version=0.0.4", &body);
	buffer_done(&body);
	return r;
}

static int answer_health(struct monitor *m, struct buffer *ret)
{
	const char *problem = status_problem(m);
	struct buffer body;
	int r;

	buffer_init(&body, ANSWER_MOST);
	r = buffer_append_format(&body, "%s\n", problem ? problem : "ok");
	if (r == 0)
		r = respond(
			ret, problem ? "503 Service Unavailable" : "200 OK", "text/plain", &body);
	buffer_done(&body);
	return r;
}

/* --- listening */

static void stop_listening(struct metrics_listener *l)
{
	list_for_each_safe (position, &l->connections)
		connection_free(list_entry(position, struct connection, link));
	if (l->source.fd >= 0) {
		int fd = l->source.fd;

		loop_remove(&l->monitor->loop, &l->source);
		close(fd);
	}
	l->source.fd = -1;
	free(l->address);
	l->address = NULL;
}

static int open_socket(const char *text, int *ret_fd)
{
	char *copy = memory_copy_string(text);
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct host host;
	int one = 1, fd, r = host_parse(copy, &host, NULL);
	bool is_v4 = r == 0 && address_is_mapped(&host.address);

	free(copy);
	if (r < 0)
		return r;
	memcpy(&v6.sin6_addr, host.address.bytes, sizeof(v6.sin6_addr));
	memcpy(&v4.sin_addr, host.address.bytes + 12, sizeof(v4.sin_addr));
	v6.sin6_port = v4.sin_port = htons(host.port);
	fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		    is_v4 ? sizeof(v4) : sizeof(v6)) < 0 ||
		listen(fd, CONNECTIONS_MOST) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int listen_at(struct metrics_listener *l, const char *address, struct error *e)
{
	int fd = -1, r;

	if (address && l->address && strcmp(address, l->address) == 0)
		return 0;
	stop_listening(l);
	if (!address)
		return 0;
	r = open_socket(address, &fd);
	if (r < 0)
		return error_set_errno(e, r, "metrics: %s", address);
	l->address = memory_copy_string(address);
	return loop_add(&l->monitor->loop, &l->source, fd, on_connection, l);
}

static void init_listener(struct metrics_listener *l, struct monitor *m,
	int (*answer)(struct monitor *m, struct buffer *ret))
{
	*l = (struct metrics_listener){.monitor = m, .answer = answer, .source.fd = -1};
	list_init(&l->connections);
}

void metrics_init(struct monitor *m)
{
	init_listener(&m->metrics.metrics, m, answer_metrics);
	init_listener(&m->metrics.health, m, answer_health);
}

int metrics_configure(struct monitor *m, struct error *e)
{
	const struct config_metrics *c = m->config->metrics;
	int r = listen_at(&m->metrics.metrics, c ? c->listen.text : NULL, e);

	return r == 0 ? listen_at(&m->metrics.health, c ? c->health.text : NULL, e) : r;
}

static void expire(struct metrics_listener *l, uint64_t now)
{
	if (l->source.fd >= 0)
		loop_go_on(&l->monitor->loop, &l->source);
	list_for_each_safe (position, &l->connections) {
		struct connection *c = list_entry(position, struct connection, link);

		if (now >= c->deadline)
			connection_free(c);
	}
}

void metrics_tick(struct monitor *m, uint64_t now)
{
	expire(&m->metrics.metrics, now);
	expire(&m->metrics.health, now);
}

void metrics_close(struct monitor *m)
{
	if (!m->metrics.metrics.monitor)
		return;
	stop_listening(&m->metrics.metrics);
	stop_listening(&m->metrics.health);
}
