/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receiver.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "broker/callback.h"

#define CONNECTION_MEMORY 32768 /* bytes for a request's line and headers */
#define IDLE_TIME 10 /* seconds */

/* Beside those that are open, for those that we have ended and the library has not closed yet. */
#define ENDED_MOST 64

struct receiver {
	struct MHD_Daemon *daemon;
	receiver_handler *handler;
	void *context;
	struct list senders; /* the one that has been there longest is the first */
	unsigned open;
};

/* Who connects. */
struct sender {
	struct list link;
	uint8_t address[16];
	struct list connections; /* that are open, the oldest first */
	unsigned open;
	unsigned references; /* of connections that the library has not closed yet */
};

struct connection {
	struct list link;
	struct sender *sender;
	bool ended;
	int fd;
	uint64_t started; /* monotonic */
};

struct request {
	struct buffer body;
	bool too_long;
};

/* --- connections: none may keep others out, be it by its time (who sends one byte at a time is
 * never idle) or by having many like it --- */

/* Of IPv6 the network: its hosts are for nobody to count. */
static void read_address(const struct sockaddr *from, uint8_t ret[16])
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	const struct sockaddr_in *four = (const struct sockaddr_in *)from;

	memset(ret, 0, 16);
	if (from->sa_family == AF_INET)
		memcpy(ret + 12, &four->sin_addr, 4);
	else if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		memcpy(ret + 12, six->sin6_addr.s6_addr + 12, 4);
	else if (from->sa_family == AF_INET6)
		memcpy(ret, &six->sin6_addr, 8);
}

static struct sender *get_sender(struct receiver *l, const uint8_t address[16])
{
	struct sender *s;

	list_for_each (position, &l->senders) {
		s = list_entry(position, struct sender, link);
		if (memcmp(s->address, address, sizeof(s->address)) == 0)
			return s;
	}
	s = memory_new(sizeof(*s));
	memcpy(s->address, address, sizeof(s->address));
	list_init(&s->connections);
	list_append(&l->senders, &s->link);
	return s;
}

static void leave_sender(struct receiver *l, struct connection *c)
{
	list_remove(&c->link);
	c->sender->open--;
	l->open--;
	c->ended = true;
}

/* The library closes it when it looks at it next. */
static void end(struct receiver *l, struct connection *c)
{
	leave_sender(l, c);
	shutdown(c->fd, SHUT_RDWR);
}

static void open_connection(struct receiver *l, struct connection *c, struct MHD_Connection *mhd)
{
	uint8_t address[16];

	read_address(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
		address);
	c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	c->started = clock_monotonic();
	c->sender = get_sender(l, address);
	list_append(&c->sender->connections, &c->link);
	c->sender->references++;
	c->sender->open++;
	l->open++;
}

static void close_connection(struct receiver *l, struct connection *c)
{
	struct sender *s = c->sender;

	if (!c->ended)
		leave_sender(l, c);
	if (--s->references == 0) {
		list_remove(&s->link);
		free(s);
	}
	free(c);
}

/* Whoever has the most loses the oldest: nobody who has few can be shut out by one who has many. */
static void make_room(struct receiver *l)
{
	struct sender *most = NULL;

	if (l->open <= RECEIVER_CONNECTIONS_MOST)
		return;
	list_for_each (position, &l->senders) {
		struct sender *s = list_entry(position, struct sender, link);

		if (!most || s->open > most->open)
			most = s;
	}
	end(l, list_entry(most->connections.next, struct connection, link));
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **own,
	enum MHD_ConnectionNotificationCode what)
{
	struct receiver *l = context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*own = memory_new(sizeof(struct connection));
		open_connection(l, *own, mhd);
		make_room(l);
	} else if (*own) {
		close_connection(l, *own);
		*own = NULL;
	}
}

static void end_old(struct receiver *l)
{
	uint64_t now = clock_monotonic();

	list_for_each (sender, &l->senders) {
		list_for_each_safe (
			position, &list_entry(sender, struct sender, link)->connections) {
			struct connection *c = list_entry(position, struct connection, link);

			if (now - c->started < RECEIVER_TIME_MOST * NANOSECONDS_PER_SECOND)
				break;
			end(l, c);
		}
	}
}

/* --- a request --- */

static enum MHD_Result answer(struct MHD_Connection *mhd, unsigned status)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	/* One request per connection, so that its time is bounded. */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_POST);
	r = MHD_queue_response(mhd, status, response);
	MHD_destroy_response(response);
	return r;
}

static struct slice header(struct MHD_Connection *mhd, const char *name)
{
	return slice_from_string(MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name));
}

static unsigned finish(struct receiver *l, struct MHD_Connection *mhd, struct request *request)
{
	const struct receiver_request whole = {
		.timestamp = header(mhd, "X-Slack-Request-Timestamp"),
		.signature = header(mhd, "X-Slack-Signature"),
		.body = buffer_slice(&request->body),
	};

	return request->too_long ? MHD_HTTP_CONTENT_TOO_LARGE : l->handler(l->context, &whole);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *data, size_t *length, void **own)
{
	struct request *request = *own;

	(void)url;
	(void)version;
	if (!request) {
		if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
			return answer(mhd, MHD_HTTP_METHOD_NOT_ALLOWED);
		request = memory_new(sizeof(*request));
		buffer_init(&request->body, CALLBACK_BODY_MOST);
		*own = request;
		return MHD_YES;
	}
	if (*length) {
		/* Read to its end, to be answered; not kept. */
		if (!request->too_long && buffer_append(&request->body, data, *length) < 0)
			request->too_long = true;
		*length = 0;
		return MHD_YES;
	}
	return answer(mhd, finish(context, mhd, request));
}

static void on_completed(
	void *context, struct MHD_Connection *mhd, void **own, enum MHD_RequestTerminationCode how)
{
	struct request *request = *own;

	(void)context;
	(void)mhd;
	(void)how;
	if (request)
		buffer_done(&request->body);
	free(request);
	*own = NULL;
}

/* --- the receiver --- */

int receiver_new(int fd, const char *certificate, const char *key, receiver_handler *handler,
	void *context, struct receiver **ret, struct error *e)
{
	struct receiver *l = memory_new(sizeof(*l));
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, NULL},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, NULL},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL;

	l->handler = handler;
	l->context = context;
	list_init(&l->senders);
	if (*certificate) {
		flags |= MHD_USE_TLS;
		tls[0].ptr_value = (void *)certificate;
		tls[1].ptr_value = (void *)key;
	} else {
		tls[0].option = MHD_OPTION_END;
	}
	l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(RECEIVER_CONNECTIONS_MOST + ENDED_MOST),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIME, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_ARRAY,
		tls, MHD_OPTION_END);
	if (!l->daemon) {
		free(l);
		return error_set(e, -EINVAL,
			"callbacks can't be served: the certificate or its key can't be used");
	}
	*ret = l;
	return 0;
}

int receiver_descriptor(const struct receiver *l)
{
	return MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int receiver_wait(const struct receiver *l, int most)
{
	unsigned MHD_LONG_LONG wait;

	if (MHD_get_timeout(l->daemon, &wait) == MHD_YES && wait < (unsigned)most)
		return (int)wait;
	return most;
}

void receiver_turn(struct receiver *l)
{
	end_old(l);
	MHD_run(l->daemon);
}
