/* SPDX-License-Identifier: Apache-2.0
 *
 * http: HTTP/1.1 (RFC 9110, 9112), in TLS or not. One request is in flight at a time; each is
 * judged before anything of it goes on, and both sides are re-serialised, never relayed as they
 * came.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_HTTP_H
#define WAYLEAVE_PROTOCOL_HTTP_HTTP_H

#include "protocol/protocol.h"

extern const struct protocol protocol_http;

#endif
