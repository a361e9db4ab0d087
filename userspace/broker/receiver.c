/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receiver.h"

#include <errno.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/memory.h"
#include "broker/callback.h"

#define CONNECTION_MEMORY 32768 /* bytes for a request's line and headers */
#define IDLE_TIME 10 /* seconds */

struct receiver {
	struct MHD_Daemon *daemon;
	receiver_handler *handler;
	void *context;
	struct list connections;
};

struct connection {
	struct list link;
	int fd;
	uint64_t started; /* monotonic */
};

struct request {
	struct buffer body;
	bool too_long;
};

/* --- the time of a connection: who sends one byte at a time is never idle --- */

static void on_connection(void *context, struct MHD_Connection *mhd, void **own,
	enum MHD_ConnectionNotificationCode what)
{
	struct receiver *l = context;
	struct connection *c = *own;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = memory_new(sizeof(*c));
		c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		c->started = clock_monotonic();
		list_append(&l->connections, &c->link);
		*own = c;
	} else if (c) {
		list_remove(&c->link);
		free(c);
		*own = NULL;
	}
}

static void end_old(struct receiver *l)
{
	uint64_t now = clock_monotonic();

	list_for_each (position, &l->connections) {
		struct connection *c = list_entry(position, struct connection, link);

		/* The oldest stand first. */
		if (now - c->started < RECEIVER_TIME_MOST * NANOSECONDS_PER_SECOND)
			return;
		shutdown(c->fd, SHUT_RDWR);
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
	list_init(&l->connections);
	if (*certificate) {
		flags |= MHD_USE_TLS;
		tls[0].ptr_value = (void *)certificate;
		tls[1].ptr_value = (void *)key;
	} else {
		tls[0].option = MHD_OPTION_END;
	}
	l->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)RECEIVER_CONNECTIONS_MOST,
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
