/* SPDX-License-Identifier: Apache-2.0
 *
 * Explanations, for people and for programs.
 */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/policy_explain.h"
#include "cli/recordings.h"
#include "policy/body.h"
#include "policy/explain.h"

#define LABEL_WIDTH "%-10s"
#define SENTENCE_MOST 65536

#define FACTS_MOST 6 /* that may be unknown */

static const char *const rule_kinds[RULE_KIND_COUNT] = {
	[RULE_ALLOW] = "allow",
	[RULE_REVIEW] = "review",
	[RULE_DENY] = "deny",
};

static bool asks_for_unknown_body(const struct explanation *x)
{
	struct body *body = body_read(&x->action.body);
	bool known = body_is_known(body);

	body_free(body);
	return !known && policy_wants_body(x->scope, &x->action);
}

/* What a rule says, and the facts that are not known. Strings are static. */
static size_t list_unknown(const struct explanation *x, const char *ret[FACTS_MOST])
{
	const struct policy_subject *subject = policy_scope_subject(x->scope);
	const struct policy *p = policy_scope_policy(x->scope);
	bool object = x->action.unknown & ACTION_UNKNOWN_OBJECT;
	size_t count = 0;

	for (size_t i = 0; i < x->action.pair_count; i++)
		object |= x->action.pairs[i].state == OBJECT_UNKNOWN;
	if (x->action.unknown & ACTION_UNKNOWN_TEXT)
		ret[count++] = "text";
	if (object)
		ret[count++] = "object";
	if (x->action.unknown & ACTION_UNKNOWN_EFFECT)
		ret[count++] = "effect";
	if (asks_for_unknown_body(x))
		ret[count++] = "body";
	if (!subject->principal->known)
		ret[count++] = "principal";
	if ((subject->exe.length == 0 && p->asks_exe) ||
		(subject->exe_hash.length == 0 && p->asks_exe_hash))
		ret[count++] = "exe";
	return count;
}

/* For programs */

static bool has_string(const cJSON *list, const char *text)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		if (strcmp(item->valuestring, text) == 0)
			return true;
	}
	return false;
}

static void add_once(cJSON *list, struct slice text)
{
	cJSON *item = json_text(text);

	if (has_string(list, item->valuestring))
		cJSON_Delete(item);
	else
		cJSON_AddItemToArray(list, item);
}

static void add_facts(cJSON *object, const struct explanation *x)
{
	cJSON *operations = cJSON_AddArrayToObject(object, "operations");
	cJSON *objects = cJSON_AddArrayToObject(object, "objects");
	cJSON *unknown = cJSON_AddArrayToObject(object, "unknown");
	const char *facts[FACTS_MOST];
	size_t count = list_unknown(x, facts);

	for (size_t i = 0; i < x->action.pair_count; i++) {
		const struct action_pair *pair = &x->action.pairs[i];

		add_once(operations, slice_from_string(operation_name(pair->operation)));
		if (pair->state != OBJECT_NONE)
			add_once(objects, pair->object);
	}
	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(unknown, cJSON_CreateString(facts[i]));
}

static void add_masks(cJSON *object, const struct mask_rules *masks)
{
	cJSON *list = cJSON_AddArrayToObject(object, "masks");

	for (size_t i = 0; i < masks->column_count; i++) {
		const struct mask_column *column = &masks->columns[i];
		cJSON *mask = cJSON_CreateObject();

		cJSON_AddItemToObject(mask, "column", json_text(column->pattern));
		cJSON_AddStringToObject(mask, "with", mask_strategy_name(column->strategy));
		cJSON_AddStringToObject(mask, "filter", column->filter_allowed ? "allow" : "deny");
		cJSON_AddItemToArray(list, mask);
	}
	for (size_t i = 0; i < masks->json_count; i++) {
		cJSON *mask = cJSON_CreateObject();

		cJSON_AddItemToObject(mask, "json", json_text(masks->json[i].path));
		cJSON_AddStringToObject(mask, "with", mask_strategy_name(masks->json[i].strategy));
		cJSON_AddItemToArray(list, mask);
	}
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		cJSON *mask;

		if (masks->detectors[i] == MASK_NONE)
			continue;
		mask = cJSON_CreateObject();
		cJSON_AddStringToObject(mask, "detect", detector_name((enum detector)i));
		cJSON_AddStringToObject(mask, "with", mask_strategy_name(masks->detectors[i]));
		cJSON_AddItemToArray(list, mask);
	}
	if (masks->binary != MASK_BINARY_SEARCH) {
		cJSON *mask = cJSON_CreateObject();

		cJSON_AddStringToObject(mask, "binary", mask_binary_name(masks->binary));
		cJSON_AddItemToArray(list, mask);
	}
}

static void add_reports(cJSON *object, const struct explanation *x)
{
	const struct policy *policy = policy_scope_policy(x->scope);
	cJSON *list = cJSON_AddArrayToObject(object, "why");

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		cJSON *item = cJSON_CreateObject();
		struct rule_report report;

		policy_explain_rule(x->scope, rule, &x->action, &report);
		cJSON_AddItemToObject(item, "rule", json_text(rule->name));
		cJSON_AddStringToObject(item, "kind", rule_kinds[rule->kind]);
		cJSON_AddItemToObject(item, "file", json_text(rule->file));
		cJSON_AddNumberToObject(item, "line", rule->line);
		cJSON_AddStringToObject(item, "match", rule_match_text(report.match));
		if (report.unknown)
			cJSON_AddStringToObject(item, "unknown", report.unknown);
		cJSON_AddItemToArray(list, item);
	}
}

