/* SPDX-License-Identifier: Apache-2.0
 *
 * fields: which headers and trailers go on.
 */
#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/credentials.h"
#include "protocol/http/request.h"

/* Of either direction; what is still wanted of them is written anew. */
static const char *const of_connection[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"};
static const char *const of_request[] = {"http2-settings"};
/* Alt-Svc would move the agent to where nobody judges. */
static const char *const of_response[] = {"alt-svc"};

static bool is_disguised(struct slice name, const char *wanted)
{
	char plain[64];

	if (name.length >= sizeof(plain))
		return false;
	for (size_t i = 0; i < name.length; i++)
		plain[i] = name.data[i] == '_' ? '-' : (char)name.data[i];
	return text_equal_ignore_case(slice_of(plain, name.length), slice_from_string(wanted));
}

bool http_field_is_of_connection(const struct http_field *field)
{
	return http_field_is_one_of(field, of_connection, ARRAY_SIZE(of_connection)) ||
		http_field_is_one_of(field, of_request, ARRAY_SIZE(of_request));
}

/* Whether it belongs to the connection that it came by, as nearly all heads say of nothing else. */
static bool is_hop_by_hop(const struct http_fields *fields, const struct http_field *field)
{
	return http_field_is_one_of(field, of_connection, ARRAY_SIZE(of_connection)) ||
		http_fields_list_has(fields, "connection", field->name);
}

/* What would have the server send a part of the content, or a coding of it. */
static const char *const unmaskable[] = {"accept-encoding", "range", "if-range"};

/* Whether a name is one of a list's, as signatures write lists. */
static bool is_listed(struct slice list, const char *name, const char *separators)
{
	size_t length = strlen(name);

	while (list.length) {
		const uint8_t *found = memmem(list.data, list.length, name, length);
		struct slice rest;

		if (!found)
			return false;
		rest = slice_from(list, (size_t)(found - list.data) + length);
		if ((found == list.data || strchr(separators, found[-1])) &&
			(rest.length == 0 || strchr(separators, rest.data[0])))
			return true;
		list = rest;
	}
	return false;
}

/* What stands behind `begin`, up to `end` or its own end; empty: that does not stand there. */
static struct slice list_behind(struct slice value, const char *begin, char end)
{
	const uint8_t *found =
		value.length ? memmem(value.data, value.length, begin, strlen(begin)) : NULL;
	const uint8_t *stop;

	if (!found)
		return SLICE_EMPTY;
	value = slice_from(value, (size_t)(found - value.data) + strlen(begin));
	stop = value.length ? memchr(value.data, end, value.length) : NULL;
	return stop ? slice_head(value, (size_t)(stop - value.data)) : value;
}

/* AWS's and Google's in Authorization, or in the query, where ";" is mostly "%3B". */
static bool is_in_signed_headers(struct slice value, char end, const char *name)
{
	return is_listed(list_behind(value, "SignedHeaders=", end), name, ";%Bb ");
}

/* Signatures say which headers they cover: one of those must stay as it is. Those of AWS, RFC 9421,
 * and of the drafts before it ("headers=\"date digest\""). */
static bool is_signed(const struct http_request *r, const char *name)
{
	const struct http_fields *fields = &r->head.fields;

	for (size_t i = 0; i < fields->count; i++) {
		const struct http_field *field = &fields->items[i];
		bool authorization = http_field_is(field, "authorization");

		/* What is replaced signs nothing. */
		if (authorization && http_credentials_replace(&r->host->credentials, field->name))
			continue;
		if (authorization && is_in_signed_headers(field->value, ',', name))
			return true;
		if (http_field_is(field, "signature-input") && is_listed(field->value, name, "\""))
			return true;
		if ((authorization || http_field_is(field, "signature")) &&
			is_listed(list_behind(field->value, "headers=\"", '"'), name, " "))
			return true;
	}
	return is_in_signed_headers(http_target_query(r->head.target), '&', name);
}

/* What has a server compare its content with an ETag, which often is a sum of it: who can make one
 * of each value that could stand there would learn from 200, 304 or 412 which does. An ETag of what
 * is masked is told to nobody, and a read loses nothing. */
static const char *const comparing[] = {"if-none-match", "if-match", "if"};
static const char *const method_headers[] = {
	"x-http-method-override", "x-http-method", "x-method-override"};

bool http_field_replaces_method(const struct http_field *field)
{
	return http_field_is_one_of(field, method_headers, ARRAY_SIZE(method_headers));
}

static bool is_read(struct slice method)
{
	return text_equal_ignore_case(method, slice_from_string("GET")) ||
		text_equal_ignore_case(method, slice_from_string("HEAD"));
}

/* Whether a method is meant that reads, or (`reads` false) one that doesn't. */
static bool may_be(const struct http_request *r, bool reads)
{
	const struct http_fields *fields = &r->head.fields;

	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_replaces_method(&fields->items[i]) &&
			is_read(fields->items[i].value) == reads)
			return true;
	}
	return is_read(r->head.method) == reads;
}

