/* SPDX-License-Identifier: Apache-2.0
 *
 * upgrade: from a server's 101 on the connection carries another protocol, which is read by a
 * stream (stream.h), or relayed where nothing reads it.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "protocol/http/dialect.h"
#include "protocol/http/engine.h"

static bool is_what_was_asked_for(const struct http_engine *e)
{
	const struct http_field *upgrade =
		http_fields_find(&e->request.head.fields, "upgrade", NULL);
	const char *asked = http_request_upgrade(&e->request);

	return asked && upgrade && e->agent == HTTP_AGENT_SENT &&
		text_equal_ignore_case(upgrade->value, slice_from_string(asked));
}

const char *http_upgrade_open(struct http_engine *e)
{
	const char *problem = NULL;

	if (!is_what_was_asked_for(e))
		return "101 that nobody asked for";
	if (http_websocket_is_extended(&e->request))
		return "101 with a WebSocket extension that nobody asked for";
	e->stream = e->origin.dialect->open_stream(&e->request, &e->events, &problem);
	return problem;
}

void http_upgrade_begin(struct http_engine *e)
{
	http_begin_tunnel(e, e->stream ? NULL : "relayed unread from here on");
}

/* Observing, what was taken of either side and has not left goes before the rest, which is relayed
 * unread. */
static int give_back(struct http_engine *e)
{
	struct http_stream *s = e->stream;
	int r = 0;

	for (enum side from = SIDE_AGENT; r == 0 && from <= SIDE_SERVER; from++) {
		buffer_clear(&e->out);
		r = s->kind->put_held(s, from, &e->out);
		if (r == 0)
			r = http_write(e, side_other(from), buffer_slice(&e->out));
	}
	return r;
}

/* Who breaks the protocol is no more read by anybody; what is beyond a limit of ours breaks none.
 */
static int relay_unread(struct http_engine *e, int error)
{
	int r = give_back(e);

	if (r < 0 || error == -EBADMSG)
		return r < 0 ? r : error;
	e->stream_unread = true;
	http_note(e, e->stream->reason, e->stream->problem);
	http_note(e, REASON_NONE, "relayed unread from here on");
	return 0;
}

/* What a stream refused. */
static int on_refusal(struct http_engine *e, enum side from, int error)
{
	const struct http_stream *s = e->stream;

	if (error != -EBADMSG && error != -EPERM)
		return error;
	if (e->base.host->observes)
		return relay_unread(e, error);
	return http_fail(e, http_stream_reason(s, from), s->problem);
}

int http_upgrade_input(struct http_engine *e, enum side from, struct slice in, size_t *ret_taken)
{
	int r;

	if (e->stream_unread && !e->base.host->observes)
		return http_fail(e, REASON_POLICY_CHANGED, HTTP_STREAM_UNREAD);
	if (e->stream_unread)
		return http_tunnel(e, from, in, ret_taken);
	r = e->stream->kind->input(e->stream, from, in, ret_taken);
	return r < 0 ? on_refusal(e, from, r) : 0;
}

void http_upgrade_end(struct http_engine *e, enum side from)
{
	struct http_stream *s = e->stream;
	int r = s->ended[from] || e->stream_unread ? 0 : s->kind->end(s, from);

	s->ended[from] = true;
	if (r < 0)
		http_fail(e, s->reason, s->problem ? s->problem : "out of memory");
}

void http_upgrade_report(struct http_engine *e)
{
	struct http_stream *s = e->stream;
	struct protocol_event *event;

	if (!s || !event_queue_has_room(&e->events, 2))
		return;
	event = http_event(e, EVENT_RESULT);
	event->result.action = e->request.number;
	event->result.bytes = s->carried[SIDE_AGENT];
	event->result.tag = slice_from_string(s->tag[0] ? s->tag : e->request.tag);
}
