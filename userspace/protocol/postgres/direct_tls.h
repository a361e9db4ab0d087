/* SPDX-License-Identifier: Apache-2.0
 *
 * direct_tls: whether first bytes are a TLS client's that wants PostgreSQL (ALPN "postgresql"), as
 * a client with sslnegotiation=direct sends them.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_DIRECT_TLS_H
#define WAYLEAVE_PROTOCOL_POSTGRES_DIRECT_TLS_H

#include "protocol/protocol.h"

/* `in` begins with 0x16. A ClientHello that can't be read counts as one of ours: it then has to
 * stand the handshake with us, rather than be relayed for what it might be. */
enum detection pg_detect_direct_tls(struct slice in);

#endif
