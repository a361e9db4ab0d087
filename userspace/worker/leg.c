/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/leg.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "base/memory.h"
#include "worker/tls.h"

#define CHUNKS_KEPT 256 /* of the usual size, per thread */

/* --- chunks --- */

static __thread struct chunk *free_chunks;
static __thread unsigned free_chunk_count;

struct chunk *chunk_new(size_t size)
{
	struct chunk *c = free_chunks;

	if (size <= LEG_CHUNK_SIZE && c) {
		free_chunks = c->next_free;
		free_chunk_count--;
	} else {
		if (size < LEG_CHUNK_SIZE)
			size = LEG_CHUNK_SIZE;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = (uint32_t)size;
	}
	c->references = 1;
	c->secret = false;
	c->used = 0;
	return c;
}

void chunk_put(struct chunk *c)
{
	if (!c || --c->references > 0)
		return;
	if (c->secret)
		memory_wipe(c->data, c->used);
	c->secret = false;
	if (c->size != LEG_CHUNK_SIZE || free_chunk_count >= CHUNKS_KEPT) {
		free(c);
		return;
	}
	c->next_free = free_chunks;
	free_chunks = c;
	free_chunk_count++;
}

/* --- segments --- */

static struct segment *segments_at(struct segments *s, size_t index)
{
	return &s->items[(s->first + index) & (s->capacity - 1)];
}

static void segments_push(struct segments *s, struct segment segment)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 8;
		struct segment *items = memory_new_array(capacity, sizeof(*items));

		for (size_t i = 0; i < s->count; i++)
			items[i] = *segments_at(s, i);
		free(s->items);
		s->items = items;
		s->first = 0;
		s->capacity = capacity;
	}
	*segments_at(s, s->count++) = segment;
	s->bytes += segment.length;
}

static void segment_release(struct leg *leg, struct segment *segment)
{
	if (segment->block)
		ring_block_put(leg->ring, segment->block);
	chunk_put(segment->chunk);
}

/* Drops `length` bytes at the front. */
static void segments_consume(struct leg *leg, struct segments *s, size_t length)
{
	while (length > 0) {
		struct segment *segment = segments_at(s, 0);
		size_t n = length < segment->length ? length : segment->length;

		segment->data += n;
		segment->length -= n;
		s->bytes -= n;
		length -= n;
		if (segment->length > 0)
			return;
		segment_release(leg, segment);
		s->first = (s->first + 1) & (s->capacity - 1);
		s->count--;
	}
}

static void segments_done(struct leg *leg, struct segments *s)
{
	for (size_t i = 0; i < s->count; i++)
		segment_release(leg, segments_at(s, i));
	free(s->items);
	*s = (struct segments){0};
}

/* The last segment, where so many more bytes fit behind it in its chunk; NULL: they don't. A chunk
 * with one reference belongs to its segment alone, so its tail may grow. */
static struct segment *segments_with_room(struct segments *s, size_t length)
{
	struct segment *last = s->count ? segments_at(s, s->count - 1) : NULL;
	const struct chunk *chunk = last ? last->chunk : NULL;

	return chunk && chunk->references == 1 && chunk->size - chunk->used >= length &&
			last->data + last->length == chunk->data + chunk->used
		? last
		: NULL;
}

/* Appends a copy, behind the last segment where that has room. */
static int segments_copy(struct segments *s, struct slice bytes)
{
	struct segment *last = segments_with_room(s, bytes.length);
	struct chunk *chunk = last ? last->chunk : chunk_new(bytes.length);

	if (!chunk)
		return -ENOMEM;
	memcpy(chunk->data + chunk->used, bytes.data, bytes.length);
	chunk->used += (uint32_t)bytes.length;
	if (last) {
		last->length += bytes.length;
		s->bytes += bytes.length;
		return 0;
	}
	segments_push(
		s, (struct segment){.chunk = chunk, .data = chunk->data, .length = bytes.length});
	return 0;
}

