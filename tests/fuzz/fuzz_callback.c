/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser of Slack's callbacks. What it accepts has ended texts and names that are ours; what a
 * dialog carries comes back as it was given.
 */
#include <assert.h>
#include <stdlib.h>

#include "broker/callback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static bool ends(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct callback c;

	if (length > CALLBACK_BODY_MOST || callback_parse(slice_of(data, length), &c) < 0)
		return 0;
	assert(ends(c.user, sizeof(c.user)) && ends(c.reason, sizeof(c.reason)));
	assert(ends(c.response_url, sizeof(c.response_url)) && ends(c.trigger, sizeof(c.trigger)));
	assert(ends(c.action, sizeof(c.action)));
	if (c.kind == CALLBACK_OTHER)
		return 0;
	assert(c.user[0] && c.action[0]);
	assert(identifier_is_valid(slice_from_string(c.review.text), 'r'));
	assert(c.verdict == BROKER_APPROVE || c.verdict == BROKER_DENY);
	assert(c.verdict == BROKER_APPROVE || c.grant == 0);
	return 0;
}
