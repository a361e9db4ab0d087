/* SPDX-License-Identifier: Apache-2.0
 *
 * coding: the codings of a content (Content-Encoding; RFC 9110, 8.4), and what it is without them.
 * Whoever sent it is not trusted: what it may become, the memory that this takes, and the number of
 * codings have limits (base/limits.h), and what is cut short, or has something behind its end, is
 * an error.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_CODING_H
#define WAYLEAVE_PROTOCOL_HTTP_CODING_H

#include "base/limits.h"
#include "protocol/http/head.h"

enum http_coding {
	HTTP_CODING_GZIP, /* RFC 1952; "x-gzip" too */
	HTTP_CODING_DEFLATE, /* RFC 1950, and as many mean it, RFC 1951 */
	HTTP_CODING_BROTLI, /* RFC 7932 */
	HTTP_CODING_ZSTD, /* RFC 8878, windows as RFC 9659 has them */
	HTTP_CODING_COUNT
};

/* In the order in which they were applied. */
struct http_codings {
	enum http_coding items[LIMIT_HTTP_CODINGS];
	size_t count; /* 0: it is as it is */
};

/* What the fields say. -EBADMSG: one that is not known; -E2BIG: too many. */
int http_codings_read(const struct http_fields *fields, struct http_codings *ret);

/* Where content goes. */
struct http_decoded {
	/* Some of it, never empty; valid during the call. Negative errno ends the decoding. */
	int (*take)(struct http_decoded *d, struct slice content);
};

struct http_decoder;

/* Owned by the caller; NULL: no memory. */
struct http_decoder *http_decoder_new(const struct http_codings *codings);
void http_decoder_free(struct http_decoder *d); /* takes NULL */
/* Takes encoded content, and gives `to` all that can be decoded by now; `last`: no more comes. No
 * content at all decodes to none. -EBADMSG: it is not in that coding, is cut short, or something
 * stands behind its end; -E2BIG: it becomes more than LIMIT_HTTP_CODING_RATIO allows; -ENOMEM; and
 * what `to` returns. After an error nothing more may be given. */
int http_decoder_take(
	struct http_decoder *d, struct slice encoded, bool last, struct http_decoded *to);
/* Bytes that it has allocated by now. */
size_t http_decoder_memory(const struct http_decoder *d);
/* Whether it was one piece in each coding: readers disagree about what stands behind the first. */
bool http_decoder_is_single(const struct http_decoder *d);

#endif
