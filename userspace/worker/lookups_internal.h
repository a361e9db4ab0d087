/* SPDX-License-Identifier: Apache-2.0
 *
 * lookups_internal: what lookups in datagrams and those over TCP share.
 */
#ifndef WAYLEAVE_WORKER_LOOKUPS_INTERNAL_H
#define WAYLEAVE_WORKER_LOOKUPS_INTERNAL_H

#include "protocol/dns.h"
#include "worker/session_internal.h"

/* Counts one more query of the agent's. False: it asks too many. */
bool lookups_may_ask(struct worker *w, uint32_t agent);
/* The resource that names the server for datagrams, or POLICY_EGRESS. */
uint32_t lookups_find_resource(const struct policy *p, const uint8_t server[16], uint16_t port);
/* Tells the monitor what an answer says, which believes it, or not: the agent gets the answer in
 * any case, but behind the reply. The request has all but its addresses. */
void lookups_ask_to_pin(struct worker *w, struct message_pin *request, const struct dns_message *m,
	channel_reply *reply, void *context);

#endif
