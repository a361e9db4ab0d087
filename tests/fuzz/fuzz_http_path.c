/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_http_path: paths against servers that read them in every way that servers are known to: what
 * one of them takes a path for is among the readings that are judged, or the path is not
 * understood.
 *
 * Input: the path, behind its "/".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "protocol/http/path.h"

#define PATH_MOST 200
#define TEXT_MOST (PATH_MOST * 3 + 8)

/* What a server does with a path, by bits. */
enum habit {
	DECODES_SLASH = 1 << 0, /* %2F separates */
	TURNS_BACKSLASH = 1 << 1, /* "\" separates */
	DECODES_BACKSLASH = 1 << 2, /* %5C separates */
	DROPS_PARAMETERS = 1 << 3, /* what stands behind ";" */
	DECODES_PARAMETERS = 1 << 4, /* the same, once all is decoded */
	DECODES_TWICE = 1 << 5,
	MERGES_SLASHES = 1 << 6,
	NAMES_HOST = 1 << 7, /* what stands behind "//" is a host, and not served */
	ALL_HABITS = (1 << 8) - 1,
};

struct text {
	char bytes[TEXT_MOST];
	size_t length;
};

static void check(bool holds, const char *what, struct slice path)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_http_path: %s: %.*s\n", what, SLICE_PRINT(path));
	abort();
}

static void add(struct text *t, char c)
{
	if (t->length < sizeof(t->bytes))
		t->bytes[t->length++] = c;
}

static void add_encoded(struct text *t, char c)
{
	char encoded[4];

	snprintf(encoded, sizeof(encoded), "%%%02X", (unsigned char)c);
	for (size_t i = 0; i < 3; i++)
		add(t, encoded[i]);
}

static int value_of(const char *digits)
{
	char text[3] = {digits[0], digits[1], '\0'}, *end;
	long value = strtol(text, &end, 16);

	return text[0] == '+' || text[0] == '-' || text[0] == ' ' || end != text + 2 ? -1
										     : (int)value;
}

/* Whether a byte at `i` is an encoded one; *ret is what it stands for. */
static bool is_encoded(const struct text *t, size_t i, char *ret)
{
	int value = t->bytes[i] == '%' && i + 2 < t->length ? value_of(t->bytes + i + 1) : -1;

	*ret = value < 0 ? t->bytes[i] : (char)value;
	return value >= 0;
}

static void drop_parameters(const struct text *in, struct text *out)
{
	bool dropping = false;

	for (size_t i = 0; i < in->length; i++) {
		dropping = in->bytes[i] != '/' && (dropping || in->bytes[i] == ';');
		if (!dropping)
			add(out, in->bytes[i]);
	}
}

static void decode_all(const struct text *in, struct text *out)
{
	for (size_t i = 0; i < in->length; i++) {
		char c;

		i += is_encoded(in, i, &c) ? 2 : 0;
		add(out, c);
	}
}

/* As rules write it: what has a meaning, and is meant without it, stays encoded. */
static void decode(const struct text *in, unsigned habits, struct text *out)
{
	bool dropping = false;

	for (size_t i = 0; i < in->length; i++) {
		char c;
		bool encoded = is_encoded(in, i, &c);
		bool separates = (c == '/' && (!encoded || (habits & DECODES_SLASH))) ||
			(c == '\\' && (habits & (encoded ? DECODES_BACKSLASH : TURNS_BACKSLASH)));

		i += encoded ? 2 : 0;
		dropping = !separates &&
			(dropping || (encoded && c == ';' && (habits & DECODES_PARAMETERS)));
		if (dropping)
			continue;
		if (separates)
			add(out, '/');
		else if (c == '/' || c == '\\' || c == '?' || c == '#' || c == '%')
			add_encoded(out, c);
		else
			add(out, c);
	}
}

