/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/shown.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/text.h"
#include "protocol/http/media.h"
#include "protocol/http/protobuf_text.h"

/* Before each message of gRPC: whether it is compressed, and its length. */
#define GRPC_PREFIX 5u
/* What begins an object of Kubernetes' API (k8s.io/apimachinery, runtime/serializer/protobuf). */
#define KUBERNETES_MAGIC "k8s"
#define KUBERNETES_MAGIC_LENGTH 4u
#define RUN_LEAST 4u /* characters that are shown of what is read nowhere else */

/* --- what it is --- */

static bool says(struct slice type, const char *text)
{
	return type.length >= strlen(text) &&
		text_equal_ignore_case(slice_head(type, strlen(text)), slice_from_string(text));
}

static bool is_protobuf(struct slice type)
{
	static const char *const types[] = {"application/protobuf", "application/x-protobuf",
		"application/vnd.google.protobuf", "application/vnd.kubernetes.protobuf",
		"application/x-google-protobuf", "application/proto"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (says(type, types[i]))
			return true;
	}
	return false;
}

/* The next message; without data where there is none. */
static struct slice take_grpc(struct slice *content, bool *ret_compressed)
{
	struct slice rest = slice_from(*content, GRPC_PREFIX);
	size_t length;

	if (content->length < GRPC_PREFIX || content->data[0] > 1)
		return SLICE_EMPTY;
	length = bytes_get_u32(content->data + 1);
	if (length > rest.length)
		return SLICE_EMPTY;
	*ret_compressed = content->data[0] == 1;
	*content = slice_from(rest, length);
	return slice_of(rest.data, length);
}

static bool is_grpc(struct slice content)
{
	bool compressed;

	while (content.length) {
		if (!take_grpc(&content, &compressed).data)
			return false;
	}
	return true;
}

enum http_shown http_shown_of(const struct http_fields *fields, struct slice content)
{
	const struct http_field *type = http_fields_find(fields, "content-type", NULL);
	struct slice magic = slice_of((const uint8_t *)KUBERNETES_MAGIC, KUBERNETES_MAGIC_LENGTH);

	if (slice_starts_with(content, magic))
		return HTTP_SHOWN_KUBERNETES;
	/* Whatever type is claimed: a server may read as text what is text. */
	if (type && says(type->value, "application/grpc") && is_grpc(content))
		return HTTP_SHOWN_GRPC;
	if (type && is_protobuf(type->value) && protobuf_is_message(content))
		return HTTP_SHOWN_PROTOBUF;
	return text_is_utf8(content) && !http_holds_binary(content) ? HTTP_SHOWN_TEXT
								    : HTTP_SHOWN_BINARY;
}

/* --- what can be read of it --- */

static int put_size(struct buffer *out, struct slice bytes)
{
	return buffer_append_format(out, "%zu byte%s", bytes.length, bytes.length == 1 ? "" : "s");
}

/* With what one who has it can compare. */
static int put_digest(struct buffer *out, struct slice content)
{
	uint8_t digest[SHA256_SIZE];
	char hex[2 * SHA256_SIZE + 1];
	struct sha256 h;
	int r = put_size(out, content);

	sha256_begin(&h);
	sha256_add(&h, content);
	sha256_get(&h, digest);
	text_to_hex(slice_of(digest, sizeof(digest)), hex);
	return r < 0 ? r : buffer_append_format(out, ", SHA-256 %s\n", hex);
}

/* Bytes at the front that can be read, up to `most` or a character more, and how many characters
 * they are. */
static size_t run_of(struct slice s, size_t most, size_t *ret_characters)
{
	size_t length = 0;

	for (*ret_characters = 0; length < s.length && length < most; (*ret_characters)++) {
		struct slice rest = slice_from(s, length);
		size_t n = text_utf8_sequence(rest);

		if (n == 0 || rest.data[0] < ' ' || text_is_control(rest, n))
			break;
		length += n;
	}
	return length;
}

