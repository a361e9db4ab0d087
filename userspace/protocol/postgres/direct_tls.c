/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/direct_tls.h"

#define TLS_HANDSHAKE 22
#define TLS_CLIENT_HELLO 1
#define TLS_EXTENSION_ALPN 16
#define HELLO_MOST 16384u

/* Reads big-endian numbers and takes parts; `bad` once there was too little. */
struct cursor {
	struct slice rest;
	bool bad;
};

static size_t take_number(struct cursor *c, unsigned bytes)
{
	size_t number = 0;

	if (c->rest.length < bytes) {
		c->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		number = number << 8 | c->rest.data[i];
	c->rest = slice_from(c->rest, bytes);
	return number;
}

/* A vector with its length in front, in so many bytes. */
static struct cursor take_vector(struct cursor *c, unsigned bytes)
{
	size_t length = take_number(c, bytes);
	struct cursor part = {SLICE_EMPTY, true};

	if (c->bad || c->rest.length < length) {
		c->bad = true;
		return part;
	}
	part = (struct cursor){slice_head(c->rest, length), false};
	c->rest = slice_from(c->rest, length);
	return part;
}

/* RFC 7301, 3.1. */
static enum detection judge_alpn(struct cursor extension)
{
	struct cursor names = take_vector(&extension, 2);

	while (!names.bad && names.rest.length) {
		struct cursor name = take_vector(&names, 1);

		if (!name.bad && slice_equal_string(name.rest, "postgresql"))
			return DETECTION_YES;
	}
	return names.bad ? DETECTION_YES : DETECTION_NO;
}

/* RFC 8446, 4.1.2. */
static enum detection judge_hello(struct slice body)
{
	struct cursor c = {body, false}, extensions;

	take_number(&c, 2); /* version */
	if (c.rest.length < 32)
		return DETECTION_YES;
	c.rest = slice_from(c.rest, 32); /* random */
	take_vector(&c, 1); /* session id */
	take_vector(&c, 2); /* cipher suites */
	take_vector(&c, 1); /* compression methods */
	if (!c.bad && c.rest.length == 0)
		return DETECTION_NO; /* no extensions */
	extensions = take_vector(&c, 2);
	while (!extensions.bad && extensions.rest.length) {
		size_t type = take_number(&extensions, 2);
		struct cursor extension = take_vector(&extensions, 2);

		if (!extensions.bad && type == TLS_EXTENSION_ALPN)
			return judge_alpn(extension);
	}
	return c.bad || extensions.bad ? DETECTION_YES : DETECTION_NO;
}

enum detection pg_detect_direct_tls(struct slice in)
{
	struct cursor c = {in, false};
	uint8_t hello[HELLO_MOST];
	size_t length = 0, wanted;

	/* The handshake message may be spread over several records (RFC 8446, 5.1). */
	do {
		struct cursor record;

		if (c.rest.length && c.rest.data[0] != TLS_HANDSHAKE)
			return length ? DETECTION_YES : DETECTION_NO;
		if (c.rest.length > 1 && c.rest.data[1] != 3)
			return length ? DETECTION_YES : DETECTION_NO;
		if (c.rest.length < 5)
			return DETECTION_MORE;
		c.rest = slice_from(c.rest, 3);
		record = take_vector(&c, 2);
		if (c.bad)
			return DETECTION_MORE;
		if (record.rest.length > sizeof(hello) - length)
			return DETECTION_YES;
		memcpy(hello + length, record.rest.data, record.rest.length);
		length += record.rest.length;
		if (length && hello[0] != TLS_CLIENT_HELLO)
			return DETECTION_NO;
		wanted = length < 4 ? 4 : 4 + ((size_t)hello[1] << 16 | hello[2] << 8 | hello[3]);
	} while (length < wanted && wanted <= sizeof(hello));
	if (wanted > sizeof(hello))
		return DETECTION_YES;
	return judge_hello(slice_of(hello + 4, wanted - 4));
}
