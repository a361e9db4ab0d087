/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cgroup_pattern.h"

#include <string.h>

bool cgroup_pattern_is_wild(const char *pattern)
{
	return strchr(pattern, '*') != NULL;
}

/* One folder's name; the last `*` takes one character more where the rest doesn't match. */
static bool part_matches(
	const char *pattern, size_t pattern_length, const char *text, size_t length)
{
	size_t p = 0, t = 0, star = pattern_length, mark = 0;

	while (t < length) {
		if (p < pattern_length && pattern[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern_length && pattern[p] == text[t]) {
			p++;
			t++;
		} else if (star < pattern_length) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern_length && pattern[p] == '*')
		p++;
	return p == pattern_length;
}

size_t cgroup_pattern_find(const char *pattern, const char *path)
{
	const char *begin = path;

	for (;;) {
		size_t wanted = strcspn(pattern, "/"), length = strcspn(path, "/");

		if (!part_matches(pattern, wanted, path, length))
			return 0;
		pattern += wanted;
		path += length;
		if (!*pattern)
			return (size_t)(path - begin);
		if (!*path)
			return 0;
		pattern++;
		path++;
	}
}

bool cgroup_pattern_matches(const char *pattern, const char *path)
{
	size_t length = cgroup_pattern_find(pattern, path);

	return length > 0 && path[length] == '\0';
}

/* What is in front of the first `*`, and what is behind the last, may be the same. */
static bool parts_may_meet(const char *a, size_t a_length, const char *b, size_t b_length)
{
	const char *a_star = memchr(a, '*', a_length), *b_star = memchr(b, '*', b_length);
	size_t front, back = 0;

	if (!a_star)
		return part_matches(b, b_length, a, a_length);
	if (!b_star)
		return part_matches(a, a_length, b, b_length);
	front = (size_t)(a_star - a);
	if ((size_t)(b_star - b) < front)
		front = (size_t)(b_star - b);
	if (memcmp(a, b, front) != 0)
		return false;
	while (a[a_length - back - 1] != '*' && b[b_length - back - 1] != '*') {
		if (a[a_length - back - 1] != b[b_length - back - 1])
			return false;
		back++;
	}
	return true;
}

bool cgroup_pattern_may_nest(const char *a, const char *b)
{
	for (;;) {
		size_t a_length = strcspn(a, "/"), b_length = strcspn(b, "/");

		if (!parts_may_meet(a, a_length, b, b_length))
			return false;
		if (!a[a_length] || !b[b_length])
			return true;
		a += a_length + 1;
		b += b_length + 1;
	}
}
