/* SPDX-License-Identifier: Apache-2.0
 *
 * protobuf_text: a message of protocol buffers as text, for people, without its schema: the fields
 * by their numbers (protobuf.dev/programming-guides/encoding). What a field with a length is,
 * nothing says: it is shown as text where it is text, else as a message where it can be one, else
 * in hexadecimal.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_PROTOBUF_TEXT_H
#define WAYLEAVE_PROTOCOL_HTTP_PROTOBUF_TEXT_H

#include "base/buffer.h"

/* Messages within each other that are told apart; what is deeper is shown in hexadecimal. */
#define PROTOBUF_TEXT_DEPTH 16u

/* Whether the bytes are fields to their end. Empty ones are. */
bool protobuf_is_message(struct slice bytes);
/* Appends a line for each field of a message, which it is, until `most` bytes were appended, or a
 * little more; where there would be more, the last says so. Errors of buffer.h. */
int protobuf_append_text(struct buffer *out, struct slice message, size_t most);

#endif
