/* SPDX-License-Identifier: Apache-2.0
 *
 * packet_line: git's lines (gitprotocol-common(5)): four hexadecimal digits of length, themselves
 * included, and the line. "0000" ends a list.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_PACKET_LINE_H
#define WAYLEAVE_PROTOCOL_SSH_PACKET_LINE_H

#include "base/buffer.h"

#define PACKET_LINE_HEAD 4u
#define PACKET_LINE_MOST 65520u

/* The length of the line whose head this is; 0: the end of a list; -EBADMSG: none that a list has.
 */
int packet_line_length(const uint8_t head[PACKET_LINE_HEAD]);
/* The parts as one line. */
int packet_line_append(struct buffer *to, struct slice first, struct slice second);
int packet_line_append_end(struct buffer *to);

#endif
