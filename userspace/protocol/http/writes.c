/* SPDX-License-Identifier: Apache-2.0
 *
 * writes: requests that would write back what stood in the place of masked values: in the query, or
 * in the content, without its codings.
 */
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/coding.h"
#include "protocol/http/request.h"

#define WRITTEN_BACK                                                                               \
	"denied: it holds what stood in the place of a masked value, and would write it back"
#define UNREADABLE                                                                                 \
	"denied: its content is in a coding that can't be read, and might write a masked value "   \
	"back"

bool http_request_may_write_back(const struct http_request *r)
{
	if (!r->host->masks_contents)
		return false;
	for (size_t i = 0; i < r->pairs.count; i++) {
		if (operation_get_group(r->pairs.items[i].operation) == OPERATION_GROUP_WRITE)
			return true;
	}
	return false;
}

static bool is_form(const struct http_fields *fields)
{
	struct slice form = slice_from_string("application/x-www-form-urlencoded");

	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_is(&fields->items[i], "content-type") &&
			text_equal_ignore_case(
				slice_head(fields->items[i].value, form.length), form))
			return true;
	}
	return false;
}

/* AWS's chunks have signatures between them; what they carry stands there as it is. */
static bool is_aws_chunked(const struct http_fields *fields)
{
	size_t count;
	const struct http_field *coding = http_fields_find(fields, "content-encoding", &count);

	return count == 1 &&
		text_equal_ignore_case(coding->value, slice_from_string("aws-chunked"));
}

void http_request_forget_writing(struct http_request *r)
{
	http_decoder_free(r->writes.decoder);
	r->writes = (struct http_writes){.form = false};
}

static const char *begin(struct http_request *r)
{
	struct http_written query = {.length = 0};
	struct http_codings codings = {.count = 0};

	http_request_forget_writing(r);
	r->writes.form = is_form(&r->head.fields);
	if (r->has_body && !is_aws_chunked(&r->head.fields) &&
		http_codings_read(&r->head.fields, &codings) < 0)
		return UNREADABLE;
	if (r->has_body && codings.count) {
		r->writes.decoder = http_decoder_new(&codings);
		if (!r->writes.decoder)
			return UNREADABLE;
	}
	return http_written_find_encoded(&query, http_target_query(r->head.target)) ? WRITTEN_BACK
										    : NULL;
}

const char *http_request_begin_writing(struct http_request *r)
{
	const char *why;

	r->is_written &= !r->host->passes_masked;
	why = r->is_written ? begin(r) : NULL;
	if (why)
		http_request_stop_looking(r); /* it is said once */
	return why;
}

static bool holds_masked(struct http_writes *w, struct slice content)
{
	return w->form ? http_written_find_encoded(&w->found, content)
		       : http_written_find(&w->found, content);
}

/* Where decoded content goes. */
struct looked_at {
	struct http_decoded decoded;
	struct http_writes *writes;
};

static int look_at(struct http_decoded *d, struct slice content)
{
	return holds_masked(container_of(d, struct looked_at, decoded)->writes, content) ? -EPERM
											 : 0;
}

static const char *look_at_content(struct http_writes *w, struct slice content)
{
	struct looked_at to = {.decoded.take = look_at, .writes = w};
	int error;

	if (!w->decoder)
		return holds_masked(w, content) ? WRITTEN_BACK : NULL;
	error = http_decoder_take(w->decoder, content, false, &to.decoded);
	return error == 0 ? NULL : error == -EPERM ? WRITTEN_BACK : UNREADABLE;
}

const char *http_request_content_problem(struct http_request *r, struct slice content)
{
	const char *why = r->is_written ? look_at_content(&r->writes, content) : NULL;

	if (why)
		http_request_stop_looking(r);
	return why;
}

void http_request_stop_looking(struct http_request *r)
{
	r->is_written = !r->host->observes;
	if (!r->is_written)
		http_request_forget_writing(r);
}

size_t http_request_held(const struct http_request *r)
{
	size_t held = buffer_length(&r->content) + buffer_length(&r->decoded);

	return r->writes.decoder ? held + http_decoder_memory(r->writes.decoder) : held;
}
