/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/tunnel.h"

#include <stdlib.h>

#include "base/memory.h"
#include "protocol/protocols.h"
#include "protocol/ssh/bridge.h"

#define DECIDED_MOST 16384u /* a TLS ClientHello fits */

struct tunnel {
	struct buffer first[2];
};

struct tunnel *tunnel_new(void)
{
	struct tunnel *t = memory_new(sizeof(*t));

	for (size_t i = 0; i < ARRAY_SIZE(t->first); i++)
		buffer_init(&t->first[i], DECIDED_MOST + BRIDGE_DATA_MOST);
	return t;
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(t->first); i++)
		buffer_done(&t->first[i]);
	free(t);
}

enum detection tunnel_take(
	struct tunnel *t, enum side from, struct slice bytes, const char **ret_name)
{
	const struct protocol *protocol = NULL;
	enum detection found;

	*ret_name = "undecided first bytes";
	if (buffer_append_slice(&t->first[from], bytes) < 0)
		return DETECTION_YES;
	found = protocols_detect(
		tunnel_kept(t, SIDE_AGENT), tunnel_kept(t, SIDE_SERVER), &protocol);
	if (found == DETECTION_YES)
		*ret_name = protocol_name(protocol->id);
	else if (found == DETECTION_MORE &&
		(buffer_length(&t->first[SIDE_AGENT]) > DECIDED_MOST ||
			buffer_length(&t->first[SIDE_SERVER]) > DECIDED_MOST))
		return DETECTION_YES;
	return found;
}

struct slice tunnel_kept(const struct tunnel *t, enum side from)
{
	return buffer_slice(&t->first[from]);
}
