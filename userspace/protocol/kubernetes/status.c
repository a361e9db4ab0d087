/* SPDX-License-Identifier: Apache-2.0
 *
 * status: a refusal as the API's Status object (meta/v1), which clients print as the API server's
 * own. The rule and the review stand in its details.
 */
#include "base/memory.h"
#include "protocol/http/dialect.h"
#include "protocol/kubernetes/kubernetes.h"

static const char *reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{400, "BadRequest"},
		{403, "Forbidden"},
		{413, "RequestEntityTooLarge"},
		{500, "InternalError"},
		{502, "ServiceUnavailable"},
		{503, "ServiceUnavailable"},
		{504, "Timeout"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "BadRequest";
}

static int put_cause(struct buffer *out, const char *reason, const char *field, struct slice text)
{
	int r;

	if (text.length == 0)
		return 0;
	r = buffer_append_format(
		out, ", {\"reason\": \"%s\", \"field\": \"%s\", \"message\": ", reason, field);
	if (r == 0)
		r = http_refusal_put_string(out, text);
	return r < 0 ? r : buffer_append_byte(out, '}');
}

int kubernetes_status_write(
	struct buffer *out, unsigned status, const struct protocol_refusal *refusal)
{
	const char *error = reason_get(refusal->reason)->metric;
	int r = buffer_append_string(out,
		"{\"kind\": \"Status\", \"apiVersion\": \"v1\", \"metadata\": {}, "
		"\"status\": \"Failure\", \"message\": ");

	if (r == 0)
		r = http_refusal_put_message(out, refusal);
	if (r == 0)
		r = buffer_append_format(out,
			", \"reason\": \"%s\", \"details\": {\"causes\": [{\"reason\": \"%s\"}",
			reason_of(status), error);
	if (r == 0)
		r = put_cause(out, error, "rule", refusal->rule);
	if (r == 0)
		r = put_cause(out, error, "review", refusal->review);
	return r < 0 ? r : buffer_append_format(out, "]}, \"code\": %u}\n", status);
}
