/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url: RFC 4648 section 5 without padding, as RFC 7515 section 2 wants it. Each run of bytes
 * has one spelling: other characters, padding and stray bits behind the last byte are refused.
 */
#ifndef WAYLEAVE_IDENTITY_BASE64URL_H
#define WAYLEAVE_IDENTITY_BASE64URL_H

#include "base/buffer.h"

/* Appends the bytes; -EBADMSG where the text is not base64url; else the buffer's errors. */
int base64url_decode(struct slice text, struct buffer *ret);
int base64url_encode(struct slice bytes, struct buffer *ret);

#endif
