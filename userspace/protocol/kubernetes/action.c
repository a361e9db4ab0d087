/* SPDX-License-Identifier: Apache-2.0
 *
 * action: what a request does, in the words that rules have for it.
 */
#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/path.h"
#include "protocol/http/target.h"
#include "protocol/kubernetes/kubernetes.h"

static void not_understood(struct http_pairs *p, const char *problem)
{
	p->unknown |= ACTION_UNKNOWN_TEXT;
	p->problem = problem;
}

static void add(struct http_pairs *p, enum operation operation, struct slice object)
{
	/* HTTP_PAIRS_MOST is more than a request has. */
	p->items[p->count++] = (struct action_pair){
		.operation = operation, .state = OBJECT_KNOWN, .object = object};
}

/* --- verbs --- */

/* OPERATION_COUNT: the API has no such method. */
static enum operation operation_of_method(struct slice method)
{
	static const struct {
		const char *method;
		enum operation operation;
	} methods[] = {
		{"GET", OPERATION_KUBE_GET},
		{"HEAD", OPERATION_KUBE_GET},
		{"POST", OPERATION_KUBE_CREATE},
		{"PUT", OPERATION_KUBE_UPDATE},
		{"PATCH", OPERATION_KUBE_PATCH},
		{"DELETE", OPERATION_KUBE_DELETE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (slice_equal_string(method, methods[i].method))
			return methods[i].operation;
	}
	return OPERATION_COUNT;
}

/* What is an operation of its own, whatever the method. */
static const struct {
	const char *subresource;
	enum operation operation;
} streams[] = {
	{"exec", OPERATION_KUBE_EXEC},
	{"attach", OPERATION_KUBE_ATTACH},
	{"portforward", OPERATION_KUBE_PORTFORWARD},
	{"proxy", OPERATION_KUBE_PROXY},
	{"log", OPERATION_KUBE_LOGS},
};

static enum operation operation_of_subresource(struct slice subresource)
{
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		if (slice_equal_string(subresource, streams[i].subresource))
			return streams[i].operation;
	}
	return OPERATION_COUNT;
}

/* --- objects --- */

/* These are parts of the object itself. */
static bool is_own_subresource(struct slice subresource)
{
	return subresource.length == 0 || slice_equal_string(subresource, "scale") ||
		slice_equal_string(subresource, "status") ||
		operation_of_subresource(subresource) != OPERATION_COUNT;
}

/* There is room. */
static struct slice write_object(const struct kubernetes_path *p, struct buffer *room)
{
	size_t start = buffer_length(room);

	if (p->namespace.length)
		buffer_append_format(room, "%.*s/", SLICE_PRINT(p->namespace));
	buffer_append_slice(room, p->resource);
	if (p->group.length)
		buffer_append_format(room, ".%.*s", SLICE_PRINT(p->group));
	if (!is_own_subresource(p->subresource))
		buffer_append_format(room, ":%.*s", SLICE_PRINT(p->subresource));
	buffer_append_byte(room, '/');
	if (p->name.length)
		buffer_append_slice(room, p->name);
	else
		buffer_append_byte(room, '*');
	return slice_from(buffer_slice(room), start);
}

/* --- paths --- */

/* Clients read it before they ask for anything, and there is nothing in it of what runs. */
static const char *const discovery[] = {
	"/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"};

static bool is_discovery(struct slice path)
{
	for (size_t i = 0; i < ARRAY_SIZE(discovery); i++) {
		struct slice prefix = slice_from_string(discovery[i]);

		if (slice_starts_with(path, prefix) &&
			(path.length == prefix.length || path.data[prefix.length] == '/'))
			return true;
	}
	return false;
}

static void read_no_resource(enum operation operation, struct slice path, struct http_pairs *ret)
{
	if (operation == OPERATION_KUBE_GET && is_discovery(path))
		operation = OPERATION_KUBE_DISCOVERY;
	add(ret, operation, path);
}

/* A get without a name. */
static void read_list(const struct kubernetes_request *r, struct kubernetes_path *p,
	struct buffer *room, struct http_pairs *ret)
{
	struct kubernetes_list list;
	struct slice object;

	kubernetes_list_read(r->query, room, &list);
	p->name = list.name;
	object = write_object(p, room);
	if (p->watches || list.watch || list.maybe_watch)
		add(ret, OPERATION_KUBE_WATCH, object);
	if (!p->watches && (!list.watch || list.maybe_watch))
		add(ret, OPERATION_KUBE_LIST, object);
}

/* "http:web:80" → "web" (k8s.io/apimachinery/pkg/util/net, SplitSchemeNamePort). As it came: it is
 * not one of these. */
static struct slice without_scheme_and_port(struct slice name)
{
	const uint8_t *first = name.length ? memchr(name.data, ':', name.length) : NULL, *second;
	struct slice rest;

	if (!first)
		return name;
	rest = slice_from(name, (size_t)(first - name.data) + 1);
	second = rest.length ? memchr(rest.data, ':', rest.length) : NULL;
	if (!second)
		return slice_head(name, (size_t)(first - name.data));
	if (memchr(second + 1, ':', rest.length - (size_t)(second - rest.data) - 1))
		return name;
	return slice_head(rest, (size_t)(second - rest.data));
}

