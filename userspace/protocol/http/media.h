/* SPDX-License-Identifier: Apache-2.0
 *
 * media: what a content says that it is, and whether it is text, by that and by what stands in it.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_MEDIA_H
#define WAYLEAVE_PROTOCOL_HTTP_MEDIA_H

#include "base/slice.h"

/* Whether a media type (with or without parameters) is one of text. Of none, nothing is said: that
 * is text until it shows otherwise. */
bool http_type_is_text(struct slice type);
/* Of one of text, whether detectors read the character set that it says, where it says one: those
 * in which ASCII's characters are ASCII's bytes. */
bool http_type_is_readable(struct slice type);
/* Whether it begins as text in UTF-16 or UTF-32 does, by its first two bytes. */
bool http_begins_wide(const uint8_t begin[2]);
/* Whether a byte stands in it that text has not: a control character other than those that lay it
 * out, colour it (ESC) or part its records (RFC 7464). */
bool http_holds_binary(struct slice content);

#endif
