/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/head.h"

#include <errno.h>

#include "base/text.h"

static bool fail(struct http_problem *ret, unsigned status, const char *text)
{
	*ret = (struct http_problem){status, text};
	return false;
}

/* RFC 9110, 5.6.2. */
static bool is_token_byte(uint8_t c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	return c && strchr("!#$%&'*+-.^_`|~", c);
}

bool http_is_token(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (!is_token_byte(s.data[i]))
			return false;
	}
	return s.length > 0;
}

/* Where the head that begins the bytes ends; 0: not in them. The first `seen` bytes hold no end. */
static size_t find_end(struct slice bytes, size_t seen, struct http_problem *ret)
{
	size_t at = seen;

	while (at < bytes.length) {
		const uint8_t *found = memchr(bytes.data + at, '\n', bytes.length - at);

		if (!found)
			return 0;
		at = (size_t)(found - bytes.data);
		if (at == 0 || bytes.data[at - 1] != '\r') {
			fail(ret, 400, "a line does not end in CR LF");
			return 0;
		}
		if (at >= 3 && bytes.data[at - 2] == '\n')
			return at + 1;
		at++;
	}
	return 0;
}

int http_head_take(struct http_head_bytes *b, struct slice in, size_t *ret_taken,
	struct http_problem *ret_problem)
{
	size_t before = buffer_length(&b->held), end = 0;
	struct slice part = slice_head(in, LIMIT_HTTP_HEAD - before);

	*ret_problem = (struct http_problem){0};
	/* What stands behind a head that came at once need not be copied. */
	if (before == 0)
		end = find_end(part, 0, ret_problem);
	if (end)
		part = slice_head(part, end);
	if (buffer_append_slice(&b->held, part) < 0)
		return -ENOMEM;
	if (before)
		end = find_end(buffer_slice(&b->held), b->seen, ret_problem);
	*ret_taken += end ? end - before : part.length;
	if (end)
		buffer_truncate(&b->held, end);
	b->seen = end ? 0 : buffer_length(&b->held);
	if (!end && !ret_problem->status && b->seen == LIMIT_HTTP_HEAD)
		fail(ret_problem, 431, "the head is too large");
	return end > 0;
}

void http_head_clear(struct http_head_bytes *b)
{
	buffer_clear(&b->held);
	b->seen = 0;
}

/* Takes a line without its CR LF; false: there is none. */
static bool take_line(struct slice *rest, struct slice *ret)
{
	const uint8_t *end = rest->length ? memchr(rest->data, '\n', rest->length) : NULL;
	size_t length = end ? (size_t)(end - rest->data) : 0;

	if (length == 0 || rest->data[length - 1] != '\r')
		return false;
	*ret = slice_head(*rest, length - 1);
	*rest = slice_from(*rest, length + 1);
	return true;
}

struct slice http_trim(struct slice s)
{
	while (s.length && (s.data[0] == ' ' || s.data[0] == '\t'))
		s = slice_from(s, 1);
	while (s.length && (s.data[s.length - 1] == ' ' || s.data[s.length - 1] == '\t'))
		s.length--;
	return s;
}

/* RFC 9110, 5.5: visible bytes, those from 0x80 on, space and tab. */
static bool is_field_value(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		uint8_t c = s.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool read_field(struct slice line, struct http_field *ret, struct http_problem *ret_problem)
{
	const uint8_t *colon = memchr(line.data, ':', line.length);

	if (line.data[0] == ' ' || line.data[0] == '\t')
		return fail(ret_problem, 400, "a folded header line");
	if (!colon)
		return fail(ret_problem, 400, "a header line without a colon");
	ret->name = slice_head(line, (size_t)(colon - line.data));
	if (!http_is_token(ret->name))
		return fail(ret_problem, 400, "a header's name is not a token");
	ret->value = http_trim(slice_from(line, ret->name.length + 1));
	if (!is_field_value(ret->value))
		return fail(ret_problem, 400, "a control byte in a header");
	return true;
}

bool http_fields_read(struct slice bytes, struct http_fields *ret, struct http_problem *ret_problem)
{
	struct slice line;

	ret->count = 0;
	while (take_line(&bytes, &line)) {
		if (line.length == 0 && bytes.length == 0)
			return true;
		if (line.length == 0)
			break;
		if (ret->count == LIMIT_HTTP_FIELDS)
			return fail(ret_problem, 431, "too many headers");
		if (!read_field(line, &ret->items[ret->count++], ret_problem))
			return false;
	}
	return fail(ret_problem, 400, "a line does not end in CR LF");
}

/* "HTTP/1.0" or "HTTP/1.1" */
static bool read_version(struct slice s, unsigned *ret_minor)
{
	if (s.length != 8 || memcmp(s.data, "HTTP/1.", 7) != 0 ||
		(s.data[7] != '0' && s.data[7] != '1'))
		return false;
	*ret_minor = s.data[7] - '0';
	return true;
}

bool http_is_target(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] <= ' ' || s.data[i] >= 0x7f || s.data[i] == '#')
			return false;
	}
	return s.length > 0;
}

