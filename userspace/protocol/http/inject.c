/* SPDX-License-Identifier: Apache-2.0
 *
 * inject: the resource's secret, which the host lends for each request that is released: a new one
 * holds at once, and it is nowhere here while nothing is sent.
 */
#include <errno.h>

#include "base/text.h"
#include "protocol/http/engine.h"

const char *http_secret_problem(const struct http_engine *e, struct slice method)
{
	if (text_equal_ignore_case(method, slice_from_string("TRACE")))
		return "TRACE would show the resource's credentials";
	if (slice_equal_string(method, "CONNECT") &&
		e->base.host->credentials.place == SECRET_IN_QUERY)
		return "what a CONNECT asks for has no query for the resource's credentials";
	if (!e->verified && !e->base.host->credentials.allow_cleartext)
		return "the resource's credentials are sent in clear, but the server is not "
		       "verified by TLS (\"allow_cleartext\" would send them)";
	return NULL;
}

int http_inject(struct http_engine *e)
{
	struct protocol_event *event;
	const char *why;

	if (!http_has_secret(e))
		return http_agent_send(e);
	why = http_secret_problem(e, e->request.head.method);
	if (why)
		return http_fail(e, REASON_AUTHENTICATION, why);
	e->agent = HTTP_AGENT_SECRET;
	event = http_event(e, EVENT_PROOF);
	event->proof.kind = PROOF_PASSWORD;
	event->proof.challenge = SLICE_EMPTY;
	return 0;
}

void http_inject_proven(struct protocol_engine *base, int error, struct slice answer)
{
	struct http_engine *e = http_engine_of(base);
	int r;

	if (e->agent != HTTP_AGENT_SECRET)
		return; /* the session ended meanwhile */
	if (error < 0) {
		char *text = memory_copy_text(answer.data, answer.length);

		http_fail(e, REASON_AUTHENTICATION, text);
		free(text);
		return;
	}
	e->agent = HTTP_AGENT_READY;
	if (e->server != HTTP_SERVER_IDLE) {
		/* It closed its connection meanwhile: it is lent anew for the next. */
		http_go_on(e);
		return;
	}
	e->secret = answer;
	r = http_agent_send(e);
	e->secret = SLICE_EMPTY;
	if (r == -EINVAL)
		http_fail(e, REASON_AUTHENTICATION,
			"the resource's credentials can't stand in a request");
	else if (r < 0)
		http_fail(e, REASON_INTERNAL, "the request could not be sent on");
}
