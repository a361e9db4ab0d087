/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_body: any bytes as a body that rules look into. An allow that its body satisfies is one that
 * a deny with the same paths fires for, too; what can't be read satisfies no allow and every deny;
 * and what is read once is read the same again.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "policy/body.h"

#define TEXT(text)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}

static struct slice values[] = {TEXT("a*"), TEXT("1"), TEXT("true")};
static struct policy_body bodies[] = {
	{TEXT("$.a"), {values, 3}},
	{TEXT("$.b.c"), {values, 3}},
	{TEXT("$.*[1].a"), {values, 3}},
	{TEXT("$.a[*]"), {values, 3}},
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void compare(struct body *b, size_t message)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		struct policy_rule allow = {
			.kind = RULE_ALLOW, .bodies = &bodies[i], .body_count = 1};
		struct policy_rule deny = allow;
		enum rule_fit fit = body_fit(b, message, &allow);

		deny.kind = RULE_DENY;
		check(fit != RULE_FITS || body_fit(b, message, &deny) == RULE_FITS);
		check(fit != RULE_FITS_PERHAPS || body_fit(b, message, &deny) != RULE_FITS_NOT);
		check(body_is_known(b) || fit == RULE_FITS_PERHAPS);
		check(body_fit(b, message, &allow) == fit);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum action_body_form forms[] = {BODY_JSON, BODY_FORM, BODY_NONE};
	struct action_body given;
	struct body *b;

	if (size == 0)
		return 0;
	given = (struct action_body){forms[data[0] % 3], slice_of(data + 1, size - 1)};
	b = body_read(&given);
	check(body_message_count(b) > 0);
	for (size_t i = 0; i < body_message_count(b); i++)
		compare(b, i);
	body_free(b);
	return 0;
}
