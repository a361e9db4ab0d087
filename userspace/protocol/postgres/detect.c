/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/engine.h"
#include "protocol/tls_hello.h"

#include "base/bytes.h"
#include "base/limits.h"

/* A client with sslnegotiation=direct. A ClientHello that can't be read counts as one of ours: it
 * then has to stand the handshake with us, rather than be relayed for what it might be. */
static enum detection detect_direct_tls(struct slice in)
{
	struct tls_hello hello;

	switch (tls_hello_read(in, &hello)) {
	case TLS_HELLO_MORE:
		return DETECTION_MORE;
	case TLS_HELLO_BAD:
		return DETECTION_YES;
	case TLS_HELLO_READ:
		return tls_hello_offers(&hello, "postgresql") ? DETECTION_YES : DETECTION_NO;
	default:
		return DETECTION_NO;
	}
}

/* The agent's first packet: a length and one of four codes, or TLS at once. */
enum detection pg_detect(struct slice from_agent, struct slice from_server)
{
	uint32_t length, code;

	if (from_server.length)
		return DETECTION_NO; /* a PostgreSQL server waits for its client */
	if (from_agent.length == 0)
		return DETECTION_MORE;
	if (from_agent.data[0] == TLS_RECORD_HANDSHAKE)
		return detect_direct_tls(from_agent);
	if (from_agent.data[0] != 0)
		return DETECTION_NO;
	if (from_agent.length < 8)
		return DETECTION_MORE;
	length = bytes_get_u32(from_agent.data);
	code = bytes_get_u32(from_agent.data + 4);
	if (length < 8 || length > LIMIT_STARTUP_BYTES)
		return DETECTION_NO;
	if (code == PG_CODE_CANCEL || code == PG_CODE_TLS || code == PG_CODE_GSS ||
		code >> 16 == PG_PROTOCOL_MAJOR)
		return DETECTION_YES;
	return DETECTION_NO;
}