/* What a slow receiver left in shared blocks moves to chunks. */
static void segments_unshare(struct leg *leg, struct segments *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct segment *segment = segments_at(s, i);
		struct chunk *chunk;

		if (!segment->block)
			continue;
		chunk = chunk_new(segment->length);
		if (!chunk)
			return;
		memcpy(chunk->data, segment->data, segment->length);
		chunk->used = (uint32_t)segment->length;
		segment_release(leg, segment);
		segment->block = NULL;
		segment->chunk = chunk;
		segment->data = chunk->data;
	}
}

/* --- receiving --- */

static void leg_operation_done(struct leg *leg)
{
	if (leg->state == LEG_CLOSED || leg->resting)
		leg->events->closed(leg);
}

void leg_end(struct leg *leg, int error)
{
	if (leg->state != LEG_OPEN)
		return;
	leg->state = LEG_ENDED;
	if (error < 0)
		leg->broken = leg->cut = true;
	leg->events->ended(leg, error);
}

/* TLS has words for an end in order, and what comes without them may be cut off by anybody. */
static void end_of_socket(struct leg *leg, int error)
{
	leg->cut |= leg->tls != NULL;
	leg_end(leg, error);
}

static void on_receive(struct ring_operation *operation, int result)
{
	struct leg *leg = container_of(operation, struct leg, receive);
	struct ring_block *block;

	if (result <= 0) {
		if (leg->state == LEG_OPEN && result != -ECANCELED)
			end_of_socket(leg, result);
		leg_operation_done(leg);
		return;
	}
	block = ring_take_block(leg->ring, operation);
	if (leg->state == LEG_OPEN) {
		leg->received_bytes += (size_t)result;
		if (leg->tls) {
			tls_on_bytes(leg, slice_of(block->data, (size_t)result));
		} else {
			leg->input_block = block;
			leg->events->received(leg, slice_of(block->data, (size_t)result));
			leg->input_block = NULL;
		}
	}
	ring_block_put(leg->ring, block);
	leg_operation_done(leg);
}

void leg_receive(struct leg *leg)
{
	if (leg->state != LEG_OPEN || leg->receive.in_flight || leg->resting)
		return;
	ring_receive(leg->ring, &leg->receive, leg->fd);
}

