/* SPDX-License-Identifier: Apache-2.0
 *
 * hold: requests that wait for people. They are asked about the whole request, so its body is read
 * first, up to a limit; nothing of it goes on before they decide.
 */
#include <errno.h>

#include "protocol/http/engine.h"

/* These differ from one attempt of a client to its next, and decide nothing. */
static const char *const volatile_headers[] = {"date", "user-agent", "traceparent", "tracestate",
	"x-request-id", "x-amzn-trace-id", "connection", "keep-alive", "expect"};

static bool is_bound(const struct http_field *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(volatile_headers); i++) {
		if (http_field_is(field, volatile_headers[i]))
			return false;
	}
	return true;
}

static int put_head(struct http_engine *e)
{
	const struct http_fields *fields = &e->message.fields;
	int r = 0;

	buffer_clear(&e->bound);
	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		if (is_bound(&fields->items[i]))
			r = buffer_append_format(&e->bound, "%.*s: %.*s\n",
				SLICE_PRINT(fields->items[i].name),
				SLICE_PRINT(fields->items[i].value));
	}
	return r;
}

static int begin_collecting(struct http_engine *e)
{
	buffer_clear(&e->content);
	e->agent = HTTP_AGENT_COLLECT;
	if (e->request.expects) {
		e->request.continued = true;
		if (http_write(e, SIDE_AGENT, slice_from_string("HTTP/1.1 100 Continue\r\n\r\n")) <
			0)
			return -ENOMEM;
	}
	return -EAGAIN;
}

int http_hold_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret)
{
	struct http_engine *e = http_engine_of(base);
	struct http_request *r = &e->request;

	(void)lane;
	if (r->tunnels)
		return -ENOTSUP;
	if (r->too_large)
		return -E2BIG;
	if (!r->collected && r->framing.kind != HTTP_BODY_NONE)
		return begin_collecting(e);
	if (put_head(e) < 0)
		return -E2BIG;
	*ret = (struct protocol_binding){
		.bound = {buffer_slice(&e->bound), buffer_slice(&e->content)}};
	return 0;
}

/* There are no words for it: common clients take any interim response for the final one. */
bool http_hold_reassure(struct protocol_engine *base, uint32_t lane, struct slice text)
{
	(void)base;
	(void)lane;
	(void)text;
	return false;
}

bool http_hold_judge_again(struct protocol_engine *base, uint32_t lane, bool anew)
{
	struct http_engine *e = http_engine_of(base);

	(void)lane;
	(void)anew;
	/* Or it comes already. */
	if (e->agent != HTTP_AGENT_VERDICT || event_queue_has(&e->events, EVENT_ACTION))
		return false;
	http_ask(e);
	return true;
}
