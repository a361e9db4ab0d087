/* SPDX-License-Identifier: Apache-2.0
 *
 * detect: which protocol a connection speaks, at places that no resource names, by the first bytes
 * of either side. Nothing is passed on before that is known, so that an agent can't trickle its way
 * past the answer. A protocol that is known is judged with resource "egress"; only what is none of
 * ours is relayed unread.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "protocol/protocols.h"
#include "worker/session.h"

#define DETECT_BYTES_MOST 16384u /* a TLS ClientHello fits */

static void decide(struct session *s, const struct protocol *protocol)
{
	session_take_protocol(s, protocol->id);
	pipe_open(s, protocol);
	session_record_facts(s, false);
	if (protocol == &protocol_opaque)
		session_record_note(s, REASON_NONE, "relayed unread");
	if (s->upstream == UPSTREAM_CONNECTED)
		upstream_tell_engine(s);
}

void detect_on_bytes(struct session *s)
{
	const struct protocol *protocol = &protocol_opaque;
	enum detection found = protocols_detect(buffer_slice(&s->partial[SIDE_AGENT]),
		buffer_slice(&s->partial[SIDE_SERVER]), &protocol);

	if (found != DETECTION_MORE)
		decide(s, protocol);
	else if (buffer_length(&s->partial[SIDE_AGENT]) > DETECT_BYTES_MOST)
		session_reset(s, REASON_WRONG_PROTOCOL, "undecided first bytes");
	else if (s->deadline == 0)
		s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	pipe_go_on(s);
}

/* A side ends before it is known what is spoken. Nothing of ours begins so, and what few bytes
 * there are can't do anything alone. */
void detect_on_end(struct session *s)
{
	decide(s, &protocol_opaque);
}
