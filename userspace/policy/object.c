/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/object.h"

#include "base/memory.h"
#include "base/text.h"
#include "policy/object_kubernetes.h"

static size_t count_byte(struct slice s, uint8_t byte)
{
	size_t n = 0;

	for (size_t i = 0; i < s.length; i++)
		n += s.data[i] == byte;
	return n;
}

/* SQL */

/* A dot in the object may be a part of a name that has no schema (a channel, a file). */
static enum object_match sql_match_undotted(struct slice pattern, struct slice object)
{
	if (!text_glob(pattern, object))
		return OBJECT_MATCHES_NOT;
	return memchr(object.data, '.', object.length) ? OBJECT_MATCHES_PERHAPS : OBJECT_MATCHES;
}

static enum object_match sql_match(struct slice pattern, struct slice object)
{
	const uint8_t *dot = memchr(pattern.data, '.', pattern.length);
	struct slice schema, name;
	size_t readings = 0, matches = 0;

	if (!dot)
		return sql_match_undotted(pattern, object);
	schema = slice_head(pattern, (size_t)(dot - pattern.data));
	name = slice_from(pattern, schema.length + 1);
	for (size_t i = 0; i < object.length; i++) {
		if (object.data[i] != '.')
			continue;
		readings++;
		matches += text_glob(schema, slice_head(object, i)) &&
			text_glob(name, slice_from(object, i + 1));
	}
	if (matches == 0)
		return OBJECT_MATCHES_NOT;
	return matches == readings ? OBJECT_MATCHES : OBJECT_MATCHES_PERHAPS;
}

/* Operations whose objects never, or not always, belong to a schema. */
static const enum operation sql_without_schema[] = {
	OPERATION_SET,
	OPERATION_SET_ROLE,
	OPERATION_SHOW,
	OPERATION_LISTEN,
	OPERATION_NOTIFY,
	OPERATION_LOAD,
};
static const enum operation sql_sometimes_without_schema[] = {
	OPERATION_CREATE,
	OPERATION_ALTER,
	OPERATION_DROP,
	OPERATION_COMMENT,
	OPERATION_GRANT,
	OPERATION_REVOKE,
};

static size_t count_operations(
	const struct operation_set *set, const enum operation *operations, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += operation_set_has(set, operations[i]);
	return n;
}

static size_t count_operations_of(const struct operation_set *set, enum protocol_id protocol)
{
	size_t n = 0;

	for (unsigned i = 0; i < OPERATION_COUNT; i++)
		n += operation_set_has(set, (enum operation)i) &&
			operation_is_of((enum operation)i, protocol);
	return n;
}

static bool names_everything(const struct operation_set *operations)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_is_of((enum operation)i, PROTOCOL_POSTGRES) &&
			!operation_set_has(operations, (enum operation)i))
			return false;
	}
	return true;
}

/* Of those, what no group has: a rule that names them means settings or channels too. "*" does not.
 */
static bool names_settings_or_channels(const struct operation_set *operations)
{
	static const enum operation alone[] = {OPERATION_SET, OPERATION_LISTEN, OPERATION_NOTIFY};

	return count_operations(operations, alone, ARRAY_SIZE(alone)) &&
		!names_everything(operations);
}

/* "orders" instead of "public.orders" is the mistake that makes a deny do nothing: only where the
 * rule names operations whose objects have no schema is one part right. */
static enum object_fit sql_fit(struct slice pattern, const struct operation_set *operations)
{
	size_t never =
		count_operations(operations, sql_without_schema, ARRAY_SIZE(sql_without_schema));
	size_t sometimes = count_operations(
		operations, sql_sometimes_without_schema, ARRAY_SIZE(sql_sometimes_without_schema));
	size_t all = count_operations_of(operations, PROTOCOL_POSTGRES);