static void on_watch(struct ring_operation *operation, int result)
{
	struct leg *leg = container_of(operation, struct leg, watch);
	uint8_t byte;

	/* What the peer sent before it closed is still to be received; the end comes behind it. */
	if (leg->state == LEG_OPEN && result > 0) {
		if (recv(leg->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			end_of_socket(leg, result & POLLERR ? -ECONNRESET : 0);
		else
			leg->events->leaves(leg);
	}
	leg_operation_done(leg);
}

void leg_watch(struct leg *leg)
{
	if (leg->state != LEG_OPEN || leg->receive.in_flight || leg->watch.in_flight)
		return;
	ring_poll(leg->ring, &leg->watch, leg->fd, POLLRDHUP);
}

/* --- sending --- */

static struct segments *leg_queue(struct leg *leg)
{
	return leg->tls ? &leg->plain : &leg->out;
}

int leg_write(struct leg *leg, struct slice bytes)
{
	if (leg->broken || leg->state == LEG_CLOSED || bytes.length == 0)
		return 0;
	return segments_copy(leg_queue(leg), bytes);
}

int leg_write_secret(struct leg *leg, struct slice bytes)
{
	struct segments *queue = leg_queue(leg);
	size_t before = queue->count;
	int r = leg_write(leg, bytes);

	/* It may begin in the last chunk that there was, and go on in others. */
	for (size_t i = before ? before - 1 : 0; i < queue->count; i++) {
		if (segments_at(queue, i)->chunk)
			segments_at(queue, i)->chunk->secret = true;
	}
	return r;
}

int leg_pass(struct leg *leg, struct leg *from, struct slice bytes)
{
	struct segments *queue = leg_queue(leg);
	struct segment *last;

	if ((!from->input_block && !from->input_chunk) || bytes.length < 256)
		return leg_write(leg, bytes);
	/* In TLS each segment is a record, which costs us and the peer more than a copy does. */
	if (leg->tls && segments_with_room(queue, bytes.length))
		return leg_write(leg, bytes);
	if (leg->broken || leg->state == LEG_CLOSED)
		return 0;
	last = queue->count ? segments_at(queue, queue->count - 1) : NULL;
	if (last && last->data + last->length == bytes.data && last->block == from->input_block &&
		last->chunk == from->input_chunk) {
		last->length += bytes.length;
		queue->bytes += bytes.length;
		return 0;
	}
	if (from->input_block)
		ring_block_get(from->input_block);
	if (from->input_chunk)
		from->input_chunk->references++;
	segments_push(queue,
		(struct segment){.block = from->input_block,
			.chunk = from->input_chunk,
			.data = bytes.data,
			.length = bytes.length});
	return 0;
}

void leg_consume_plain(struct leg *leg, size_t length)
{
	segments_consume(leg, &leg->plain, length);
}

int leg_write_encrypted(struct leg *leg, struct slice bytes)
{
	return leg->broken ? 0 : segments_copy(&leg->out, bytes);
}

size_t leg_queued(const struct leg *leg)
{
	return leg->out.bytes + leg->plain.bytes;
}

bool leg_is_taken(const struct leg *leg)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (leg->broken || leg->fd < 0)
		return true;
	if (leg_queued(leg) > 0)
		return false;
	/* A socket of another kind has no more than its peer has: what was sent lies there. */
	if (getsockopt(leg->fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return true;
	return info.tcpi_notsent_bytes == 0 && info.tcpi_unacked == 0;
}

void leg_drop_queue(struct leg *leg)
{
	/* What the kernel is reading from must stay, and so must ciphertext: TLS has counted it,
	 * and it was recorded before it was encrypted. */
	size_t kept = leg->tls ? leg->out.count : leg->send.in_flight ? leg->message.msg_iovlen : 0;
	struct segment *last;

	segments_done(leg, &leg->plain);
	while (leg->out.count > kept) {
		last = segments_at(&leg->out, --leg->out.count);
		leg->out.bytes -= last->length;
		segment_release(leg, last);
	}
	if (leg->tls || kept == 0)
		return;
	/* The last one may have grown since it was given to the kernel. */
	last = segments_at(&leg->out, kept - 1);
	leg->out.bytes -= last->length - leg->parts[kept - 1].iov_len;
	last->length = leg->parts[kept - 1].iov_len;
}

static void make_message(struct leg *leg)
{
	size_t count = leg->out.count < LEG_PARTS ? leg->out.count : LEG_PARTS;

	for (size_t i = 0; i < count; i++) {
		struct segment *segment = segments_at(&leg->out, i);

		leg->parts[i] = (struct iovec){(void *)segment->data, segment->length};
	}
	leg->message = (struct msghdr){.msg_iov = leg->parts, .msg_iovlen = count};
}

static void note_sent(struct leg *leg, size_t length)
{
	leg->sent_bytes += length;
	segments_consume(leg, &leg->out, length);
}

/* A socket takes a reply at once in nearly all cases: then a call of its own is shorter than the
 * way through the ring and back. What is left, and errors, are the ring's. */
static void send_at_once(struct leg *leg)
{
	ssize_t n = 1;

	while (n > 0 && leg->out.count > 0) {
		make_message(leg);
		n = sendmsg(leg->fd, &leg->message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			note_sent(leg, (size_t)n);
	}
	if (leg->out.count > 0) {
		leg->slow = true;
		segments_unshare(leg, &leg->out);
	}
}

static void finish_sending(struct leg *leg)
{
	if (leg->shut && leg->out.count == 0 && leg->plain.count == 0 && !leg->broken &&
		(!leg->abrupt || leg->tls))
		shutdown(leg->fd, SHUT_WR);
}

static void on_send(struct ring_operation *operation, int result)
{
	struct leg *leg = container_of(operation, struct leg, send);

	if (leg->state == LEG_CLOSED) {
		leg_operation_done(leg);
		return;
	}
	if (result < 0 && result != -EAGAIN && result != -EINTR) {
		leg->broken = true;
		segments_done(leg, &leg->out);
		segments_done(leg, &leg->plain);
		leg_end(leg, result);
		return;
	}
	if (result > 0)
		note_sent(leg, (size_t)result);
	leg->slow = leg->out.count > 0;
	if (leg->slow)
		segments_unshare(leg, &leg->out);
	/* What is left is sent at the end of the turn: behind it may stand what is not recorded
	 * yet. */
	leg->events->sent(leg);
}

void leg_flush(struct leg *leg)
{
	bool more;

	if (leg->state == LEG_UNUSED || leg->state == LEG_CLOSED || leg->broken)
		return;
	if (leg->send.in_flight)
		return;
	do {
		more = leg->tls && tls_flush(leg);
		if (!leg->slow)
			send_at_once(leg);
	} while (more && leg->out.count == 0);
	if (leg->out.count > 0) {
		make_message(leg);
		ring_send_message(leg->ring, &leg->send, leg->fd, &leg->message, 0);
	} else {
		finish_sending(leg);
	}
}

void leg_shut(struct leg *leg)
{
	leg->shut = true;
}

void leg_cut(struct leg *leg)
{
	leg->shut = leg->abrupt = true;
}

/* --- life --- */

void leg_init(struct leg *leg, struct ring *ring, const struct leg_events *events, void *owner)
{
	*leg = (struct leg){.ring = ring, .events = events, .owner = owner, .fd = -1};
	leg->receive.complete = on_receive;
	leg->send.complete = on_send;
	leg->watch.complete = on_watch;
}

void leg_open(struct leg *leg, int fd)
{
	assert(leg->state == LEG_UNUSED);
	leg->fd = fd;
	leg->state = LEG_OPEN;
}

void leg_rest(struct leg *leg)
{
	leg->resting = true;
	ring_cancel(leg->ring, &leg->receive);
	ring_cancel(leg->ring, &leg->watch);
}

bool leg_is_quiet(const struct leg *leg)
{
	return leg->state == LEG_OPEN && !leg->broken && !leg->shut && !leg->cut &&
		leg_queued(leg) == 0 && (!leg->tls || tls_is_quiet(leg->tls));
}

void leg_take(struct leg *leg, struct leg_connection *ret)
{
	assert(leg_is_idle(leg) && leg_is_quiet(leg));
	*ret = (struct leg_connection){leg->fd, leg->tls};
	if (leg->tls)
		tls_set_leg(leg->tls, NULL);
	leg->fd = -1;
	leg->tls = NULL;
	leg->state = LEG_CLOSED;
}

void leg_give(struct leg *leg, const struct leg_connection *connection)
{
	leg_open(leg, connection->fd);
	leg->tls = connection->tls;
	if (leg->tls)
		tls_set_leg(leg->tls, leg);
}

void leg_connection_close(struct leg_connection *connection)
{
	struct leg leg;

	leg_init(&leg, NULL, NULL, NULL);
	leg_give(&leg, connection);
	leg.shut = true;
	if (leg.tls)
		tls_flush(&leg);
	if (leg.out.count)
		send_at_once(&leg);
	leg_done(&leg);
	close(leg.fd);
	*connection = (struct leg_connection){-1, NULL};
}

void leg_close(struct leg *leg, bool reset)
{
	if (leg->state == LEG_CLOSED)
		return;
	if (leg->fd >= 0) {
		if (reset || (leg->abrupt && !leg->tls))
			setsockopt(leg->fd, SOL_SOCKET, SO_LINGER,
				&(struct linger){.l_onoff = 1, .l_linger = 0},
				sizeof(struct linger));
		ring_cancel(leg->ring, &leg->receive);
		ring_cancel(leg->ring, &leg->send);
		ring_cancel(leg->ring, &leg->watch);
		close(leg->fd);
		leg->fd = -1;
	}
	leg->state = LEG_CLOSED;
}

bool leg_is_idle(const struct leg *leg)
{
	return !leg->receive.in_flight && !leg->send.in_flight && !leg->watch.in_flight;
}

void leg_done(struct leg *leg)
{
	segments_done(leg, &leg->out);
	segments_done(leg, &leg->plain);
	tls_free(leg->tls);
	leg->tls = NULL;
}
