/* SPDX-License-Identifier: Apache-2.0
 *
 * facts: what a request does, as policy judges it: operation, path and place; and its text as
 * people see it.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/dialect.h"
#include "protocol/http/path.h"

static bool fail(struct http_problem *ret, unsigned status, const char *text)
{
	*ret = (struct http_problem){status, text};
	return false;
}

bool http_request_bar(
	struct http_request *r, unsigned status, const char *text, struct http_problem *ret)
{
	if (!r->host->observes)
		return fail(ret, status, text);
	if (!r->barred.status)
		r->barred = (struct http_problem){status, text};
	return true;
}

/* --- where it goes --- */

/* The one Host, which must agree with the target's authority where it has one. */
static bool read_authority(struct http_request *r, const struct http_target *target,
	struct http_authority *ret, struct http_problem *ret_problem)
{
	struct http_authority named;
	size_t count;
	const struct http_field *host = http_fields_find(&r->head.fields, "host", &count);

	if (count > 1)
		return fail(ret_problem, 400, "more than one Host");
	if (!host && (r->head.minor == 1 || !r->origin->sni[0]))
		return fail(ret_problem, 400, "no Host");
	*ret = (struct http_authority){.host = slice_from_string(r->origin->sni)};
	if (host && !http_authority_read(host->value, ret))
		return fail(ret_problem, 400, "a Host that is no name or address");
	if (target->authority.length == 0)
		return true;
	if (!http_authority_read(target->authority, &named))
		return fail(ret_problem, 400, "a target whose host is no name or address");
	if (host && (!text_equal_ignore_case(named.host, ret->host) || named.port != ret->port))
		return fail(ret_problem, 400, "a target and a Host that differ");
	*ret = named;
	return true;
}