	switch (count_byte(pattern, '.')) {
	case 0:
		if (never + sometimes < all)
			return names_settings_or_channels(operations) ? OBJECT_FITS_SELDOM
								      : OBJECT_NEVER_FITS;
		return sometimes ? OBJECT_FITS_SELDOM : OBJECT_FITS;
	case 1:
		return pattern.data[0] == '.' || pattern.data[pattern.length - 1] == '.'
			? OBJECT_NEVER_FITS
			: OBJECT_FITS;
	default:
		return OBJECT_NEVER_FITS;
	}
}

/* HTTP */

#define SEGMENT_END SIZE_MAX

/* The segment that begins at `start`; returns where the next one begins, or SEGMENT_END. */
static size_t path_segment(struct slice path, size_t start, struct slice *ret)
{
	size_t end = start;

	while (end < path.length && path.data[end] != '/')
		end++;
	*ret = slice_of(path.data + start, end - start);
	return end < path.length ? end + 1 : SEGMENT_END;
}

/* As text_glob() with segments for letters: only the last "**" has to be tried again. */
static bool http_matches(struct slice pattern, struct slice object)
{
	size_t p = 1, t = 1, after_stars = SEGMENT_END, mark = SEGMENT_END;
	bool stars = false;
	struct slice wanted, found;

	if (object.data[0] != '/' || pattern.data[0] != '/')
		return false;
	while (t != SEGMENT_END) {
		size_t next_t = path_segment(object, t, &found);
		size_t next_p = p == SEGMENT_END ? p : path_segment(pattern, p, &wanted);

		if (p != SEGMENT_END && slice_equal_string(wanted, "**")) {
			stars = true;
			after_stars = p = next_p;
			mark = t;
		} else if (p != SEGMENT_END && text_glob(wanted, found)) {
			p = next_p;
			t = next_t;
		} else if (stars) {
			t = mark = path_segment(object, mark, &found);
			p = after_stars;
		} else {
			return false;
		}
	}
	while (p != SEGMENT_END) {
		p = path_segment(pattern, p, &wanted);
		if (!slice_equal_string(wanted, "**"))
			return false;
	}
	return true;
}

/* Where CONNECT leads is no path: "*" is any run of characters. */
static enum object_match http_match(struct slice pattern, struct slice object)
{
	if (object.data[0] != '/' && pattern.data[0] != '/')
		return text_glob(pattern, object) ? OBJECT_MATCHES : OBJECT_MATCHES_NOT;
	return http_matches(pattern, object) ? OBJECT_MATCHES : OBJECT_MATCHES_NOT;
}

static enum object_fit http_fit(struct slice pattern, const struct operation_set *operations)
{
	if (pattern.data[0] == '/')
		return OBJECT_FITS;
	if (!operation_set_has(operations, OPERATION_HTTP_CONNECT) ||
		memchr(pattern.data, '/', pattern.length))
		return OBJECT_NEVER_FITS;
	return pattern.data[0] == '*' || memchr(pattern.data, ':', pattern.length)
		? OBJECT_FITS
		: OBJECT_NEVER_FITS;
}

/* Kubernetes */

/* What is no resource is a path. */
static enum object_match cluster_match(struct slice pattern, struct slice object)
{
	if (pattern.data[0] == '/' || object.data[0] == '/')
		return http_match(pattern, object);
	return kubernetes_match(pattern, object);
}

static enum object_fit cluster_fit(struct slice pattern, const struct operation_set *operations)
{
	(void)operations;
	return kubernetes_is_pattern(pattern) ? OBJECT_FITS : OBJECT_NEVER_FITS;
}

/* SSH */

static enum object_match ssh_match(struct slice pattern, struct slice object)
{
	return text_glob(pattern, object) ? OBJECT_MATCHES : OBJECT_MATCHES_NOT;
}

/* What the pattern begins with, up to its first star, and the path with a slash behind are each
 * other's beginning. */
bool object_may_be_below(struct slice pattern, struct slice path)
{
	const uint8_t *star = pattern.length ? memchr(pattern.data, '*', pattern.length) : NULL;
	struct slice begin =
		slice_head(pattern, star ? (size_t)(star - pattern.data) : pattern.length);
	size_t most = path.length;

	if (most && path.data[most - 1] == '/')
		most--;
	if (begin.length <= most)
		return star && slice_starts_with(path, begin);
	return slice_starts_with(begin, slice_head(path, most)) && begin.data[most] == '/';
}