static bool compares(const struct http_request *r, const struct http_field *field)
{
	return http_field_is_one_of(field, comparing, ARRAY_SIZE(comparing)) && may_be(r, true);
}

const char *http_request_comparing_problem(const struct http_request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparing); i++) {
		size_t count;
		const struct http_field *field =
			http_fields_find(&r->head.fields, comparing[i], &count);

		if (!field || !compares(r, field))
			continue;
		if (is_signed(r, comparing[i]))
			return "denied: what is masked can't be compared, and a signature covers "
			       "that";
		/* Left out, it would be written over anything. */
		if (may_be(r, false))
			return "denied: what is masked can't be compared, and a header names "
			       "another method";
	}
	return NULL;
}

static bool is_unmaskable(const struct http_request *r, const struct http_field *field)
{
	if (!r->masked)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(unmaskable); i++) {
		if (http_field_is(field, unmaskable[i]))
			return !is_signed(r, unmaskable[i]);
	}
	return compares(r, field);
}

bool http_request_keeps(const struct http_request *r, const struct http_field *field)
{
	return !is_hop_by_hop(&r->head.fields, field) &&
		!http_field_is_one_of(field, of_request, ARRAY_SIZE(of_request)) &&
		!is_unmaskable(r, field) &&
		!http_credentials_replace(&r->host->credentials, field->name) &&
		!(r->continued && http_field_is(field, "expect")) &&
		!(r->websocket && http_field_is(field, "sec-websocket-extensions")) &&
		!(http_request_accept(r).length && http_field_is(field, "accept"));
}

const char *http_request_coding(const struct http_request *r)
{
	return r->masked && !is_signed(r, "accept-encoding") ? "identity" : NULL;
}

/* What no longer holds of a content in which something is masked. */
static const char *const of_content[] = {"content-length", "content-encoding", "content-range",
	"etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges",
	"trailer", "signature", "signature-input", "x-goog-hash", "x-ms-blob-content-md5",
	"x-ms-content-crc64"};
/* Sums of stores, by algorithm: their SDKs compare them. */
static const char *const sums_of_content[] = {"x-amz-checksum-", "x-checksum-"};

static bool is_of_content(const struct http_field *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(sums_of_content); i++) {
		struct slice begin = slice_from_string(sums_of_content[i]);

		if (text_equal_ignore_case(slice_head(field->name, begin.length), begin))
			return true;
	}
	return http_field_is_one_of(field, of_content, ARRAY_SIZE(of_content));
}

bool http_response_keeps(const struct http_request *r, const struct http_field *field)
{
	/* RFC 9110, 8.6: none of these has a length. */
	bool no_length = r->status < 200 || r->status == 204 || (r->beyond.port && r->status < 300);

	return !is_hop_by_hop(&r->head.fields, field) &&
		!http_field_is_one_of(field, of_response, ARRAY_SIZE(of_response)) &&
		!(r->masked && is_of_content(field)) &&
		!(no_length && http_field_is(field, "content-length"));
}

/* RFC 9110, 6.5.1: what decides how a message is read, or whether, can't come behind it. */
static const char *const never_trailers[] = {"content-length", "host", "content-encoding",
	"content-type", "content-range", "trailer", "authorization", "cookie", "set-cookie",
	"expect", "range", "if-range", "if-match", "if-none-match", "if", "te", "alt-svc",
	"x-original-url", "x-rewrite-url"};

/* Of requests, besides those that never are trailers. */
static const char *const judged[] = {"soapaction", "x-amz-target", "destination", "accept-encoding",
	"sec-websocket-key", "x-stream-protocol-version"};

static bool is_one_of_disguised(
	const struct http_field *field, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_disguised(field->name, names[i]))
			return true;
	}
	return false;
}

bool http_field_is_disguised(const struct http_field *field)
{
	if (!memchr(field->name.data, '_', field->name.length))
		return false;
	return is_one_of_disguised(field, of_connection, ARRAY_SIZE(of_connection)) ||
		is_one_of_disguised(field, never_trailers, ARRAY_SIZE(never_trailers)) ||
		is_one_of_disguised(field, method_headers, ARRAY_SIZE(method_headers)) ||
		is_one_of_disguised(field, judged, ARRAY_SIZE(judged));
}

bool http_trailer_is_kept(const struct http_request *r, const struct http_field *field)
{
	return !http_field_is_one_of(field, of_connection, ARRAY_SIZE(of_connection)) &&
		!http_field_is_one_of(field, never_trailers, ARRAY_SIZE(never_trailers)) &&
		!http_field_replaces_method(field) && !http_field_is_disguised(field) &&
		!http_credentials_replace(&r->host->credentials, field->name);
}