static void copy_lower(char *to, struct slice from)
{
	for (size_t i = 0; i < from.length; i++) {
		uint8_t c = from.data[i];

		to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	to[from.length] = '\0';
}

static bool is_own_host(struct slice host)
{
	return text_equal_ignore_case(host, slice_from_string("localhost")) ||
		slice_equal_string(host, "::1") ||
		slice_starts_with(host, slice_from_string("127."));
}

/* Where what serves many places behind one address reads Host, it is to be that of the place which
 * was dialled, and judged. */
static void take_dialled_host(struct http_request *r)
{
	struct slice address = slice_from_string(r->host->address), name;
	struct http_authority said, dialled;
	size_t count;
	const struct http_field *host = http_fields_find(&r->head.fields, "host", &count);

	if (!r->origin->dialect->passes_own_host || !r->origin->tls || count != 1 ||
		!http_authority_read(host->value, &said) || !is_own_host(said.host) ||
		!http_authority_read(address, &dialled) || dialled.port == 0)
		return;
	name = r->origin->sni[0] ? slice_from_string(r->origin->sni) : dialled.host;
	if (text_equal_ignore_case(said.host, name) &&
		(said.port == 0 || said.port == dialled.port))
		return;
	snprintf(r->dialled, sizeof(r->dialled),
		memchr(name.data, ':', name.length) ? "[%.*s]:%u" : "%.*s:%u", SLICE_PRINT(name),
		dialled.port);
	r->head.fields.items[host - r->head.fields.items].value = slice_from_string(r->dialled);
}

/* SNI, Host and the place that was dialled must mean the same. */
static bool check_place(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	struct http_authority authority;

	r->name[0] = '\0';
	if (!r->host->observes)
		take_dialled_host(r);
	if (!read_authority(r, target, &authority, ret))
		return http_request_bar(r, ret->status, ret->text, ret);
	copy_lower(r->name, authority.host);
	if (r->origin->sni[0] && r->name[0] && strcmp(r->origin->sni, r->name) != 0)
		return http_request_bar(
			r, 421, "the TLS connection was made for another name than Host", ret);
	if (r->host->place &&
		r->host->place(r->host, slice_from_string(r->name), authority.port,
			r->origin->tls && r->origin->sni[0]) < 0)
		return http_request_bar(
			r, 421, "Host names another place than the one that was dialled", ret);
	return true;
}

/* --- what it does --- */

/* Frameworks let these replace the path, so both are judged. */
static const char *const path_headers[] = {"x-original-url", "x-rewrite-url"};

static bool replaces_path(const struct http_field *field)
{
	return http_field_is_one_of(field, path_headers, ARRAY_SIZE(path_headers));
}

/* For all paths of the request at once: what is read of one would move with the next. */
static int reserve_paths(struct http_request *r, struct slice path)
{
	const struct http_fields *fields = &r->head.fields;
	size_t bytes = path.length;
	uint8_t *space;

	for (size_t i = 0; i < fields->count; i++) {
		if (replaces_path(&fields->items[i]))
			bytes += fields->items[i].value.length;
	}
	return buffer_reserve(&r->paths, HTTP_PATH_ROOM * bytes, &space);
}

/* Which of these headers the server reads is not known: each method may be meant with each path. */
static void add_overrides(struct http_request *r, enum operation operation)
{
	const struct http_fields *fields = &r->head.fields;
	size_t readings;

	for (size_t i = 0; i < fields->count; i++) {
		if (replaces_path(&fields->items[i]))
			http_pairs_add_path(&r->pairs, operation,
				http_target_path(fields->items[i].value), &r->paths);
	}
	readings = r->pairs.count;
	for (size_t i = 0; i < fields->count; i++) {
		enum operation as = http_operation_of(fields->items[i].value);

		for (size_t j = 0; http_field_replaces_method(&fields->items[i]) && j < readings;
			j++)
			http_pairs_add_as(&r->pairs, as, &r->pairs.items[j]);
	}
}

bool http_asks_for_websocket(const struct http_request *r)
{
	size_t upgrades;
	const struct http_field *upgrade = http_fields_find(&r->head.fields, "upgrade", &upgrades);

	return upgrades == 1 && slice_equal_string(r->head.method, "GET") && r->head.minor == 1 &&
		text_equal_ignore_case(upgrade->value, slice_from_string("websocket")) &&
		http_fields_list_has(&r->head.fields, "connection", slice_from_string("upgrade"));
}

/* A Host may be there too, and must not name another. */
bool http_request_read_beyond(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	struct http_authority named;
	struct http_beyond beyond;
	size_t count;
	const struct http_field *host = http_fields_find(&r->head.fields, "host", &count);
	char text[HTTP_NAME_MOST + 8];

	if (!http_beyond_read(target->authority, &r->beyond))
		return fail(ret, 400, "a CONNECT to what is not one place");
	if (count > 1)
		return fail(ret, 400, "more than one Host");
	if (host && host->value.length < HTTP_NAME_MOST &&
		http_authority_read(host->value, &named)) {
		snprintf(text, sizeof(text), named.port ? "%.*s" : "%.*s:%u",
			SLICE_PRINT(host->value), r->beyond.port);
		if (http_beyond_read(slice_from_string(text), &beyond) &&
			strcmp(beyond.name, r->beyond.name) == 0 && beyond.port == r->beyond.port)
			host = NULL;
	}
	return !host || fail(ret, 400, "a target and a Host that differ");
}

static bool read_plain(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	enum operation operation = http_operation_of(r->head.method);

	if (target->form == HTTP_TARGET_AUTHORITY) {
		if (!http_request_read_beyond(r, target, ret))
			return false;
		http_pairs_add_beyond(&r->pairs, &r->beyond, &r->paths);
		return true;
	}
	r->websocket = http_asks_for_websocket(r);
	if (r->websocket)
		operation = OPERATION_HTTP_WEBSOCKET;
	if (reserve_paths(r, target->path) < 0)
		return fail(ret, 431, "a request that is too large");
	if (target->form == HTTP_TARGET_PATH)
		http_pairs_add_path(&r->pairs, operation, target->path, &r->paths);
	else
		http_pairs_add(&r->pairs, operation);
	add_overrides(r, operation);
	r->is_written = http_request_may_write_back(r);
	return true;
}

static struct http_stream *open_messages(
	const struct http_request *r, struct event_queue *events, const char **ret_problem)
{
	(void)ret_problem;
	return http_messages_new(r, events);
}

const struct http_dialect http_plain = {.protocol = PROTOCOL_HTTP,
	.read = read_plain,
	.open_stream = open_messages,
	.refuse = http_refusal_write};

static bool read_pairs(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	buffer_clear(&r->paths);
	r->pairs = (struct http_pairs){.count = 0};
	if (!r->origin->dialect->read(r, target, ret))
		return false;
	r->action.pairs = r->pairs.items;
	r->action.pair_count = r->own_pairs = r->pairs.count;
	r->action.unknown = r->pairs.unknown;
	r->action.problem = r->pairs.problem;
	return true;
}

void http_facts_add_get(struct http_request *r)
{
	if (!r->websocket)
		return;
	r->pairs.count = r->own_pairs;
	for (size_t i = 0; i < r->own_pairs; i++) {
		const struct action_pair *pair = &r->pairs.items[i];
		struct action_pair get = *pair;

		get.operation = OPERATION_HTTP_GET;
		if (pair->operation == OPERATION_HTTP_WEBSOCKET && r->host->restricts &&
			r->host->restricts(r->host, &get, pair))
			http_pairs_add_as(&r->pairs, OPERATION_HTTP_GET, pair);
	}
	r->action.pair_count = r->pairs.count;
	r->action.unknown = r->pairs.unknown;
	r->action.problem = r->pairs.problem;
}

/* --- its text --- */

/* What people are shown of a request besides its first line; never what lets somebody in. */
static const char *const shown_headers[] = {
	"content-type",
	"content-length",
	"transfer-encoding",
	"content-encoding",
	"content-range",
	"range",
	"if-match",
	"upgrade",
	"x-http-method-override",
	"x-http-method",
	"x-method-override",
	"x-original-url",
	"x-rewrite-url",
	"soapaction",
	"x-amz-target",
	"destination",
};

static bool is_shown(const struct http_field *field)
{
	return http_field_is_one_of(field, shown_headers, ARRAY_SIZE(shown_headers));
}

static int write_text(struct http_request *request, const struct http_target *target)
{
	const struct http_head *m = &request->head;
	size_t count;
	const struct http_field *host = http_fields_find(&m->fields, "host", &count);
	int r;

	buffer_clear(&request->text);
	/* A stream is the same whichever transport it is asked for over, with whatever method. */
	r = buffer_append_slice(&request->text,
		request->streams
			? slice_from_string(operation_name(request->pairs.items[0].operation))
			: m->method);
	if (r == 0)
		r = buffer_append_byte(&request->text, ' ');
	if (r == 0 && target->authority.length == 0)
		r = buffer_append_string(
			&request->text, request->origin->tls ? "https://" : "http://");
	if (r == 0 && target->authority.length == 0 && host)
		r = buffer_append_slice(&request->text, host->value);
	if (r == 0)
		r = buffer_append_slice(&request->text, m->target);
	if (r == 0 && request->origin->dialect->describe)
		r = request->origin->dialect->describe(request);
	for (size_t i = 0; r == 0 && i < m->fields.count; i++) {
		const struct http_field *field = &m->fields.items[i];

		if (is_shown(field) && !request->streams)
			r = buffer_append_format(&request->text, "\n%.*s: %.*s",
				SLICE_PRINT(field->name), SLICE_PRINT(field->value));
	}
	return r;
}

/* --- the whole --- */

/* What a field that is named there would be taken away by the next server's side: not what decides
 * how the request is read. */
static bool check_connection(struct http_request *r, struct http_problem *ret)
{
	static const char *const kept[] = {"host", "content-length", "transfer-encoding",
		"content-type", "content-encoding", "authorization", "cookie", "expect", "trailer"};
	bool names = http_fields_find(&r->head.fields, "connection", NULL);

	for (size_t i = 0; names && i < ARRAY_SIZE(kept); i++) {
		if (http_fields_list_has(&r->head.fields, "connection", slice_from_string(kept[i])))
			return http_request_bar(
				r, 400, "a Connection that names what must stay", ret);
	}
	/* Nor anything else that people are shown and decide about. */
	for (size_t i = 0; i < r->head.fields.count; i++) {
		const struct http_field *field = &r->head.fields.items[i];

		if (http_field_is_disguised(field))
			return http_request_bar(r, 400,
				"a header with \"_\" for \"-\" that some servers read", ret);
		if (names && is_shown(field) && !http_field_is_of_connection(field) &&
			http_fields_list_has(&r->head.fields, "connection", field->name))
			return http_request_bar(
				r, 400, "a Connection that names what must stay", ret);
	}
	return true;
}

static bool check_expect(struct http_request *r, struct http_problem *ret)
{
	size_t count;
	const struct http_field *expect = http_fields_find(&r->head.fields, "expect", &count);
	bool other = count > 1 ||
		(count &&
			!text_equal_ignore_case(expect->value, slice_from_string("100-continue")));

	r->expects = count > 0 && !other && r->head.minor == 1;
	return !other || http_request_bar(r, 417, "an Expect other than \"100-continue\"", ret);
}

static bool wants_close(const struct http_head *m)
{
	if (m->minor == 0)
		return !http_fields_list_has(
			&m->fields, "connection", slice_from_string("keep-alive"));
	return http_fields_list_has(&m->fields, "connection", slice_from_string("close"));
}

bool http_facts_read(struct http_request *r, struct http_problem *ret)
{
	struct http_target target;

	r->action = (struct action){.protocol = r->origin->dialect->protocol};
	r->websocket = r->spdy = r->streams = r->forwards = false;
	r->terminal = r->archives = false;
	r->in_lines = r->as_json = r->is_written = r->copies = false;
	r->barred.status = 0;
	http_request_forget_writing(r);
	r->body = (struct protocol_value){.data = SLICE_EMPTY};
	r->has_trailers = r->is_decoded = false;
	r->collected = r->too_large = r->tunnels = r->continued = r->masked = r->records = false;
	r->number = 0;
	r->interims = 0;
	r->beyond.port = 0;
	r->minor = r->head.minor;
	r->to_head = slice_equal_string(r->head.method, "HEAD");
	r->nests_errors = http_request_nests_errors(r);
	r->closes = wants_close(&r->head);
	if (!http_target_read(r->head.method, r->head.target, &target))
		return fail(ret, 400, "a target that this method can't have");
	if (!check_connection(r, ret) || !check_expect(r, ret))
		return false;
	/* What CONNECT names is behind the place that was dialled. What no dialect reads as one is
	 * none. */
	r->tunnels = target.form == HTTP_TARGET_AUTHORITY;
	if (!r->tunnels && !check_place(r, &target, ret))
		return false;
	if (!read_pairs(r, &target, ret))
		return false;
	if (write_text(r, &target) < 0)
		return fail(ret, 431, "a request that is too large");
	r->action.text = buffer_slice(&r->text);
	return true;
}

void http_facts_of_hello(struct http_request *r)
{
	r->pairs = (struct http_pairs){.count = 0};
	http_pairs_add(&r->pairs, OPERATION_CONNECT);
	r->action = (struct action){
		.protocol = r->origin->dialect->protocol, .pairs = r->pairs.items, .pair_count = 1};
	r->tunnels = true;
	buffer_clear(&r->text);
	/* Far below the buffer's limit. */
	buffer_append_format(&r->text, "TLS for %s, relayed unread",
		r->origin->sni[0] ? r->origin->sni : "the address that was dialled");
	r->action.text = buffer_slice(&r->text);
}
