/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: the resource's secret in requests. The host lends it for those that are released
 * (http/inject.c), and it leaves in fields that HPACK keeps in no table, on neither end. What
 * nghttp2 holds of it on the way is wiped when it lets go of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/http/credentials.h"
#include "protocol/http2/http2.h"

/* --- memory --- */

/* What stands before each block: its size. */
struct block {
	size_t size;
	max_align_t content[];
};

static void wipe_and_free(void *pointer, void *context)
{
	struct block *b;

	(void)context;
	if (!pointer)
		return;
	b = container_of(pointer, struct block, content);
	memory_wipe(b->content, b->size);
	free(b);
}

static void *allocate(size_t size, void *context)
{
	struct block *b = memory_new(sizeof(*b) + size);

	(void)context;
	b->size = size;
	return b->content;
}

static void *allocate_zeros(size_t count, size_t size, void *context)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return allocate(bytes, context); /* memory_new() gives zeros */
}

static void *reallocate(void *pointer, size_t size, void *context)
{
	void *larger = allocate(size, context);
	size_t before;

	if (pointer) {
		before = container_of(pointer, struct block, content)->size;
		memcpy(larger, pointer, before < size ? before : size);
	}
	wipe_and_free(pointer, context);
	return larger;
}

nghttp2_mem http2_wiping_memory = {NULL, allocate, wipe_and_free, allocate_zeros, reallocate};

/* --- lending --- */

int http2_secret_ask(struct http2_stream *s)
{
	const char *why = http_secret_problem(s->h->e, s->request.head.method);
	struct protocol_event *event;

	if (why) {
		http2_stream_fail(s, REASON_AUTHENTICATION, why);
		return 0;
	}
	s->state = HTTP2_SECRET;
	/* One answer is for all that wait for it. */
	if (s->h->lends)
		return 0;
	s->h->lends = true;
	event = http_event(s->h->e, EVENT_PROOF);
	event->proof.kind = PROOF_PASSWORD;
	event->proof.challenge = SLICE_EMPTY;
	return 0;
}

static int send_with(struct http2_stream *s, struct slice secret)
{
	int r;

	s->state = HTTP2_READY;
	s->h->e->secret = secret;
	r = http2_go_on(s);
	s->h->e->secret = SLICE_EMPTY;
	if (r != -EINVAL)
		return r;
	http2_stream_fail(
		s, REASON_AUTHENTICATION, "the resource's credentials can't stand in a request");
	return 0;
}

void http2_proven(struct protocol_engine *base, int error, struct slice answer)
{
	struct http2 *h = http_engine_of(base)->h2;
	char *why = error < 0 ? memory_copy_text(answer.data, answer.length) : NULL;
	int r = 0;

	h->lends = false;
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		if (s->state != HTTP2_SECRET || h->e->agent == HTTP_AGENT_DONE)
			continue;
		if (why)
			http2_stream_fail(s, REASON_AUTHENTICATION, why);
		else if (r == 0)
			r = send_with(s, answer);
	}
	free(why);
	if (r == 0)
		r = http2_flush(h);
	if (r < 0)
		http2_fail(h, REASON_INTERNAL, "the request could not be sent on");
}

/* --- where it stands --- */

/* Field names are in lower case (RFC 9113, 8.2.1). */
static int put_name(struct slice name, struct buffer *room)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < name.length; i++) {
		uint8_t c = name.data[i];

		r = buffer_append_byte(room, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
	}
	return r;
}

int http2_secret_put(const struct http2_stream *s, struct http2_list *list, struct buffer *room)
{
	const struct protocol_credentials *c = &s->h->e->base.host->credentials;
	struct slice name = http_credentials_field(c), text, secret = s->h->e->secret;
	int r;

	if (c->place == SECRET_NOWHERE)
		return 0;
	if (c->place == SECRET_IN_QUERY) {
		r = http_credentials_put_target(c, s->request.head.target, secret, room);
		if (r == 0)
			http2_list_hide(list, slice_from_string(":path"), buffer_slice(room));
		return r;
	}
	r = put_name(name, room);
	if (r == 0)
		r = http_credentials_put_value(c, secret, room);
	text = buffer_slice(room);
	if (r == 0)
		http2_list_hide(list, slice_head(text, name.length), slice_from(text, name.length));
	return r;
}