void explanation_print_json(const struct explanation *x, bool whole)
{
	cJSON *object = cJSON_CreateObject(), *rules;
	struct buffer sentence;

	buffer_init(&sentence, SENTENCE_MOST);
	cJSON_AddStringToObject(object, "verdict", verdict_kind_name(x->verdict.kind));
	rules = cJSON_AddArrayToObject(object, "rules");
	for (size_t i = 0; i < x->verdict.outcome->rule_count; i++)
		cJSON_AddItemToArray(rules, json_text(x->verdict.outcome->rules[i]->name));
	add_facts(object, x);
	add_masks(object, x->verdict.outcome->masks);
	if (x->verdict.as.length)
		json_add_text(object, "as", x->verdict.as);
	if (explanation_text(x, &sentence) == 0)
		json_add_text(object, "text", buffer_slice(&sentence));
	cJSON_AddBoolToObject(object, "enforced", verdict_is_enforced(&x->verdict));
	if (whole)
		add_reports(object, x);
	cli_json_print_line(object);
	buffer_done(&sentence);
}

/* For people */

static void print_verdict(const struct explanation *x)
{
	static const char *const colours[VERDICT_KIND_COUNT] = {
		[VERDICT_ALLOW] = "\033[32m",
		[VERDICT_REVIEW] = "\033[33m",
		[VERDICT_DENY] = "\033[31m",
	};
	bool coloured = isatty(STDOUT_FILENO);
	struct buffer sentence;

	buffer_init(&sentence, SENTENCE_MOST);
	printf("%s%s%s", coloured ? colours[x->verdict.kind] : "",
		verdict_kind_name(x->verdict.kind), coloured ? "\033[0m" : "");
	if (explanation_text(x, &sentence) == 0 && buffer_length(&sentence)) {
		printf(": ");
		cli_print_line(stdout, buffer_slice(&sentence));
	}
	puts(verdict_is_enforced(&x->verdict) ? "" : " (mode observe: recorded, not enforced)");
	buffer_done(&sentence);
}

static void print_pair(const struct action_pair *pair)
{
	printf("%s", operation_name(pair->operation));
	if (pair->state == OBJECT_NONE)
		return;
	printf(" on ");
	cli_print_line(stdout, pair->object);
	if (pair->state == OBJECT_UNKNOWN)
		printf(" (not known which)");
	if (pair->everything)
		printf(" (all of it)");
}

static void print_action(const struct explanation *x)
{
	const char *facts[FACTS_MOST];
	size_t count = list_unknown(x, facts);

	for (size_t i = 0; i < x->action.pair_count; i++) {
		printf(LABEL_WIDTH, i ? "" : "does");
		print_pair(&x->action.pairs[i]);
		putchar('\n');
	}
	for (size_t i = 0; i < count; i++)
		printf(LABEL_WIDTH "%s\n", i ? "" : "unknown", facts[i]);
}

static void print_masks(const struct mask_rules *masks)
{
	const char *label = "masks";

	for (size_t i = 0; i < masks->column_count; i++, label = "") {
		printf(LABEL_WIDTH, label);
		cli_print_line(stdout, masks->columns[i].pattern);
		printf(": %s, %s\n", mask_strategy_name(masks->columns[i].strategy),
			masks->columns[i].filter_allowed ? "usable in filters"
							 : "not usable in filters");
	}
	for (size_t i = 0; i < masks->json_count; i++, label = "") {
		printf(LABEL_WIDTH, label);
		cli_print_line(stdout, masks->json[i].path);
		printf(": %s\n", mask_strategy_name(masks->json[i].strategy));
	}
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (masks->detectors[i] == MASK_NONE)
			continue;
		printf(LABEL_WIDTH "whatever looks like %s: %s\n", label,
			detector_name((enum detector)i), mask_strategy_name(masks->detectors[i]));
		label = "";
	}
	if (masks->binary != MASK_BINARY_SEARCH)
		printf(LABEL_WIDTH "content that is binary: %s\n", label,
			mask_binary_name(masks->binary));
}

static void print_role(struct slice as)
{
	if (as.length == 0)
		return;
	printf(LABEL_WIDTH, "runs as");
	cli_print_line(stdout, as);
	putchar('\n');
}

/* What matches comes first; rules for others are only counted. */
static void print_rules(const struct explanation *x)
{
	const struct policy *policy = policy_scope_policy(x->scope);
	const char *label = "rules";
	size_t others = 0;

	for (int match = RULE_MATCH_COUNT - 1; match >= 0; match--) {
		for (size_t i = 0; i < policy->rule_count; i++) {
			const struct policy_rule *rule = &policy->rules[i];
			struct rule_report report;

			policy_explain_rule(x->scope, rule, &x->action, &report);
			if ((int)report.match != match)
				continue;
			if (match <= RULE_MATCH_OTHER_PROGRAM) {
				others++;
				continue;
			}
			printf(LABEL_WIDTH "\"", label);
			cli_print_line(stdout, rule->name);
			printf("\" (%s, ", rule_kinds[rule->kind]);
			cli_print_line(stdout, rule->file);
			printf(":%u) %s%s%s", rule->line, rule_match_text(report.match),
				report.unknown ? ": the " : "",
				report.unknown ? report.unknown : "");
			if (report.match == RULE_MATCH_YES && report.pair) {
				printf(": ");
				print_pair(report.pair);
			}
			putchar('\n');
			label = "";
		}
	}
	if (others)
		printf(LABEL_WIDTH
			"%zu for other agents, resources, principals, groups or programs\n",
			label, others);
	if (policy->rule_count == 0)
		printf(LABEL_WIDTH "none\n", label);
}

void explanation_print(const struct explanation *x)
{
	print_verdict(x);
	print_action(x);
	print_masks(x->verdict.outcome->masks);
	print_role(x->verdict.as);
	print_rules(x);
}
