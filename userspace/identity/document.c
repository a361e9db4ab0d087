/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/document.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

/* --- the grammar (RFC 8259), which cJSON takes lightly --- */

struct scanner {
	struct slice rest;
	unsigned depth;
	const char *problem;
};

static bool fail(struct scanner *s, const char *problem)
{
	if (!s->problem)
		s->problem = problem;
	return false;
}

static bool at(const struct scanner *s, char c)
{
	return s->rest.length && s->rest.data[0] == (uint8_t)c;
}

static bool take(struct scanner *s, char c)
{
	if (!at(s, c))
		return false;
	s->rest = slice_from(s->rest, 1);
	return true;
}

static void skip_space(struct scanner *s)
{
	while (at(s, ' ') || at(s, '\t') || at(s, '\n') || at(s, '\r'))
		s->rest = slice_from(s->rest, 1);
}

static bool take_word(struct scanner *s, const char *word)
{
	struct slice w = slice_from_string(word);

	if (!slice_starts_with(s->rest, w))
		return false;
	s->rest = slice_from(s->rest, w.length);
	return true;
}

/* Four hexadecimal digits; false: they are none. */
static bool take_unit(struct scanner *s, unsigned *ret)
{
	uint8_t bytes[2];

	if (s->rest.length < 4 || text_from_hex(slice_head(s->rest, 4), bytes, 2) < 0)
		return false;
	*ret = (unsigned)bytes[0] << 8 | bytes[1];
	s->rest = slice_from(s->rest, 4);
	return true;
}

static bool take_escape(struct scanner *s)
{
	unsigned high, low;

	if (s->rest.length && memchr("\"\\/bfnrt", s->rest.data[0], 8)) {
		s->rest = slice_from(s->rest, 1);
		return true;
	}
	if (!take(s, 'u') || !take_unit(s, &high) || high == 0)
		return false;
	if (high < 0xd800 || high > 0xdfff)
		return true;
	return high < 0xdc00 && take(s, '\\') && take(s, 'u') && take_unit(s, &low) &&
		low >= 0xdc00 && low <= 0xdfff;
}

static bool take_string(struct scanner *s)
{
	if (!take(s, '"'))
		return fail(s, "a text is expected");
	while (s->rest.length && !at(s, '"')) {
		if (s->rest.data[0] < ' ')
			return fail(s, "a control character in a text");
		if (!take(s, '\\'))
			s->rest = slice_from(s->rest, 1);
		else if (!take_escape(s))
			return fail(s, "an escape in a text that means nothing");
	}
	return take(s, '"') || fail(s, "a text does not end");
}

static size_t take_digits(struct scanner *s)
{
	size_t count = 0;

	for (; s->rest.length && s->rest.data[0] >= '0' && s->rest.data[0] <= '9'; count++)
		s->rest = slice_from(s->rest, 1);
	return count;
}

static bool take_number(struct scanner *s)
{
	take(s, '-');
	if (!take(s, '0') && take_digits(s) == 0)
		return fail(s, "a value is expected");
	if (take(s, '.') && take_digits(s) == 0)
		return fail(s, "a number that is none");
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (take_digits(s) == 0)
			return fail(s, "a number that is none");
	}
	return true;
}

static bool take_value(struct scanner *s);

static bool take_member(struct scanner *s)
{
	skip_space(s);
	if (!take_string(s))
		return false;
	skip_space(s);
	return (take(s, ':') || fail(s, "\":\" is expected")) && take_value(s);
}

/* Behind the opening bracket. */
static bool take_list(struct scanner *s, char end, bool (*take_item)(struct scanner *s))
{
	if (++s->depth > LIMIT_DOCUMENT_DEPTH)
		return fail(s, "nested too deeply");
	skip_space(s);
	if (!take(s, end)) {
		do {
			if (!take_item(s))
				return false;
			skip_space(s);
		} while (take(s, ','));
		if (!take(s, end))
			return fail(s, "\",\" or a closing bracket is expected");
	}
	s->depth--;
	return true;
}

static bool take_value(struct scanner *s)
{
	bool ok;

	skip_space(s);
	if (take(s, '{'))
		ok = take_list(s, '}', take_member);
	else if (take(s, '['))
		ok = take_list(s, ']', take_value);
	else if (at(s, '"'))
		ok = take_string(s);
	else
		ok = take_word(s, "true") || take_word(s, "false") || take_word(s, "null") ||
			take_number(s);
	return ok;
}

/* --- names --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static bool has_twice(const cJSON *object, size_t count)
{
	const cJSON **members = memory_new_array(count, sizeof(*members)), *member;
	size_t n = 0;
	bool twice = false;

	cJSON_ArrayForEach(member, object) members[n++] = member;
	qsort(members, n, sizeof(*members), compare_names);
	for (size_t i = 1; i < n; i++)
		twice |= strcmp(members[i - 1]->string, members[i]->string) == 0;
	free(members);
	return twice;
}

static const char *find_problem(const cJSON *value)
{
	size_t count = (size_t)cJSON_GetArraySize(value);
	const char *problem = NULL;
	const cJSON *member;

	if (count > LIMIT_DOCUMENT_MEMBERS)
		return "too many members";
	if (cJSON_IsObject(value) && has_twice(value, count))
		return "a name stands twice in an object";
	cJSON_ArrayForEach(member, value)
	{
		problem = member->child ? find_problem(member) : NULL;
		if (problem)
			break;
	}
	return problem;
}

/* --- the whole --- */

int document_parse(struct slice text, cJSON **ret, struct error *e)
{
	struct scanner s = {.rest = text};
	cJSON *json;

	if (text.length > LIMIT_DOCUMENT_BYTES)
		return error_set(e, -EBADMSG, "longer than %u bytes", LIMIT_DOCUMENT_BYTES);
	if (!text_is_utf8(text))
		return error_set(e, -EBADMSG, "not UTF-8");
	skip_space(&s);
	if (!at(&s, '{'))
		return error_set(e, -EBADMSG, "no JSON object");
	if (!take_value(&s))
		return error_set(e, -EBADMSG, "no JSON: %s", s.problem);
	skip_space(&s);
	if (s.rest.length)
		return error_set(e, -EBADMSG, "no JSON: something stands behind its end");
	json = cJSON_ParseWithLength((const char *)text.data, text.length);
	if (!json)
		return error_set(e, -EBADMSG, "no JSON that can be read");
	s.problem = find_problem(json);
	if (s.problem) {
		cJSON_Delete(json);
		return error_set(e, -EBADMSG, "%s", s.problem);
	}
	*ret = json;
	return 0;
}

const cJSON *document_get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *document_get_text(const cJSON *object, const char *name)
{
	const cJSON *member = document_get(object, name);

	return cJSON_IsString(member) ? member->valuestring : NULL;
}