static bool read_request_line(
	struct slice line, struct http_head *ret, struct http_problem *ret_problem)
{
	const uint8_t *space = memchr(line.data, ' ', line.length);
	struct slice rest, version;

	if (!space)
		return fail(ret_problem, 400, "not a request line");
	ret->method = slice_head(line, (size_t)(space - line.data));
	rest = slice_from(line, ret->method.length + 1);
	space = rest.length ? memchr(rest.data, ' ', rest.length) : NULL;
	if (!http_is_token(ret->method) || ret->method.length > LIMIT_HTTP_METHOD || !space)
		return fail(ret_problem, 400, "not a request line");
	ret->target = slice_head(rest, (size_t)(space - rest.data));
	if (!http_is_target(ret->target))
		return fail(ret_problem, 400, "a byte that can't stand in a request's target");
	version = slice_from(rest, ret->target.length + 1);
	if (read_version(version, &ret->minor))
		return true;
	if (slice_equal_string(version, "HTTP/2.0"))
		return fail(ret_problem, 505, "HTTP/2, where HTTP/1.1 was agreed on");
	return fail(ret_problem, 400, "not a request line");
}

static bool read_status_line(
	struct slice line, struct http_head *ret, struct http_problem *ret_problem)
{
	uint64_t status;

	/* The space behind the status may be missing where there is no reason. */
	if (line.length < 12 || !read_version(slice_head(line, 8), &ret->minor) ||
		line.data[8] != ' ' ||
		text_to_number(slice_head(slice_from(line, 9), 3), 999, &status) < 0 ||
		status < 100 || (line.length > 12 && line.data[12] != ' '))
		return fail(ret_problem, 502, "not a status line");
	ret->status = (unsigned)status;
	ret->reason = slice_from(line, 13);
	if (!is_field_value(ret->reason))
		return fail(ret_problem, 502, "a control byte in the status line");
	return true;
}

bool http_head_read_request(
	struct slice bytes, struct http_head *ret, struct http_problem *ret_problem)
{
	struct slice line;

	if (!take_line(&bytes, &line) || line.length == 0)
		return fail(ret_problem, 400, "not a request line");
	return read_request_line(line, ret, ret_problem) &&
		http_fields_read(bytes, &ret->fields, ret_problem);
}

bool http_head_read_response(
	struct slice bytes, struct http_head *ret, struct http_problem *ret_problem)
{
	struct slice line;

	if (!take_line(&bytes, &line) || line.length == 0)
		return fail(ret_problem, 502, "not a status line");
	return read_status_line(line, ret, ret_problem) &&
		http_fields_read(bytes, &ret->fields, ret_problem);
}

void http_status_put(unsigned status, char ret[HTTP_STATUS_DIGITS])
{
	ret[0] = (char)('0' + status / 100 % 10);
	ret[1] = (char)('0' + status / 10 % 10);
	ret[2] = (char)('0' + status % 10);
}

bool http_field_is_one_of(const struct http_field *field, const char *const *names, size_t count)
{
	/* How long these are is not known beforehand; most differ in their first letter. */
	for (size_t i = 0; field->name.length && i < count; i++) {
		if (text_lower(field->name.data[0]) == text_lower((uint8_t)names[i][0]) &&
			http_field_is(field, names[i]))
			return true;
	}
	return false;
}

/* Few of all that there is room for. */
void http_fields_copy(struct http_fields *to, const struct http_fields *from)
{
	memcpy(to->items, from->items, from->count * sizeof(*to->items));
	to->count = from->count;
}

const struct http_field *http_fields_find(
	const struct http_fields *fields, const char *name, size_t *ret_count)
{
	struct slice wanted = slice_from_string(name);
	const struct http_field *found = NULL;
	size_t count = 0;

	for (size_t i = 0; i < fields->count; i++) {
		if (!http_field_is_named(&fields->items[i], wanted))
			continue;
		if (!found)
			found = &fields->items[i];
		count++;
	}
	if (ret_count)
		*ret_count = count;
	return found;
}

bool http_list_next(struct slice *rest, struct slice *ret)
{
	while (rest->length) {
		*ret = http_trim(slice_take_until(rest, ','));
		if (ret->length)
			return true;
	}
	return false;
}

bool http_fields_list_has(const struct http_fields *fields, const char *name, struct slice token)
{
	struct slice wanted = slice_from_string(name);

	for (size_t i = 0; i < fields->count; i++) {
		struct slice rest = fields->items[i].value, element;

		if (rest.length < token.length || !http_field_is_named(&fields->items[i], wanted))
			continue;
		while (http_list_next(&rest, &element)) {
			if (text_equal_ignore_case(element, token))
				return true;
		}
	}
	return false;
}
