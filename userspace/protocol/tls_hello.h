/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_hello: what a TLS client's first message says of where it wants to go: the name (SNI) and the
 * protocols (ALPN). Read from bytes that nobody has checked.
 */
#ifndef WAYLEAVE_PROTOCOL_TLS_HELLO_H
#define WAYLEAVE_PROTOCOL_TLS_HELLO_H

#include "base/slice.h"

#define TLS_RECORD_HANDSHAKE 22 /* the first byte of every TLS client */
#define TLS_HELLO_MOST 16384u /* bytes of a ClientHello that is read */
#define TLS_HELLO_NAME_MOST 253
#define TLS_HELLO_ALPN_MOST 16 /* protocols that are looked at */

enum tls_hello_status {
	TLS_HELLO_NOT, /* no TLS, or no ClientHello */
	TLS_HELLO_MORE, /* more bytes are needed */
	TLS_HELLO_BAD, /* it begins like one, and can't be read */
	TLS_HELLO_READ,
};

struct tls_hello {
	char name[TLS_HELLO_NAME_MOST + 1]; /* "": none was sent */
	bool has_alpn;
	struct {
		char text[32]; /* longer ones are left out */
	} alpn[TLS_HELLO_ALPN_MOST];
	size_t alpn_count;
};

enum tls_hello_status tls_hello_read(struct slice in, struct tls_hello *ret);
/* How many more bytes make the next call worth it; at least 1. */
size_t tls_hello_needs(struct slice in);
bool tls_hello_offers(const struct tls_hello *hello, const char *protocol);

#endif
