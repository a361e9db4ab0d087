/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel: what a forwarded connection speaks, by the first bytes of either side. Nothing passes
 * before that is known: what we speak goes to a resource of its own, where it is judged, and not
 * unread through a host that happens to reach the same place.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_TUNNEL_H
#define WAYLEAVE_PROTOCOL_SSH_TUNNEL_H

#include "protocol/protocol.h"

struct tunnel;

/* To "HOST:PORT", of which it keeps a copy. */
struct tunnel *tunnel_new(struct slice place);
void tunnel_free(struct tunnel *t); /* takes NULL */
/* Keeps bytes of a side. DETECTION_YES: *ret_name says what they are; DETECTION_NO: they are
 * nothing that we speak, and what was kept may pass. */
enum detection tunnel_take(
	struct tunnel *t, enum side from, struct slice bytes, const char **ret_name);
/* What the server asks of the agent, of a connection that it opened; NULL: nobody knows. */
const char *tunnel_asked_by_server(const struct tunnel *t);
/* Where it goes; lives as long as the tunnel. */
struct slice tunnel_place(const struct tunnel *t);
/* What was kept; valid until the next call. */
struct slice tunnel_kept(const struct tunnel *t, enum side from);

#endif
