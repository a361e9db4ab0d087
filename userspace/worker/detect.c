/* SPDX-License-Identifier: Apache-2.0
 *
 * detect: which protocol a connection speaks, at places that no resource names, by the first bytes
 * of either side. Nothing is passed on before that is known, so that an agent can't trickle its way
 * past the answer. A protocol that is known is judged with resource "egress"; only what is none of
 * ours is relayed unread.
 */
#include "protocol/protocols.h"
#include "worker/session.h"

#define DETECT_BYTES_MOST 16384u /* a TLS ClientHello fits */

void detect_on_bytes(struct session *s)
{
	const struct protocol *protocol = &protocol_opaque;
	enum detection found = protocols_detect(buffer_slice(&s->partial[SIDE_AGENT]),
		buffer_slice(&s->partial[SIDE_SERVER]), &protocol);

	if (found == DETECTION_MORE) {
		if (buffer_length(&s->partial[SIDE_AGENT]) > DETECT_BYTES_MOST)
			session_reset(s, REASON_WRONG_PROTOCOL, "undecided first bytes");
		else
			pipe_go_on(s);
		return;
	}
	session_take_protocol(s, protocol->id);
	pipe_open(s, protocol);
	session_record_facts(s, false);
	if (protocol == &protocol_opaque)
		session_record_note(s, REASON_NONE, "relayed unread");
	if (s->upstream == UPSTREAM_CONNECTED)
		upstream_tell_engine(s);
	pipe_go_on(s);
}
