/* SPDX-License-Identifier: Apache-2.0
 *
 * detect: which protocol a connection speaks, at places that no resource names, by the first bytes
 * of either side. Nothing is passed on before that is known, so that an agent can't trickle its way
 * past the answer. A protocol that is known is judged with resource "egress"; only what is none of
 * ours is relayed unread.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "protocol/dns.h"
#include "protocol/dns_stream.h"
#include "protocol/protocols.h"
#include "worker/session.h"

#define DETECT_BYTES_MOST 16384u /* a TLS ClientHello fits */

/* Its rules let it pass, or are asked action by action. */
static void take_free(struct session *s, const struct protocol *protocol)
{
	s->connection = CONNECTION_FREE;
	session_record_connection(s);
	if (!protocol->connects_late)
		upstream_connect(s);
}

static void decide(struct session *s, const struct protocol *protocol)
{
	session_take_protocol(s, protocol->id);
	/* Who is to log in there for the agent, and whose key is to be trusted, only a resource
	 * says. */
	if (protocol->delegated) {
		session_record_facts(s, false);
		session_reset(s, REASON_WRONG_PROTOCOL, "ssh at a place that no resource names");
		return;
	}
	pipe_open(s, protocol);
	session_record_facts(s, false);
	if (s->connection == CONNECTION_ASKS && protocol == &protocol_opaque) {
		s->deadline = 0;
		opaque_judge(s->engine, slice_from_string(s->address));
		return;
	}
	if (s->connection == CONNECTION_ASKS)
		take_free(s, protocol);
	if (protocol == &protocol_opaque)
		session_record_note(s, REASON_NONE, "relayed unread");
	if (s->upstream == UPSTREAM_CONNECTED)
		upstream_tell_engine(s);
}

/* At the port of name servers, queries first: their first bytes might be taken for something else.
 */
static enum detection detect(const struct session *s, const struct protocol **ret)
{
	struct slice agent = buffer_slice(&s->partial[SIDE_AGENT]);
	struct slice server = buffer_slice(&s->partial[SIDE_SERVER]);
	enum detection found =
		s->origin.port == DNS_PORT ? dns_stream_detect(agent, server) : DETECTION_NO;

	if (found == DETECTION_NO)
		return protocols_detect(agent, server, ret);
	if (found == DETECTION_YES)
		*ret = &protocol_dns_stream;
	return found;
}

static void look(struct session *s)
{
	const struct protocol *protocol = &protocol_opaque;
	enum detection found = detect(s, &protocol);

	if (found != DETECTION_MORE)
		decide(s, protocol);
	else if (buffer_length(&s->partial[SIDE_AGENT]) > DETECT_BYTES_MOST)
		session_reset(s, REASON_WRONG_PROTOCOL, "undecided first bytes");
	else if (s->deadline == 0)
		s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
}

void detect_on_bytes(struct session *s)
{
	look(s);
	pipe_go_on(s);
}

/* A side ends before it is known what is spoken. Nothing of ours begins so, and what few bytes
 * there are can't do anything alone. */
void detect_on_end(struct session *s)
{
	if (s->connection == CONNECTION_ASKS)
		session_close(s, REASON_REVIEW_CANCELLED, "the agent closed its connection");
	else
		decide(s, &protocol_opaque);
}

/* Perhaps the server is to speak first, and it is not reached before people have said so. */
void detect_on_silence(struct session *s)
{
	decide(s, &protocol_opaque);
	pipe_go_on(s);
}

/* At a place that no resource names it is looked at again what is spoken: it may have been asked
 * about before a word was said, and what we speak is never relayed unread. */
void detect_on_approved(struct session *s)
{
	s->connection = CONNECTION_APPROVED;
	upstream_connect(s);
	if (s->resource != POLICY_EGRESS || s->state != SESSION_OPEN)
		return;
	s->engine->protocol->close(s->engine);
	s->engine = NULL;
	s->state = SESSION_DETECTING;
	if (buffer_length(&s->partial[SIDE_AGENT]))
		look(s);
}
