/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_stream: the engine for name servers that are asked over TCP: messages behind their lengths
 * (RFC 1035, 4.2.2), several queries at a time and answers in any order (RFC 7766). Each query is
 * an action, `resolve` of its name, as if it was asked in a datagram (worker/lookups.c), and each
 * answer must be one to a query that left; what it says of names holds before the agent has it
 * (EVENT_PIN).
 */
#ifndef WAYLEAVE_PROTOCOL_DNS_STREAM_H
#define WAYLEAVE_PROTOCOL_DNS_STREAM_H

#include "protocol/protocol.h"

#define DNS_STREAM_QUERY_MOST 4096u /* bytes; as much as is read of a datagram */
#define DNS_STREAM_QUERIES_MOST 64u /* that wait for their answers */

extern const struct protocol protocol_dns_stream;

/* Whether an agent's first bytes are a query. At the ports of name servers alone: elsewhere other
 * protocols begin so too. */
enum detection dns_stream_detect(struct slice from_agent, struct slice from_server);

#endif
