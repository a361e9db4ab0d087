/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "capture/namespace.h"

#define NUMBERS_TRIED 64
#define NUMBER_FIRST 1024 /* those below are people's */
#define RECEIVE_BYTES (4 << 20)
#define RECEIVE_BYTES_ELSEWHERE (1 << 20)
#define MESSAGE_ROOM 512 /* for a request about the queue */
#define ANSWER_ROOM (QUEUE_PACKET_BYTES + 1024u) /* packets may come before it */
#define VERDICT_ROOM 64 /* for one verdict's message */

static struct nlmsghdr *begin(void *room, uint16_t type, uint16_t number, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	struct nfgenmsg *head;

	message->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = AF_UNSPEC;
	head->version = NFNETLINK_V0;
	head->res_id = htons(number);
	return message;
}

/* Sends a request and waits for its acknowledgement. */
static int request(struct mnl_socket *socket, struct nlmsghdr *message)
{
	uint8_t answer[ANSWER_ROOM];
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	/* Rules of an earlier daemon may fill the queue already: packets are no answer. */
	while (r == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(socket, answer, sizeof(answer));

		r = n < 0 ? MNL_CB_ERROR
			  : mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(socket), NULL,
				    NULL);
	}
	return r < 0 ? -errno : 0;
}

static int bind_number(struct mnl_socket *socket, uint16_t number)
{
	uint8_t room[MESSAGE_ROOM] = {0};
	const struct nfqnl_msg_config_cmd command = {
		.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_UNSPEC)};
	struct nlmsghdr *message = begin(room, NFQNL_MSG_CONFIG, number, NLM_F_ACK);

	mnl_attr_put(message, NFQA_CFG_CMD, sizeof(command), &command);
	return request(socket, message);
}

/* Packets as they are, not cut into segments; and no fewer for a reader that is slow. */
static int configure(struct mnl_socket *socket, uint16_t number, uint32_t most)
{
	uint8_t room[MESSAGE_ROOM] = {0};
	const struct nfqnl_msg_config_params parameters = {
		.copy_range = htonl(QUEUE_PACKET_BYTES), .copy_mode = NFQNL_COPY_PACKET};
	struct nlmsghdr *message = begin(room, NFQNL_MSG_CONFIG, number, NLM_F_ACK);

	mnl_attr_put(message, NFQA_CFG_PARAMS, sizeof(parameters), &parameters);
	mnl_attr_put_u32(message, NFQA_CFG_QUEUE_MAXLEN, htonl(most));
	mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	return request(socket, message);
}

/* Numbers are the network namespace's: another daemon may have one. */
static int take_number(struct queue *q, const char *name, uint32_t most)
{
	unsigned first = (unsigned)XXH3_64bits(name, strlen(name));
	int r = -EADDRINUSE;

	for (unsigned i = 0; i < NUMBERS_TRIED; i++) {
		q->number = (uint16_t)(NUMBER_FIRST +
			(first + q->tried++) % (UINT16_MAX - NUMBER_FIRST));
		r = bind_number(q->socket, q->number);
		if (r != -EPERM && r != -EBUSY)
			break;
	}
	return r == 0 ? configure(q->socket, q->number, most) : r;
}

/* --- verdicts --- */

static void put_verdict(
	struct mnl_nlmsg_batch *batch, uint16_t number, const struct queue_verdict *verdict)
{
	struct nlmsghdr *message =
		begin(mnl_nlmsg_batch_current(batch), NFQNL_MSG_VERDICT, number, 0);
	struct nfqnl_msg_verdict_hdr head = {
		.verdict = htonl(verdict->answer == QUEUE_DROP ? NF_DROP : NF_ACCEPT),
		.id = htonl(verdict->packet),
	};
	uint32_t mark = QUEUE_MARK_REFUSE | number;

	if (verdict->answer == QUEUE_PASS)
		mark = queue_pass_mark(verdict->agent, verdict->generation);
	else if (verdict->answer == QUEUE_PASS_ALONE)
		mark = 0;

	mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof(head), &head);
	mnl_attr_put_u32(message, NFQA_MARK, htonl(mark));
	/* It said whose the packet was. */
	mnl_attr_put_u32(message, NFQA_PRIORITY, 0);
	mnl_nlmsg_batch_next(batch);
}

