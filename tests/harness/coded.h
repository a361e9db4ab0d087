/* SPDX-License-Identifier: Apache-2.0
 *
 * coded: content in the codings of HTTP, as servers and clients send it.
 */
#ifndef WAYLEAVE_TESTS_CODED_H
#define WAYLEAVE_TESTS_CODED_H

#include "base/buffer.h"

/* Appends the content in the codings, in the order in which they are applied: "gzip", "deflate"
 * (RFC 1950), "raw" (RFC 1951), "br", "zstd", with commas between them. */
void coded_append(struct buffer *out, const char *codings, struct slice content);
/* One coding that goes on: what was appended decodes to all of the content so far. */
struct coded_gzip;
struct coded_gzip *coded_gzip_new(void);
void coded_gzip_append(struct coded_gzip *c, struct buffer *out, struct slice content, bool last);
void coded_gzip_free(struct coded_gzip *c);
/* With windows that are larger than what decoders of HTTP allow. */
void coded_append_wide_zstd(struct buffer *out, struct slice content);
void coded_append_wide_brotli(struct buffer *out, struct slice content);

#endif
