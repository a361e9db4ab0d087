/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a policy image: refused, or a policy that can be used and written again.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "policy/explain.h"
#include "policy/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct policy *p, const struct policy_agent *agent, uint32_t resource)
{
	static const struct action_pair pairs[] = {
		{.operation = OPERATION_SELECT,
			.state = OBJECT_KNOWN,
			.object = {(const uint8_t *)"a.b.c", 5}},
		{.operation = OPERATION_CONNECT},
	};
	struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = pairs, .pair_count = 2};
	struct policy_subject subject = {.agent = agent,
		.principal = &principal_none,
		.resource = resource,
		.protocol = PROTOCOL_POSTGRES};
	struct policy_scope *s = policy_scope_get(p, &subject);

	for (unsigned unknown = 0; unknown < 8; unknown++) {
		struct buffer text;
		struct verdict v;

		action.unknown = unknown;
		policy_judge(s, &action, &v);
		buffer_init(&text, 1 << 20);
		if (v.kind != VERDICT_ALLOW)
			verdict_text(&v, &action, &text);
		mask_rules_find_column(
			v.outcome->masks, pairs[0].object, pairs[0].object, pairs[0].object, NULL);
		buffer_done(&text);
	}
	policy_scope_put(s);
}

static void use(struct policy *p)
{
	struct policy_candidate candidates[8];
	struct address a = {{0}};

	for (unsigned port = 0; port < 3; port++) {
		size_t count = policy_match_address(p, &a, (uint16_t)port, candidates, 8);

		policy_narrow(
			p, slice_from_string("a.example.com"), (uint16_t)port, candidates, count);
	}
	for (size_t i = 0; i < p->address_count && i < 8; i++)
		policy_match_address(p, &p->addresses[i].address, 1, candidates, 1);
	for (size_t i = 0; i < p->agent_count && i < 4; i++)
		judge(p, &p->agents[i], i % 2 ? POLICY_EGRESS : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy *p = NULL;
	struct error e = {""};

	if (policy_open(data, size, &p, &e) == 0) {
		struct buffer again;

		buffer_init(&again, LIMIT_POLICY_IMAGE);
		if (policy_encode(p, &again) < 0 ||
			!slice_equal(buffer_slice(&again), slice_of(data, size)))
			abort(); /* one policy has one image */
		use(p);
		buffer_done(&again);
		policy_put(p);
	} else if (e.text[0] == '\0') {
		abort();
	}
	return 0;
}
