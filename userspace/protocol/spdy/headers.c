/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/spdy/headers.h"

#include <assert.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"

void spdy_dictionary_write(uint8_t *ret)
{
	static const struct {
		const char *text;
		bool has_length;
	} parts[] = {
#define WORD(text) {text, true},
#define TEXT(text) {text, false},
#include "protocol/spdy/dictionary.inc"
#undef WORD
#undef TEXT
	};
	uint8_t *at = ret;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t length = strlen(parts[i].text);

		if (parts[i].has_length) {
			bytes_put_u32(at, (uint32_t)length);
			at += 4;
		}
		memcpy(at, parts[i].text, length);
		at += length;
	}
	assert(at == ret + SPDY_DICTIONARY);
}

void spdy_headers_init(struct spdy_headers *h)
{
	memset(h, 0, sizeof(*h));
	buffer_init(&h->text, LIMIT_SPDY_HEADERS);
}

void spdy_headers_done(struct spdy_headers *h)
{
	if (h->open)
		inflateEnd(&h->stream);
	h->open = false;
	buffer_wipe(&h->text);
}

static int set_dictionary(struct spdy_headers *h)
{
	uint8_t dictionary[SPDY_DICTIONARY];

	spdy_dictionary_write(dictionary);
	return inflateSetDictionary(&h->stream, dictionary, sizeof(dictionary)) == Z_OK ? 0
											: -EBADMSG;
}

#define PART 1024u

/* Inflates a part; 1: there may be more. Few bytes can stand for many: the buffer's limit ends it.
 */
static int inflate_part(struct spdy_headers *h)
{
	uint8_t *space;
	int r = buffer_reserve(&h->text, PART, &space), status;

	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	h->stream.next_out = space;
	h->stream.avail_out = PART;
	status = inflate(&h->stream, Z_SYNC_FLUSH);
	if (status == Z_NEED_DICT)
		return set_dictionary(h) < 0 ? -EBADMSG : 1;
	if (status == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_STREAM_END too: the stream is the connection's, and ends with it. */
	if (status != Z_OK && status != Z_BUF_ERROR)
		return -EBADMSG;
	buffer_commit(&h->text, PART - h->stream.avail_out);
	return h->stream.avail_out == 0;
}

static int inflate_all(struct spdy_headers *h, struct slice compressed)
{
	int r = 1;

	if (!h->open && inflateInit(&h->stream) != Z_OK)
		return -ENOMEM;
	h->open = true;
	/* zlib does not write to it. */
	h->stream.next_in = (uint8_t *)compressed.data;
	h->stream.avail_in = (uInt)compressed.length;
	buffer_clear(&h->text);
	while (r > 0)
		r = inflate_part(h);
	return r < 0 ? r : h->stream.avail_in ? -EBADMSG : 0;
}

static bool take_number(struct slice *rest, uint32_t *ret)
{
	if (rest->length < 4)
		return false;
	*ret = bytes_get_u32(rest->data);
	*rest = slice_from(*rest, 4);
	return true;
}

static bool take_text(struct slice *rest, struct slice *ret)
{
	uint32_t length;

	if (!take_number(rest, &length) || length > rest->length)
		return false;
	*ret = slice_head(*rest, length);
	*rest = slice_from(*rest, length);
	return true;
}

/* 2.6.10: lower case, not empty, and each but once. */
static bool is_name(const struct spdy_headers *h, struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] <= ' ' || name.data[i] > '~' ||
			(name.data[i] >= 'A' && name.data[i] <= 'Z'))
			return false;
	}
	for (size_t i = 0; i < h->count; i++) {
		if (slice_equal(h->fields[i].name, name))
			return false;
	}
	return name.length > 0;
}

static int read_fields(struct spdy_headers *h)
{
	struct slice rest = buffer_slice(&h->text);
	uint32_t count;

	h->count = 0;
	if (!take_number(&rest, &count) || count > SPDY_FIELDS_MOST)
		return -EBADMSG;
	while (count--) {
		struct spdy_field *field = &h->fields[h->count];

		if (!take_text(&rest, &field->name) || !is_name(h, field->name) ||
			!take_text(&rest, &field->value))
			return -EBADMSG;
		h->count++;
	}
	return rest.length ? -EBADMSG : 0;
}

int spdy_headers_read(struct spdy_headers *h, struct slice compressed)
{
	int r = inflate_all(h, compressed);

	return r < 0 ? r : read_fields(h);
}

struct slice spdy_headers_find(const struct spdy_headers *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++) {
		struct slice value = h->fields[i].value;

		if (slice_equal_string(h->fields[i].name, name))
			return value.length && memchr(value.data, 0, value.length) ? SLICE_EMPTY
										   : value;
	}
	return SLICE_EMPTY;
}
