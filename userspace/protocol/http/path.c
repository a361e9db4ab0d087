/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/path.h"

#include "base/text.h"

/* Where servers differ. */
enum ambiguity {
	AMBIGUOUS_SLASH = 1 << 0, /* %2F, %5C or "\" as a separator, or as a letter */
	AMBIGUOUS_TWICE = 1 << 1, /* %25 and two digits, decoded once or twice */
	AMBIGUOUS_PARAMETER = 1 << 2, /* ";x=y", a part of the segment or not */
	AMBIGUOUS_EMPTY = 1 << 3, /* "//", one separator or two */
};

struct reading {
	struct slice rest; /* of the path */
	bool lenient; /* reads every ambiguity the way that makes more of it */
	unsigned ambiguous;
	const char *problem;
	struct buffer *out;
	size_t start; /* in `out` */
};

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Two hexadecimal digits at the start, or -1. */
static int hex_byte(struct slice s)
{
	int high, low;

	if (s.length < 2)
		return -1;
	high = hex_digit(s.data[0]);
	low = hex_digit(s.data[1]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static void put(struct reading *r, uint8_t c)
{
	if (buffer_append_byte(r->out, c) < 0)
		r->problem = "the path is too long";
}

static void put_encoded(struct reading *r, uint8_t c)
{
	if (buffer_append_format(r->out, "%%%02X", c) < 0)
		r->problem = "the path is too long";
}

/* A byte that was encoded. What has a meaning of its own in a path stays so. */
static void put_decoded(struct reading *r, uint8_t c)
{
	if (c < ' ' || c == 0x7f) {
		r->problem = "a control byte in the path";
	} else if (c == '/' || c == '\\') {
		r->ambiguous |= AMBIGUOUS_SLASH;
		if (r->lenient)
			put(r, '/');
		else
			put_encoded(r, c);
	} else if (c == '?' || c == '#' || c == '%') {
		put_encoded(r, c);
	} else {
		put(r, c);
	}
}

static void take_encoded(struct reading *r)
{
	int byte = hex_byte(slice_from(r->rest, 1)), inner;

	if (byte < 0) {
		r->problem = "a broken percent-encoding in the path";
		return;
	}
	r->rest = slice_from(r->rest, 3);
	inner = byte == '%' ? hex_byte(r->rest) : -1;
	if (inner < 0) {
		put_decoded(r, (uint8_t)byte);
		return;
	}
	r->ambiguous |= AMBIGUOUS_TWICE;
	if (inner == '%')
		r->problem = "a path that is encoded three times";
	if (!r->lenient) {
		put_encoded(r, '%');
		return;
	}
	r->rest = slice_from(r->rest, 2);
	if (inner == '/' || inner == '\\')
		put(r, '/');
	else
		put_decoded(r, (uint8_t)inner);
}

static void take_parameter(struct reading *r)
{
	r->ambiguous |= AMBIGUOUS_PARAMETER;
	if (!r->lenient) {
		put(r, ';');
		r->rest = slice_from(r->rest, 1);
		return;
	}
	while (r->rest.length && r->rest.data[0] != '/')
		r->rest = slice_from(r->rest, 1);
}

static void decode(struct reading *r)
{
	while (r->rest.length && !r->problem) {
		uint8_t c = r->rest.data[0];

		if (c == '%') {
			take_encoded(r);
		} else if (c == ';') {
			take_parameter(r);
		} else if (c == '\\') {
			put_decoded(r, c);
			r->rest = slice_from(r->rest, 1);
		} else {
			put(r, c);
			r->rest = slice_from(r->rest, 1);
		}
	}
}

/* Takes the segments' last one off what is written; false: there is none. */
static bool drop_segment(uint8_t *path, size_t *length)
{
	if (*length == 0)
		return false;
	do
		(*length)--;
	while (path[*length] != '/');
	return true;
}

/* RFC 3986, 5.2.4, in place: nothing gets longer. */
static void resolve(struct reading *r)
{
	uint8_t *path = r->out->data + r->out->start + r->start;
	size_t end = buffer_length(r->out) - r->start, length = 0, at = 0;

	while (at < end && !r->problem) {
		size_t begin = at + 1, next = begin;
		bool last, dot, dots;

		while (next < end && path[next] != '/')
			next++;
		last = next == end;
		dot = next - begin == 1 && path[begin] == '.';
		dots = next - begin == 2 && path[begin] == '.' && path[begin + 1] == '.';
		at = next;
		if (next == begin && !last) {
			r->ambiguous |= AMBIGUOUS_EMPTY;
			if (r->lenient)
				continue;
		}
		if (dots && !drop_segment(path, &length))
			r->problem = "a path that leads above the root";
		if (dot || dots) {
			if (last)
				path[length++] = '/';
			continue;
		}
		memmove(path + length, path + begin - 1, next - begin + 1);
		length += next - begin + 1;
	}
	buffer_truncate(r->out, r->start + length);
}

static void read_as(struct slice path, bool lenient, struct buffer *room, struct reading *ret)
{
	*ret = (struct reading){
		.rest = path, .lenient = lenient, .out = room, .start = buffer_length(room)};
	decode(ret);
	if (!ret->problem)
		resolve(ret);
	if (!ret->problem && !text_is_utf8(slice_from(buffer_slice(room), ret->start)))
		ret->problem = "a path that is not UTF-8";
}

void http_path_read(struct slice path, struct buffer *room, struct http_path *ret)
{
	struct reading strict, lenient;
	uint8_t *space;
	unsigned kinds;

	*ret = (struct http_path){0};
	if (path.length == 0 || path.data[0] != '/') {
		ret->problem = "a path that does not begin with \"/\"";
		return;
	}
	/* Three bytes for one at most, twice; so that nothing moves. */
	if (buffer_reserve(room, 6 * path.length, &space) < 0) {
		ret->problem = "the path is too long";
		return;
	}
	read_as(path, false, room, &strict);
	read_as(path, true, room, &lenient);
	kinds = strict.ambiguous | lenient.ambiguous;
	ret->problem = strict.problem ? strict.problem : lenient.problem;
	if (!ret->problem && __builtin_popcount(kinds) > 1)
		ret->problem = "a path that servers read differently";
	if (ret->problem)
		return;
	ret->readings[0] =
		slice_of(buffer_slice(room).data + strict.start, lenient.start - strict.start);
	ret->readings[1] = slice_from(buffer_slice(room), lenient.start);
	ret->count = slice_equal(ret->readings[0], ret->readings[1]) ? 1 : 2;
}
