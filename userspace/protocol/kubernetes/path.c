/* SPDX-License-Identifier: Apache-2.0
 *
 * path: as the API server's own reading of requests goes (k8s.io/apiserver, RequestInfo), without
 * the parts of it that need more than a path.
 */
#include "base/memory.h"
#include "protocol/kubernetes/kubernetes.h"

#define PARTS_MOST 10 /* of which anything is read */

struct parts {
	struct slice items[PARTS_MOST];
	size_t count; /* of all */
};

/* Segments between slashes; those at either end don't count. False: some segment is empty, or one
 * that servers resolve. */
static bool split(struct slice path, struct parts *ret)
{
	*ret = (struct parts){.count = 0};
	path = slice_from(path, 1);
	if (path.length && path.data[path.length - 1] == '/')
		path.length--;
	while (path.length) {
		const uint8_t *slash = memchr(path.data, '/', path.length);
		struct slice part = slash ? slice_head(path, (size_t)(slash - path.data)) : path;

		if (part.length == 0 || slice_equal_string(part, ".") ||
			slice_equal_string(part, "..") || (slash && part.length + 1 == path.length))
			return false;
		if (ret->count < PARTS_MOST)
			ret->items[ret->count] = part;
		ret->count++;
		path = slice_from(path, part.length + 1);
	}
	return true;
}

static void drop(struct parts *p, size_t count)
{
	p->count -= count;
	memmove(p->items, p->items + count, (PARTS_MOST - count) * sizeof(p->items[0]));
}

/* Groups are names of domains; resources and what they have parts of one: with a dot, it could not
 * be told from a group's. */
static bool is_word(struct slice s, bool dots)
{
	for (size_t i = 0; i < s.length; i++) {
		uint8_t c = s.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
			!(dots && c == '.'))
			return false;
	}
	return true;
}

/* What the API server takes for a name; it would have "%" decoded once more by nobody. */
static bool is_name(struct slice s)
{
	return s.length == 0 || !memchr(s.data, '%', s.length);
}

/* False: it is none of a resource. */
static bool take_prefix(struct parts *p, struct kubernetes_path *ret)
{
	if (p->count < 3)
		return false;
	if (slice_equal_string(p->items[0], "api")) {
		drop(p, 2);
		return true;
	}
	if (!slice_equal_string(p->items[0], "apis") || p->count < 4)
		return false;
	ret->group = p->items[1];
	drop(p, 3);
	return true;
}

static bool is_of_namespace(struct slice part)
{
	return slice_equal_string(part, "status") || slice_equal_string(part, "finalize");
}

/* "namespaces/prod/pods/web": what is in one; "namespaces/prod": the namespace itself. */
static void take_namespace(struct parts *p, struct kubernetes_path *ret)
{
	if (!slice_equal_string(p->items[0], "namespaces") || p->count < 3 ||
		is_of_namespace(p->items[2]))
		return;
	ret->namespace = p->items[1];
	drop(p, 2);
}

bool kubernetes_path_read(struct slice path, struct kubernetes_path *ret, const char **ret_problem)
{
	struct parts p;

	*ret = (struct kubernetes_path){.is_resource = false};
	if (!split(path, &p)) {
		*ret_problem = "a path with an empty or dotted segment";
		return false;
	}
	if (!take_prefix(&p, ret))
		return true;
	ret->is_resource = true;
	ret->watches = slice_equal_string(p.items[0], "watch");
	ret->proxies = slice_equal_string(p.items[0], "proxy");
	if (ret->watches || ret->proxies)
		drop(&p, 1);
	if (p.count == 0) {
		*ret_problem = "a path that names no resource";
		return false;
	}
	take_namespace(&p, ret);
	ret->resource = p.items[0];
	if (p.count >= 2)
		ret->name = p.items[1];
	if (p.count >= 3 && !ret->proxies)
		ret->subresource = p.items[2];
	if (is_word(ret->group, true) && is_word(ret->resource, false) &&
		is_word(ret->subresource, false) && is_name(ret->namespace) && is_name(ret->name))
		return true;
	*ret_problem = "a path that names no resource as the API does";
	return false;
}
