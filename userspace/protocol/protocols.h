/* SPDX-License-Identifier: Apache-2.0
 *
 * protocols: the table of the protocols that are built.
 */
#ifndef WAYLEAVE_PROTOCOL_PROTOCOLS_H
#define WAYLEAVE_PROTOCOL_PROTOCOLS_H

#include "protocol/protocol.h"

/* The engine for that protocol; NULL: not built. */
const struct protocol *protocols_get(enum protocol_id id);
/* Which protocol the first bytes of either side are. DETECTION_YES: *ret is it; DETECTION_NO: none
 * of ours; DETECTION_MORE: more bytes are needed to know. */
enum detection protocols_detect(
	struct slice from_agent, struct slice from_server, const struct protocol **ret);

#endif
