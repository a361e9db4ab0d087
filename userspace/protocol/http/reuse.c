/* SPDX-License-Identifier: Apache-2.0
 *
 * reuse: connections to the server that one session leaves and another goes on with. The server may
 * be closing such a connection just then, so what goes over it first is a request that may be sent
 * again (RFC 9110, 9.2.2): nobody's request fails as there was an older connection. Only what reads
 * is sent twice, and nothing that people let pass.
 */
#include "base/text.h"
#include "protocol/http/engine.h"

#define OFFER_BOTH "h2,http/1.1"
#define OFFER_1 "http/1.1"
#define OFFER_2 "h2"

const char *http_offer(const struct http_engine *e)
{
	if (e->agent != HTTP_AGENT_OFFERED)
		return OFFER_1;
	return e->offers_1 ? OFFER_BOTH : OFFER_2;
}

/* RFC 9110, 9.2.1, without TRACE. */
static bool only_reads(struct slice method)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (slice_equal_string(method, methods[i]))
			return true;
	}
	return false;
}

bool http_repeats(const struct http_engine *e)
{
	const struct http_request *r = &e->request;

	return !e->base.host->observes && !e->passthrough && !e->unreadable && !e->once &&
		!r->has_body && !r->expects && !r->tunnels && !r->websocket && !r->spdy &&
		only_reads(r->head.method);
}

void http_connect(struct http_engine *e, bool reuses)
{
	struct protocol_event *event = http_event(e, EVENT_CONNECT);

	/* Before a request came nothing depends on it. */
	event->connect.reuses = reuses && e->base.host->keeps && !e->base.host->observes &&
		(e->agent == HTTP_AGENT_OFFERED ? e->offers_1 : http_repeats(e));
	event->connect.alpn = http_wants_server_tls(e) ? http_offer(e) : NULL;
	e->server = HTTP_SERVER_CONNECTING;
}

int http_repeat(struct http_engine *e)
{
	http_note(e, REASON_NONE,
		"the server had closed the connection that was used again: asked anew");
	http_head_clear(&e->answer);
	e->agent = HTTP_AGENT_READY;
	http_connect(e, false);
	return 0;
}

bool http_is_timeout(struct slice head)
{
	struct slice version = slice_from_string("HTTP/1.x");

	return slice_starts_with(slice_from(head, version.length), slice_from_string(" 408 "));
}

/* Who proves the connection (NTLM, Negotiate) has proven all that comes by it, whoever sends it. A
 * scheme that nobody knows here may do so too. */
static bool is_proven_each_time(struct slice credentials)
{
	static const char *const schemes[] = {
		"Basic", "Bearer", "Digest", "Token", "AWS4-HMAC-SHA256"};
	const uint8_t *end =
		credentials.length ? memchr(credentials.data, ' ', credentials.length) : NULL;
	struct slice scheme = slice_head(
		credentials, end ? (size_t)(end - credentials.data) : credentials.length);

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (text_equal_ignore_case(scheme, slice_from_string(schemes[i])))
			return true;
	}
	return false;
}

void http_see_request(struct http_engine *e)
{
	static const char *const names[] = {"authorization", "proxy-authorization"};
	const struct http_fields *fields = &e->request.head.fields;

	for (size_t i = 0; i < fields->count; i++) {
		const struct http_field *f = &fields->items[i];

		if (http_field_is_one_of(f, names, ARRAY_SIZE(names)) &&
			!is_proven_each_time(f->value))
			e->bound = true;
	}
	/* What HTTP/1.0 kept, and how, was never written down. */
	if (e->request.minor == 0)
		e->bound = true;
}

void http_see_server(struct http_engine *e)
{
	e->reused = e->base.host->reused;
	e->persists = e->reused;
	e->bound = false;
}

/* What asks for proof may go on with the connection as a whole, whatever schemes it names. And
 * persistence is the default (RFC 9112, 9.3), but a server that means one session, or one client at
 * a time, by each connection says no more of it than others do: its word is waited for. */
void http_see_response(struct http_engine *e)
{
	const struct http_head *m = &e->request.head;

	if (m->status == 401 || m->status == 407 || m->minor == 0)
		e->bound = true;
	e->persists = e->persists ||
		http_fields_list_has(&m->fields, "connection", slice_from_string("keep-alive"));
}

bool http_leaves_server(const struct http_engine *e)
{
	const struct protocol_host *host = e->base.host;

	return e->server == HTTP_SERVER_IDLE && e->persists && !e->bound && !e->h2 &&
		!e->abort_text && host->keeps && !host->observes;
}
