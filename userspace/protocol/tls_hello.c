/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/tls_hello.h"

#define TLS_CLIENT_HELLO 1
#define TLS_EXTENSION_NAME 0
#define TLS_EXTENSION_ALPN 16
#define RECORD_HEADER 5

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
static bool read_alpn(struct cursor extension, struct tls_hello *ret)
{
	struct cursor names = take_vector(&extension, 2);

	ret->has_alpn = true;
	while (!names.bad && names.rest.length) {
		struct slice name = take_vector(&names, 1).rest;

		if (names.bad || ret->alpn_count == TLS_HELLO_ALPN_MOST)
			break;
		if (name.length >= sizeof(ret->alpn[0].text) || memchr(name.data, 0, name.length))
			continue;
		memcpy(ret->alpn[ret->alpn_count++].text, name.data, name.length);
	}
	return !names.bad;
}

/* RFC 6066, 3: one name of one type has ever been defined. */
static bool read_name(struct cursor extension, struct tls_hello *ret)
{
	struct cursor names = take_vector(&extension, 2), name;

	if (take_number(&names, 1) != 0)
		return false;
	name = take_vector(&names, 2);
	if (name.bad || names.rest.length || name.rest.length == 0 ||
		name.rest.length > TLS_HELLO_NAME_MOST ||
		memchr(name.rest.data, 0, name.rest.length))
		return false;
	memcpy(ret->name, name.rest.data, name.rest.length);
	ret->name[name.rest.length] = '\0';
	return true;
}

/* RFC 8446, 4.1.2. An extension that comes twice is not legal. */
static bool read_body(struct slice body, struct tls_hello *ret)
{
	struct cursor c = {body, false}, extensions;
	bool ok = true;

	take_number(&c, 2); /* version */
	if (c.rest.length < 32)
		return false;
	c.rest = slice_from(c.rest, 32); /* random */
	take_vector(&c, 1); /* session id */
	take_vector(&c, 2); /* cipher suites */
	take_vector(&c, 1); /* compression methods */
	if (!c.bad && c.rest.length == 0)
		return true; /* no extensions */
	extensions = take_vector(&c, 2);
	while (ok && !extensions.bad && extensions.rest.length) {
		size_t type = take_number(&extensions, 2);
		struct cursor extension = take_vector(&extensions, 2);

		if (extensions.bad)
			break;
		if (type == TLS_EXTENSION_ALPN)
			ok = !ret->has_alpn && read_alpn(extension, ret);
		else if (type == TLS_EXTENSION_NAME)
			ok = !ret->name[0] && read_name(extension, ret);
	}
	return ok && !c.bad && !extensions.bad;
}

/* Puts the handshake message together, which may be spread over several records (RFC 8446, 5.1). */
static enum tls_hello_status join_records(
	struct slice in, uint8_t hello[TLS_HELLO_MOST], size_t *ret_length, size_t *ret_missing)
{
	struct cursor c = {in, false};
	size_t length = 0, wanted = 4;

	while (length < wanted) {
		struct cursor record;
		bool handshake = !(c.rest.length && c.rest.data[0] != TLS_RECORD_HANDSHAKE) &&
			!(c.rest.length > 1 && c.rest.data[1] != 3);

		if (!handshake)
			return length ? TLS_HELLO_BAD : TLS_HELLO_NOT;
		*ret_missing = c.rest.length < RECORD_HEADER
			? RECORD_HEADER - c.rest.length
			: RECORD_HEADER + ((size_t)c.rest.data[3] << 8 | c.rest.data[4]);
		if (c.rest.length < RECORD_HEADER)
			return TLS_HELLO_MORE;
		*ret_missing -= *ret_missing < c.rest.length ? *ret_missing : c.rest.length;
		c.rest = slice_from(c.rest, 3);
		record = take_vector(&c, 2);
		if (c.bad)
			return TLS_HELLO_MORE;
		if (record.rest.length == 0 || record.rest.length > TLS_HELLO_MOST - length)
			return TLS_HELLO_BAD;
		memcpy(hello + length, record.rest.data, record.rest.length);
		length += record.rest.length;
		if (hello[0] != TLS_CLIENT_HELLO)
			return TLS_HELLO_NOT;
		if (length >= 4)
			wanted = 4 + ((size_t)hello[1] << 16 | hello[2] << 8 | hello[3]);
		if (wanted > TLS_HELLO_MOST)
			return TLS_HELLO_BAD;
	}
	*ret_length = wanted;
	return TLS_HELLO_READ;
}

enum tls_hello_status tls_hello_read(struct slice in, struct tls_hello *ret)
{
	uint8_t hello[TLS_HELLO_MOST];
	size_t length, missing;
	enum tls_hello_status status = join_records(in, hello, &length, &missing);

	*ret = (struct tls_hello){.alpn_count = 0};
	if (status == TLS_HELLO_READ && !read_body(slice_of(hello + 4, length - 4), ret))
		status = TLS_HELLO_BAD;
	return status;
}

size_t tls_hello_needs(struct slice in)
{
	uint8_t hello[TLS_HELLO_MOST];
	size_t length, missing = 1;

	if (join_records(in, hello, &length, &missing) != TLS_HELLO_MORE || missing == 0)
		return 1;
	return missing;
}

bool tls_hello_offers(const struct tls_hello *hello, const char *protocol)
{
	for (size_t i = 0; i < hello->alpn_count; i++) {
		if (strcmp(hello->alpn[i].text, protocol) == 0)
			return true;
	}
	return false;
}