/* False: it leads above the root, where that is no error to who resolves references. */
static bool resolve(const struct text *in, unsigned habits, struct text *out)
{
	bool merges = habits & MERGES_SLASHES;
	size_t begins[PATH_MOST * 3 + 8], count = 0;
	size_t at = 1;

	while (at <= in->length) {
		const char *slash = memchr(in->bytes + at, '/', in->length - at);
		size_t end = slash ? (size_t)(slash - in->bytes) : in->length;
		size_t length = end - at;
		bool last = end == in->length;
		bool dot = length == 1 && in->bytes[at] == '.';
		bool dots = length == 2 && memcmp(in->bytes + at, "..", 2) == 0;

		if (dots && count == 0 && !(habits & NAMES_HOST))
			return false;
		if (dots && count)
			out->length = begins[--count];
		if ((dot || dots) && last)
			add(out, '/');
		if (!dot && !dots && (length || last || !merges)) {
			begins[count++] = out->length;
			add(out, '/');
			for (size_t i = at; i < end; i++)
				add(out, in->bytes[i]);
		}
		at = end + 1;
	}
	return true;
}

static void drop_host(const struct text *in, struct text *out)
{
	size_t at = 2;

	while (at < in->length && in->bytes[at] != '/')
		at++;
	if (at == in->length)
		add(out, '/');
	for (; at < in->length; at++)
		add(out, in->bytes[at]);
}

static bool read_by_server(struct slice path, unsigned habits, struct text *ret)
{
	struct text text = {.length = path.length}, next = {.length = 0}, decoded = {.length = 0};

	memcpy(text.bytes, path.data, path.length);
	if ((habits & NAMES_HOST) && slice_starts_with(path, slice_from_string("//"))) {
		drop_host(&text, &next);
		text = next;
		next.length = 0;
	}
	if (habits & DROPS_PARAMETERS) {
		drop_parameters(&text, &next);
		text = next;
	}
	if (habits & DECODES_TWICE) {
		next.length = 0;
		decode_all(&text, &next);
		text = next;
		habits |= DECODES_SLASH | DECODES_BACKSLASH;
	}
	decode(&text, habits, &decoded);
	return resolve(&decoded, habits, ret);
}

static bool is_judged(const struct http_path *read, struct slice reading)
{
	for (size_t i = 0; i < read->count; i++) {
		if (slice_equal(read->readings[i], reading))
			return true;
	}
	return false;
}

static void check_reading(struct slice reading)
{
	check(reading.length && reading.data[0] == '/', "no path", reading);
	check(text_is_utf8(reading), "no UTF-8", reading);
	for (size_t i = 0; i < reading.length; i++) {
		struct slice rest = slice_from(reading, i);

		check(reading.data[i] >= ' ' && reading.data[i] != '\\', "a byte", reading);
		check(!slice_starts_with(rest, slice_from_string("/../")) &&
				!slice_starts_with(rest, slice_from_string("/./")) &&
				!slice_equal_string(rest, "/..") && !slice_equal_string(rest, "/."),
			"a dot segment", reading);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[PATH_MOST] = {'/'};
	struct slice path = slice_of(bytes, size + 1);
	struct http_path read;
	struct buffer room;

	/* What begins a query ends the path. */
	if (size >= sizeof(bytes) || memchr(data, '?', size))
		return 0;
	if (size)
		memcpy(bytes + 1, data, size);
	buffer_init(&room, 8 * sizeof(bytes));
	http_path_read(path, &room, &read);
	check((read.problem != NULL) == (read.count == 0), "neither read nor refused", path);
	for (size_t i = 0; i < read.count; i++)
		check_reading(read.readings[i]);
	for (unsigned habits = 0; habits <= ALL_HABITS && !read.problem; habits++) {
		struct text text = {.length = 0};

		check(read_by_server(path, habits, &text), "above the root", path);
		check(is_judged(&read, slice_of(text.bytes, text.length)),
			"a server reads it in another way", path);
	}
	buffer_done(&room);
	return 0;
}
