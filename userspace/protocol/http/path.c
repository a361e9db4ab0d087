/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/path.h"

#include "base/text.h"

/* Where servers differ. Each by itself: who takes %2F for a separator need not take "\" for one. */
enum ambiguity {
	AMBIGUOUS_SLASH = 1 << 0, /* %2F as a separator, or as a letter */
	AMBIGUOUS_BACKSLASH = 1 << 1, /* "\", the same */
	AMBIGUOUS_ENCODED_BACKSLASH = 1 << 2, /* %5C */
	AMBIGUOUS_TWICE = 1 << 3, /* %25 and two digits, decoded once or twice */
	AMBIGUOUS_PARAMETER = 1 << 4, /* ";x=y", a part of the segment or not */
	AMBIGUOUS_ENCODED_PARAMETER = 1 << 5, /* %3B, where it is decoded before that is looked for
					       */
	AMBIGUOUS_EMPTY = 1 << 6, /* "//", one separator or two */
	AMBIGUOUS_HOST = 1 << 7, /* the same where the path begins: or what names a host */
};

struct reading {
	struct slice rest; /* of the path */
	bool lenient; /* reads every ambiguity the way that makes more of it */
	unsigned ambiguous;
	const char *problem;
	struct buffer *out;
	size_t start; /* in `out` */
};

/* Two hexadecimal digits at the start, or -1. */
static int hex_byte(struct slice s)
{
	int high, low;

	if (s.length < 2)
		return -1;
	high = text_hex_digit(s.data[0]);
	low = text_hex_digit(s.data[1]);
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

static void put_separator(struct reading *r, uint8_t c, enum ambiguity kind)
{
	r->ambiguous |= kind;
	if (r->lenient)
		put(r, '/');
	else
		put_encoded(r, c);
}

static void take_parameter(struct reading *r, enum ambiguity kind)
{
	r->ambiguous |= kind;
	if (!r->lenient) {
		put(r, ';');
		return;
	}
	while (r->rest.length && r->rest.data[0] != '/')
		r->rest = slice_from(r->rest, 1);
}

static bool is_control(uint8_t c)
{
	return c < ' ' || c == 0x7f;
}

/* A byte that was encoded. What has a meaning of its own in a path stays so. */
static void put_decoded(struct reading *r, uint8_t c)
{
	if (is_control(c)) {
		r->problem = "a control byte in the path";
	} else if (c == '/') {
		put_separator(r, c, AMBIGUOUS_SLASH);
	} else if (c == '\\') {
		put_separator(r, c, AMBIGUOUS_ENCODED_BACKSLASH);
	} else if (c == ';') {
		take_parameter(r, AMBIGUOUS_ENCODED_PARAMETER);
	} else if (c == '?' || c == '#' || c == '%') {
		put_encoded(r, c);
	} else {
		put(r, c);
	}
}

/* A byte as it is once percent-encoding is taken off, and the rest behind it; -1: there is none. */
static int next_decoded(struct slice *rest)
{
	int c = -1;

	if (rest->length == 0)
		return -1;
	if (rest->data[0] == '%')
		c = hex_byte(slice_from(*rest, 1));
	*rest = slice_from(*rest, c < 0 ? 1 : 3);
	return c < 0 ? rest->data[-1] : c;
}

/* Behind a "%" that was encoded: whether what decodes once decodes again, though it does not look
 * so. */
static bool hides_digits(struct slice rest)
{
	int high = next_decoded(&rest), low = next_decoded(&rest);

	return high >= 0 && low >= 0 && text_hex_digit((uint8_t)high) >= 0 &&
		text_hex_digit((uint8_t)low) >= 0;
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
	if (inner < 0 && byte == '%' && hides_digits(r->rest)) {
		r->problem = "a path whose percent-encoding is encoded";
		return;
	}
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

static void decode(struct reading *r)
{
	while (r->rest.length && !r->problem) {
		uint8_t c = r->rest.data[0];

		if (c == '%') {
			take_encoded(r);
			continue;
		}
		r->rest = slice_from(r->rest, 1);
		if (c == ';')
			take_parameter(r, AMBIGUOUS_PARAMETER);
		else if (c == '\\')
			put_separator(r, c, AMBIGUOUS_BACKSLASH);
		else if (is_control(c) || c == '#') /* a header that names a path may hold them */
			r->problem = "a byte that no path has";
		else
			put(r, c);
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
			r->ambiguous |= length ? AMBIGUOUS_EMPTY : AMBIGUOUS_HOST;
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

/* "//host/path" is a reference to another host's path (RFC 3986, 4.2), and servers that resolve the
 * target as a URL serve what stands behind the name. */
static struct slice behind_host(struct slice path)
{
	struct slice rest = slice_from(path, 2);
	const uint8_t *slash = rest.length ? memchr(rest.data, '/', rest.length) : NULL;

	return slash ? slice_from(rest, (size_t)(slash - rest.data)) : slice_from_string("/");
}

static void add_reading(struct http_path *path, struct slice reading)
{
	for (size_t i = 0; i < path->count; i++) {
		if (slice_equal(path->readings[i], reading))
			return;
	}
	path->readings[path->count++] = reading;
}

/* Whether it stands there as all servers read it: nothing to decode, to resolve or to doubt. */
static bool is_plain(struct slice path)
{
	for (size_t i = 0; i < path.length; i++) {
		uint8_t c = path.data[i], next = i + 1 < path.length ? path.data[i + 1] : 0;

		if (is_control(c) || c >= 0x80 || c == '%' || c == ';' || c == '\\' || c == '#' ||
			(c == '/' && (next == '/' || next == '.')))
			return false;
	}
	return true;
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
	/* So that nothing moves. */
	if (buffer_reserve(room, HTTP_PATH_ROOM * path.length, &space) < 0) {
		ret->problem = "the path is too long";
		return;
	}
	if (is_plain(path)) {
		buffer_append_slice(room, path);
		ret->readings[0] = slice_of(space, path.length);
		ret->count = 1;
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
	add_reading(ret,
		slice_of(buffer_slice(room).data + strict.start, lenient.start - strict.start));
	add_reading(ret, slice_from(buffer_slice(room), lenient.start));
	if (kinds & AMBIGUOUS_HOST)
		add_reading(ret, behind_host(ret->readings[0]));
}