static enum object_fit any_fit(struct slice pattern, const struct operation_set *operations)
{
	(void)pattern;
	(void)operations;
	return OBJECT_FITS;
}

static enum object_match never_match(struct slice pattern, struct slice object)
{
	(void)pattern;
	(void)object;
	return OBJECT_MATCHES_NOT;
}

static enum object_fit never_fit(struct slice pattern, const struct operation_set *operations)
{
	(void)pattern;
	(void)operations;
	return OBJECT_NEVER_FITS;
}

/* Names that are looked up: "*" is any run of letters and dots. */
static enum object_match name_match(struct slice pattern, struct slice object)
{
	return text_glob(pattern, object) ? OBJECT_MATCHES : OBJECT_MATCHES_NOT;
}

static enum object_fit name_fit(struct slice pattern, const struct operation_set *operations)
{
	if (!operation_set_has(operations, OPERATION_RESOLVE))
		return OBJECT_NEVER_FITS;
	for (size_t i = 0; i < pattern.length; i++) {
		if (pattern.data[i] == '/' || pattern.data[i] == ':' ||
			(pattern.data[i] >= 'A' && pattern.data[i] <= 'Z'))
			return OBJECT_NEVER_FITS;
	}
	return OBJECT_FITS;
}

static const struct object_syntax {
	enum object_match (*match)(struct slice pattern, struct slice object); /* neither empty */
	enum object_fit (*fit)(struct slice pattern, const struct operation_set *operations);
	const char *expected;
	bool overlaps; /* an object may mean several, and so more than a glob of it does */
} syntaxes[PROTOCOL_COUNT] = {
	[PROTOCOL_TCP] = {never_match, never_fit, "no objects: tcp is relayed unread"},
	[PROTOCOL_ICMP] = {never_match, never_fit, "no objects: an echo has none"},
	[PROTOCOL_UDP] = {name_match, name_fit, "a name, with operation resolve"},
	[PROTOCOL_POSTGRES] = {sql_match, sql_fit, "SCHEMA.TABLE or SCHEMA.FUNCTION()"},
	[PROTOCOL_MYSQL] = {sql_match, sql_fit, "SCHEMA.TABLE or SCHEMA.FUNCTION()"},
	[PROTOCOL_SSH] = {ssh_match, any_fit, "a command line or path"},
	[PROTOCOL_HTTP] = {http_match, http_fit,
		"a path that begins with \"/\", or NAME:PORT with operation connect"},
	[PROTOCOL_KUBERNETES] = {cluster_match, cluster_fit,
		"NAMESPACE/RESOURCE.GROUP/NAME or RESOURCE.GROUP/NAME", .overlaps = true},
};

/* In every other syntax the ends of a pattern mean themselves unless they are stars: most patterns
 * that don't match can be told by that. */
static bool ends_differ(struct slice pattern, struct slice object)
{
	uint8_t first = pattern.data[0], last = pattern.data[pattern.length - 1];

	return (first != '*' && first != object.data[0]) ||
		(last != '*' && last != object.data[object.length - 1]);
}

enum object_match object_match(enum protocol_id protocol, struct slice pattern, struct slice object)
{
	if (pattern.length == 0 || object.length == 0 ||
		(!syntaxes[protocol].overlaps && ends_differ(pattern, object)))
		return OBJECT_MATCHES_NOT;
	return syntaxes[protocol].match(pattern, object);
}

enum object_fit object_fit(
	enum protocol_id protocol, struct slice pattern, const struct operation_set *operations)
{
	return pattern.length ? syntaxes[protocol].fit(pattern, operations) : OBJECT_NEVER_FITS;
}

const char *object_expected(enum protocol_id protocol)
{
	return syntaxes[protocol].expected;
}