/* What is reached has its scheme and port in the name: rules that mean the pod mean it by any. */
static void add_proxied(struct kubernetes_path *p, struct buffer *room, struct http_pairs *ret)
{
	struct slice name = without_scheme_and_port(p->name);

	if (slice_equal(name, p->name))
		return;
	p->name = name;
	add(ret, OPERATION_KUBE_PROXY, write_object(p, room));
}

static void read_resource(const struct kubernetes_request *r, enum operation operation,
	struct kubernetes_path *p, struct buffer *room, struct http_pairs *ret)
{
	enum operation own =
		p->proxies ? OPERATION_KUBE_PROXY : operation_of_subresource(p->subresource);
	struct slice object;

	if (own != OPERATION_COUNT)
		operation = own;
	else if (p->watches && operation == OPERATION_KUBE_GET)
		operation = OPERATION_KUBE_WATCH;
	if (p->name.length == 0 && operation == OPERATION_KUBE_GET) {
		read_list(r, p, room, ret);
		return;
	}
	if (p->name.length == 0 && operation == OPERATION_KUBE_DELETE)
		operation = OPERATION_KUBE_DELETECOLLECTION;
	object = write_object(p, room);
	add(ret, operation, object);
	if (operation == OPERATION_KUBE_PROXY)
		add_proxied(p, room, ret);
	/* What is not there, a server-side apply makes. */
	if (operation == OPERATION_KUBE_PATCH && r->applies)
		add(ret, OPERATION_KUBE_CREATE, object);
}

/* Whether a segment is one that is resolved, however it is encoded: the API server reads it as a
 * name. */
static bool is_dots(struct slice segment)
{
	size_t dots = 0;

	while (segment.length) {
		bool encoded = segment.length >= 3 &&
			text_equal_ignore_case(slice_head(segment, 3), slice_from_string("%2e"));

		if (!encoded && segment.data[0] != '.')
			return false;
		segment = slice_from(segment, encoded ? 3 : 1);
		dots++;
	}
	return dots == 1 || dots == 2;
}

static bool has_dots(struct slice path)
{
	while (path.length) {
		const uint8_t *slash = memchr(path.data, '/', path.length);
		struct slice segment = slash ? slice_head(path, (size_t)(slash - path.data)) : path;

		if (is_dots(segment))
			return true;
		path = slice_from(path, segment.length + 1);
	}
	return false;
}

void kubernetes_pairs_read(
	const struct kubernetes_request *r, struct buffer *room, struct http_pairs *ret)
{
	enum operation operation = operation_of_method(r->method);
	struct http_path readings;
	struct kubernetes_path path;
	const char *problem;
	uint8_t *space;

	*ret = (struct http_pairs){.count = 0};
	/* So that nothing moves. */
	if (buffer_reserve(room, 8 * r->path.length + 2 * r->query.length + 512, &space) < 0) {
		not_understood(ret, "the path is too long");
		return;
	}
	http_path_read(r->path, room, &readings);
	if (readings.problem || readings.count != 1 || has_dots(r->path))
		not_understood(ret,
			readings.problem ? readings.problem
					 : "a path that servers read differently");
	else if (operation == OPERATION_COUNT)
		not_understood(ret, "a method that the API does not have");
	else if (!kubernetes_path_read(readings.readings[0], &path, &problem))
		not_understood(ret, problem);
	else if (path.is_resource)
		read_resource(r, operation, &path, room, ret);
	else
		read_no_resource(operation, readings.readings[0], ret);
}

void kubernetes_pairs_add_spdy(struct http_pairs *p)
{
	size_t count = p->count;

	for (size_t i = 0; i < count && p->count < HTTP_PAIRS_MOST; i++) {
		if (p->items[i].operation == OPERATION_KUBE_PROXY)
			add(p, OPERATION_KUBE_PROXY_SPDY, p->items[i].object);
	}
}

/* --- as people write it --- */

/* "exec https://host/api/…", as recordings have it: the method is not what decides. */
static struct slice method_of_word(struct slice word)
{
	enum operation operation = operation_from_name(word, PROTOCOL_KUBERNETES);

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		if (streams[i].operation == operation)
			return slice_from_string("POST");
	}
	return word;
}

void kubernetes_pairs_of_line(struct slice text, struct buffer *room, struct http_pairs *ret)
{
	struct slice line = slice_take_until(&text, '\n');
	struct slice word = slice_take_until(&line, ' '), where = slice_take_until(&line, ' ');
	struct http_target target;
	struct kubernetes_request r = {.method = method_of_word(word)};

	*ret = (struct http_pairs){.count = 0};
	if (where.length && where.data[0] != '/' && !memmem(where.data, where.length, "://", 3) &&
		operation_from_name(word, PROTOCOL_KUBERNETES) != OPERATION_COUNT) {
		add(ret, operation_from_name(word, PROTOCOL_KUBERNETES), where);
		return;
	}
	if (where.length == 0 || !http_target_read(r.method, where, &target) ||
		target.form != HTTP_TARGET_PATH) {
		not_understood(ret,
			"expected a verb and an object, as \"get prod/pods/web\", or a method and "
			"a path");
		return;
	}
	r.path = target.path;
	r.query = http_target_query(where);
	kubernetes_pairs_read(&r, room, ret);
	/* The headers that were shown, as a recording has them. */
	while ((line = slice_take_until(&text, '\n')).length) {
		if (text_equal_ignore_case(line, slice_from_string("upgrade: SPDY/3.1")))
			kubernetes_pairs_add_spdy(ret);
	}
}
