/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a configuration with rules: messages or a policy, and a policy that judges the same
 * before and after its image.
 */
#include "policy/explain.h"
#include "policy/private.h"
#include "tests/unit/policy_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct action_pair pairs[] = {
	{.operation = OPERATION_SELECT,
		.state = OBJECT_KNOWN,
		.object = {(const uint8_t *)"a.b", 3}},
	{.operation = OPERATION_INSERT,
		.state = OBJECT_UNKNOWN,
		.object = {(const uint8_t *)"b", 1}},
	{.operation = OPERATION_DROP,
		.state = OBJECT_KNOWN,
		.object = {(const uint8_t *)"a.b.c", 5}},
	{.operation = OPERATION_DO},
	{.operation = OPERATION_TRANSACTION},
	{.operation = OPERATION_CONNECT},
};

static void judge_all(struct policy *p, const struct policy_subject *subject)
{
	struct policy_scope *s = policy_scope_get(p, subject);

	for (size_t i = 0; i < 4 * ARRAY_SIZE(pairs); i++) {
		struct action action = {
			.protocol = subject->protocol,
			.pairs = &pairs[i / 4],
			.pair_count = 1,
			.unknown = (i & 1 ? ACTION_UNKNOWN_TEXT : 0u) |
				(i & 2 ? ACTION_UNKNOWN_EFFECT : 0u),
		};
		struct rule_report report;
		struct buffer text;
		struct verdict v;

		policy_judge(s, &action, &v);
		buffer_init(&text, 65536);
		if (v.kind != VERDICT_ALLOW && verdict_text(&v, &action, &text) < 0)
			abort();
		for (size_t j = 0; j < p->rule_count; j++)
			policy_explain_rule(s, &p->rules[j], &action, &report);
		buffer_done(&text);
	}
	policy_scope_put(s);
}

static void use(struct policy *p)
{
	static const enum protocol_id protocols[] = {
		PROTOCOL_POSTGRES, PROTOCOL_TCP, PROTOCOL_HTTP};
	struct principal unknown = {.known = false};

	for (size_t i = 0; i < p->agent_count && i < 4; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(protocols); j++) {
			struct policy_subject subject = {.agent = &p->agents[i],
				.principal = j == 1 ? &unknown : &principal_none,
				.resource = p->resource_count ? 0 : POLICY_EGRESS,
				.protocol = protocols[j]};

			judge_all(p, &subject);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diagnostics d;
	struct config *c = config_new("fuzz");
	struct node *root;

	diagnostics_init(&d);
	root = node_read(&c->arena, c->file, slice_of(data, size), &d);
	if (root)
		c = policy_test_load(c, root, c->file, &d);
	if (root && c) {
		struct policy *p = policy_test_open(c, NULL, 0);
		const char **names;

		if (!p)
			abort(); /* what the checks let through has an image, and it opens */
		use(p);
		policy_put(p);
		config_list_names(c, &names);
		free(names);
	} else if (d.errors == 0) {
		abort(); /* a refusal without a reason */
	}
	if (!root || c)
		config_free(c);
	diagnostics_done(&d);
	return 0;
}
