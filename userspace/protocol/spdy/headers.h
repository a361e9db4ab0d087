/* SPDX-License-Identifier: Apache-2.0
 *
 * headers: the headers of SPDY/3's frames in one direction, which are one zlib stream, begun with a
 * dictionary that both ends know (2.6.10.1). All of a direction must be read, in order.
 */
#ifndef WAYLEAVE_PROTOCOL_SPDY_HEADERS_H
#define WAYLEAVE_PROTOCOL_SPDY_HEADERS_H

#include <zlib.h>

#include "base/buffer.h"

#define SPDY_FIELDS_MOST 32u

struct spdy_field {
	struct slice name, value; /* several values of a name have NUL between them */
};

struct spdy_headers {
	z_stream stream;
	bool open;
	struct buffer text;
	struct spdy_field fields[SPDY_FIELDS_MOST]; /* of the last frame's, in `text` */
	size_t count;
};

void spdy_headers_init(struct spdy_headers *h);
void spdy_headers_done(struct spdy_headers *h);
/* Replaces what was read. -EBADMSG: malformed, or larger than headers may be; nothing of this
 * direction can be read any more. -ENOMEM. */
int spdy_headers_read(struct spdy_headers *h, struct slice compressed);
/* Empty: there is none of that name, or it has several values. */
struct slice spdy_headers_find(const struct spdy_headers *h, const char *name);

/* The dictionary, SPDY_DICTIONARY bytes of it. */
#define SPDY_DICTIONARY 1423u
void spdy_dictionary_write(uint8_t *ret);

#endif