static void send_verdicts(struct queue *q, const struct queue_verdict *verdicts, size_t count)
{
	uint8_t room[QUEUE_VERDICTS_MOST * VERDICT_ROOM * 2] = {0};
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(room, sizeof(room) / 2);

	if (!batch)
		return; /* they stay in the queue, and are dropped with it */
	for (size_t i = 0; i < count; i++)
		put_verdict(batch, q->number, &verdicts[i]);
	/* A packet that is gone meanwhile is an error that the worker's end shows, and ignores. */
	(void)!mnl_socket_sendto(
		q->socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch));
	mnl_nlmsg_batch_stop(batch);
}

/* Nothing was received: that is also what an empty message looks like. */
static bool is_shut_down(const struct queue *q)
{
	struct pollfd end = {.fd = q->source, .events = POLLRDHUP};

	return poll(&end, 1, 0) > 0;
}

/* Until the socket is shut down. */
static void *pass_on(void *context)
{
	struct queue *q = context;
	struct queue_verdict verdicts[QUEUE_VERDICTS_MOST];

	for (;;) {
		ssize_t n = recv(q->source, verdicts, sizeof(verdicts), 0);

		if (n > 0)
			send_verdicts(q, verdicts, (size_t)n / sizeof(*verdicts));
		else if (n == 0 ? is_shut_down(q) : errno != EINTR)
			return NULL;
	}
}

/* The signals are the main thread's. */
static int start_thread(struct queue *q)
{
	int pair[2], r;
	sigset_t all, before;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	q->source = pair[0];
	q->verdicts = pair[1];
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&q->thread, NULL, pass_on, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	q->running = r == 0;
	return r;
}

/* --- its life --- */

/* In the calling thread's network namespace. */
static int open_socket(struct queue *q, const char *name, int size, uint32_t most)
{
	int on = 1;

	q->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!q->socket || mnl_socket_bind(q->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* What does not fit is dropped by the queue; the reader needn't hear of it. */
	mnl_socket_setsockopt(q->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(q->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return take_number(q, name, most);
}

/* `r`: what became of its socket. */
static int finish(struct queue *q, int r, struct error *e)
{
	if (r == 0)
		r = start_thread(q);
	if (r == 0)
		return 0;
	queue_close(q);
	return error_set_errno(e, r, "a queue for packets");
}

static int open_next(struct queue *q, const char *name, unsigned tried, struct error *e)
{
	*q = (struct queue){.verdicts = -1, .source = -1, .tried = tried};
	return finish(q, open_socket(q, name, RECEIVE_BYTES, QUEUE_PACKETS_MOST), e);
}

int queue_open(struct queue *q, const char *name, struct error *e)
{
	return open_next(q, name, 0, e);
}

/* The thread must not be there: it would stay, and keep the namespace alive. */
int queue_open_in(
	struct queue *q, const char *name, int namespace_fd, uint64_t cookie, struct error *e)
{
	int home, r = namespace_enter(namespace_fd, cookie, &home);

	*q = (struct queue){.verdicts = -1, .source = -1};
	if (r < 0)
		return error_set_errno(e, r, "its network namespace");
	r = open_socket(q, name, RECEIVE_BYTES_ELSEWHERE, QUEUE_PACKETS_ELSEWHERE);
	namespace_leave(home);
	return finish(q, r, e);
}

int queue_renew(struct queue *q, const char *name, struct error *e)
{
	unsigned tried = q->tried;

	queue_close(q);
	return open_next(q, name, tried, e);
}

void queue_close(struct queue *q)
{
	if (!q->socket)
		return;
	if (q->running) {
		shutdown(q->source, SHUT_RDWR);
		pthread_join(q->thread, NULL);
	}
	if (q->verdicts >= 0)
		close(q->verdicts);
	if (q->source >= 0)
		close(q->source);
	mnl_socket_close(q->socket);
	*q = (struct queue){.verdicts = -1, .source = -1, .tried = q->tried};
}

int queue_descriptor(const struct queue *q)
{
	return q->socket ? mnl_socket_get_fd(q->socket) : -1;
}
