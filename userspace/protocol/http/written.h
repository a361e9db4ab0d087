/* SPDX-License-Identifier: Apache-2.0
 *
 * written: what stands in the place of masked values, found in what an agent writes: who reads an
 * object, changes it and writes it back would destroy what was hidden from it.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_WRITTEN_H
#define WAYLEAVE_PROTOCOL_HTTP_WRITTEN_H

#include "base/slice.h"

#define HTTP_WRITTEN_LONGEST 23 /* "[hash:0123456789abcdef]" */

/* Content as it comes; zeroed to begin with. */
struct http_written {
	uint8_t tail[2 *
		HTTP_WRITTEN_LONGEST]; /* the end of what came before, for what straddles */
	size_t length;
	uint8_t escape[2]; /* "%" and a digit at the end of what came before */
	size_t escape_length;
};

/* Whether one ends in `content`. */
bool http_written_find(struct http_written *w, struct slice content);
/* The same for a form or a query, whose percent-encoding is taken off. */
bool http_written_find_encoded(struct http_written *w, struct slice content);

#endif
