/* SPDX-License-Identifier: Apache-2.0
 *
 * hold: requests whose body is read first, up to a limit, as rules look into it, or people are to
 * see it; nothing of it goes on before it is decided about.
 */
#include <errno.h>

#include "protocol/http/engine.h"

int http_collect(struct http_engine *e)
{
	buffer_clear(&e->request.content);
	e->agent = HTTP_AGENT_COLLECT;
	if (e->request.expects) {
		e->request.continued = true;
		if (http_write(e, SIDE_AGENT, slice_from_string("HTTP/1.1 100 Continue\r\n\r\n")) <
			0)
			return -ENOMEM;
	}
	return 0;
}

int http_hold_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret)
{
	struct http_engine *e = http_engine_of(base);
	struct http_request *r = &e->request;

	(void)lane;
	/* Nobody is shown trailers, nor is the decision bound to them. */
	if (e->passthrough || r->has_trailers)
		return -ENOTSUP;
	if (r->too_large)
		return -E2BIG;
	if (!r->collected && r->has_body) {
		int error = http_collect(e);

		return error < 0 ? error : -EAGAIN;
	}
	return http_request_bind(r, ret);
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
	return http_ask(e) == 0;
}