/* What stands where nothing can be read. */
static int put_gap(struct buffer *out, struct slice *gap)
{
	int r = gap->length ? buffer_append_byte(out, '[') : 0;

	if (gap->length && r == 0)
		r = put_size(out, *gap);
	if (gap->length && r == 0)
		r = buffer_append_string(out, "]\n");
	*gap = SLICE_EMPTY;
	return r;
}

/* What stands in it that people can read, a line each, and how much stands between: nothing is left
 * out without a word. */
static int put_runs(struct buffer *out, struct slice content)
{
	size_t end = buffer_length(out) + HTTP_SHOWN_MOST, characters;
	struct slice gap = SLICE_EMPTY;
	int r = 0;

	while (r == 0 && content.length && buffer_length(out) < end) {
		size_t n = run_of(content, HTTP_SHOWN_MOST, &characters);

		if (characters >= RUN_LEAST) {
			r = put_gap(out, &gap);
			if (r == 0)
				r = buffer_append_slice(out, slice_head(content, n));
			if (r == 0)
				r = buffer_append_byte(out, '\n');
		} else {
			n += n < content.length;
			gap = slice_of(gap.length ? gap.data : content.data, gap.length + n);
		}
		content = slice_from(content, n);
	}
	if (r == 0)
		r = put_gap(out, &gap);
	return r < 0 || content.length == 0 ? r
					    : buffer_append_string(out, "CUT: more is not shown\n");
}

static int put_protobuf(struct buffer *out, struct slice content)
{
	return protobuf_is_message(content) ? protobuf_append_text(out, content, HTTP_SHOWN_MOST)
					    : put_runs(out, content);
}

static int put_grpc(struct buffer *out, struct slice content)
{
	size_t end = buffer_length(out) + HTTP_SHOWN_MOST;
	bool compressed;
	int r = 0;

	while (r == 0 && content.length && buffer_length(out) < end) {
		struct slice message = take_grpc(&content, &compressed);

		if (!message.data)
			return put_runs(out, content);
		r = buffer_append_string(out, "a message, ");
		if (r == 0)
			r = put_size(out, message);
		if (r == 0)
			r = buffer_append_string(out, compressed ? ", compressed\n" : "\n");
		if (r == 0 && !compressed)
			r = put_protobuf(out, message);
	}
	return r < 0 || content.length == 0 ? r
					    : buffer_append_string(out, "CUT: more is not shown\n");
}

static int put(struct buffer *out, enum http_shown kind, struct slice content)
{
	static const char *const names[] = {
		[HTTP_SHOWN_TEXT] = "text",
		[HTTP_SHOWN_BINARY] = "binary",
		[HTTP_SHOWN_PROTOBUF] = "protobuf",
		[HTTP_SHOWN_GRPC] = "gRPC",
		[HTTP_SHOWN_KUBERNETES] = "protobuf of Kubernetes",
	};
	int r = buffer_append_format(out, "%s, ", names[kind]);

	if (r == 0)
		r = put_digest(out, content);
	if (r < 0)
		return r;
	switch (kind) {
	case HTTP_SHOWN_KUBERNETES:
		/* All of its envelope (runtime.Unknown): of what stands twice, readers take the
		 * last. */
		return put_protobuf(out, slice_from(content, KUBERNETES_MAGIC_LENGTH));
	case HTTP_SHOWN_GRPC:
		return put_grpc(out, content);
	case HTTP_SHOWN_PROTOBUF:
		return put_protobuf(out, content);
	default:
		return put_runs(out, content);
	}
}

int http_shown_put(
	const struct masker *masker, const struct protocol_value *value, struct buffer *ret)
{
	bool replaced = false;
	struct buffer text;
	int r;

	/* Each message of gRPC may be as much, and a line more. */
	buffer_init(&text, 4 * HTTP_SHOWN_MOST);
	r = put(&text, (enum http_shown)value->type, value->data);
	if (r == 0)
		r = masker_append_text(masker, buffer_slice(&text), ret, &replaced);
	if (r == 0 && !replaced)
		r = buffer_append_slice(ret, buffer_slice(&text));
	buffer_wipe(&text);
	/* Better nothing than what nobody can read, or should. */
	if (r < 0)
		buffer_clear(ret);
	return PROTOCOL_SHOWN_AS_TEXT;
}
