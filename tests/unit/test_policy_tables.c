/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the tables in tests/policy: each file is a configuration, rules, and cases with the verdict
 * that each must get. tests/policy/README.md explains the files.
 */
#include <criterion/criterion.h>
#include <glob.h>

#include "base/text.h"
#include "policy_test.h"

#define PAIRS_MOST 16

struct test_principal {
	struct place place;
	struct config_text name;
	struct config_texts groups;
	bool unknown;
};

struct test_case {
	struct place place;
	struct config_text why;
	struct config_text agent, resource;
	struct config_choice protocol; /* of resource egress */
	struct test_principal *principal;
	struct config_text exe, exe_sha256;
	struct config_texts action, unknown;
	struct config_text problem, json, form;
	struct config_choice verdict;
	struct config_texts rules;
	struct config_text text;
	struct config_texts masks, needs;
	struct config_number within, grant;
	struct config_text as;
	bool rows, secrets, masked_values, several;
};

struct test_file {
	struct place place;
	struct test_case *cases;
	size_t case_count;
};

#define KEY(object, name_, type_, member, ...)                                                     \
	{                                                                                          \
		.name = name_, .type = SCHEMA_##type_, .offset = offsetof(struct object, member),  \
		__VA_ARGS__                                                                        \
	}
#define CHOICES(...)                                                                               \
	.names = (const char *const[])                                                             \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static const struct schema_key principal_keys[] = {
	KEY(test_principal, "name", TEXT, name),
	KEY(test_principal, "groups", TEXTS, groups),
	KEY(test_principal, "unknown", FLAG, unknown),
};
static const struct schema principal_schema = {.what = "a principal",
	.size = sizeof(struct test_principal),
	.keys = principal_keys,
	.key_count = ARRAY_SIZE(principal_keys)};
static const struct schema_key case_keys[] = {
	KEY(test_case, "why", TEXT, why, .required = true),
	KEY(test_case, "agent", TEXT, agent),
	KEY(test_case, "resource", TEXT, resource),
	KEY(test_case, "protocol", CHOICE, protocol,
		CHOICES("tcp", "postgres", "mysql", "ssh", "http", "kubernetes", "udp")),
	KEY(test_case, "principal", MAPPING, principal, .schema = &principal_schema),
	KEY(test_case, "exe", TEXT, exe),
	KEY(test_case, "exe_sha256", TEXT, exe_sha256),
	KEY(test_case, "action", TEXTS, action, .required = true),
	KEY(test_case, "unknown", TEXTS, unknown),
	KEY(test_case, "problem", TEXT, problem),
	KEY(test_case, "json", TEXT, json),
	KEY(test_case, "form", TEXT, form),
	KEY(test_case, "verdict", CHOICE, verdict, .required = true,
		CHOICES("allow", "review", "deny")),
	KEY(test_case, "rules", TEXTS, rules),
	KEY(test_case, "text", TEXT, text),
	KEY(test_case, "masks", TEXTS, masks),
	KEY(test_case, "needs", TEXTS, needs),
	KEY(test_case, "within", DURATION, within),
	KEY(test_case, "grant", DURATION, grant),
	KEY(test_case, "rows", FLAG, rows),
	KEY(test_case, "secrets", FLAG, secrets),
	KEY(test_case, "masked_values", FLAG, masked_values),
	KEY(test_case, "as", TEXT, as),
	KEY(test_case, "several", FLAG, several),
};
static const struct schema case_schema = {.what = "a case",
	.size = sizeof(struct test_case),
	.keys = case_keys,
	.key_count = ARRAY_SIZE(case_keys),
	.initial = &(const struct test_case){.protocol.value = PROTOCOL_POSTGRES}};
static const struct schema_key file_keys[] = {
	KEY(test_file, "cases", LIST, cases, .required = true, .schema = &case_schema,
		.count_offset = offsetof(struct test_file, case_count)),
};
static const struct schema file_schema = {.what = "a table of verdicts",
	.size = sizeof(struct test_file),
	.keys = file_keys,
	.key_count = ARRAY_SIZE(file_keys)};

/* One text out of several, to compare sets of words in one go. */
static char *join(const struct config_texts *texts)
{
	char *joined = memory_copy_string("");

	for (size_t i = 0; i < texts->count; i++) {
		char *longer = memory_format("%s%s%s", joined, i ? ", " : "", texts->items[i].text);

		free(joined);
		joined = longer;
	}
	return joined;
}

#define check_text(k, what, expected, found)                                                       \
	cr_expect(strcmp(expected, found) == 0, "%s:%u: %s: %s: expected \"%s\", not \"%s\"",      \
		(k)->place.file, (k)->place.line, (k)->why.text, what, expected, found)

static void check_rules(const struct test_case *k, const struct verdict *v)
{
	char *expected = join(&k->rules), *found = memory_copy_string("");

	for (size_t i = 0; i < v->outcome->rule_count; i++) {
		char *longer = memory_format(
			"%s%s%.*s", found, i ? ", " : "", SLICE_PRINT(v->outcome->rules[i]->name));

		free(found);
		found = longer;
	}
	check_text(k, "rules", expected, found);
	free(expected);
	free(found);
}

static void check_masks(const struct test_case *k, const struct verdict *v)
{
	const struct mask_rules *m = v->outcome->masks;
	char *expected = join(&k->masks);
	struct buffer found;

	buffer_init(&found, 65536);
	for (size_t i = 0; i < m->column_count; i++)
		buffer_append_format(&found, "%s%.*s %s%s", buffer_length(&found) ? ", " : "",
			SLICE_PRINT(m->columns[i].pattern),
			mask_strategy_name(m->columns[i].strategy),
			m->columns[i].filter_allowed ? " filter" : "");
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (m->detectors[i] != MASK_NONE)
			buffer_append_format(&found, "%s%s %s", buffer_length(&found) ? ", " : "",
				detector_name((enum detector)i),
				mask_strategy_name(m->detectors[i]));
	}
	if (m->binary != MASK_BINARY_SEARCH)
		buffer_append_format(&found, "%sbinary %s", buffer_length(&found) ? ", " : "",
			mask_binary_name(m->binary));
	buffer_append_byte(&found, '\0');
	check_text(k, "masks", expected, (const char *)buffer_slice(&found).data);
	free(expected);
	buffer_done(&found);
}

static void check_sentence(
	const struct test_case *k, const struct verdict *v, const struct action *action)
{
	struct buffer text;

	if (!k->text.text)
		return;
	buffer_init(&text, 65536);
	cr_expect(verdict_text(v, action, &text) == 0);
	buffer_append_byte(&text, '\0');
	check_text(k, "text", k->text.text, (const char *)buffer_slice(&text).data);
	buffer_done(&text);
}

static void check_needs(const struct test_case *k, const struct policy_scope *s)
{
	static const char *const names[] = {"operations", "objects", "columns", "body"};
	unsigned expected = 0;

	if (!k->needs.place.file)
		return;
	for (size_t i = 0; i < k->needs.count; i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(names); j++)
			expected |= strcmp(k->needs.items[i].text, names[j]) == 0 ? 1u << j : 0;
	}
	cr_expect_eq(policy_scope_needs(s), expected, "%s:%u: %s: needs", k->place.file,
		k->place.line, k->why.text);
}

static unsigned read_unknown(const struct test_case *k)
{
	unsigned unknown = 0;

	for (size_t i = 0; i < k->unknown.count; i++) {
		const char *name = k->unknown.items[i].text;

		if (strcmp(name, "text") == 0)
			unknown |= ACTION_UNKNOWN_TEXT;
		else if (strcmp(name, "effect") == 0)
			unknown |= ACTION_UNKNOWN_EFFECT;
		else if (strcmp(name, "body") != 0)
			cr_assert(
				false, "%s:%u: unknown \"%s\"", k->place.file, k->place.line, name);
	}
	return unknown;
}

static struct action_body read_body(const struct test_case *k)
{
	struct action_body body = {.form = BODY_NONE};

	for (size_t i = 0; i < k->unknown.count; i++) {
		if (strcmp(k->unknown.items[i].text, "body") == 0)
			body.form = BODY_UNKNOWN;
	}
	if (k->json.text)
		return (struct action_body){BODY_JSON, slice_from_string(k->json.text)};
	if (k->form.text)
		return (struct action_body){BODY_FORM, slice_from_string(k->form.text)};
	return body;
}

static struct principal read_principal(const struct test_case *k, struct slice *groups)
{
	const struct test_principal *p = k->principal;

	if (!p)
		return principal_none;
	for (size_t i = 0; i < p->groups.count; i++)
		groups[i] = slice_from_string(p->groups.items[i].text);
	return (struct principal){.known = !p->unknown,
		.name = slice_from_string(p->name.text),
		.groups = groups,
		.group_count = p->groups.count};
}

static struct policy_scope *find_scope(struct policy *p, const struct test_case *k)
{
	struct slice groups[PAIRS_MOST];
	struct principal principal = read_principal(k, groups);
	const struct policy_resource *r = p->resource_count ? &p->resources[0] : NULL;
	struct policy_subject subject = {.agent = &p->agents[0],
		.principal = &principal,
		.exe = slice_from_string(k->exe.text),
		.exe_hash = slice_from_string(k->exe_sha256.text)};

	if (k->agent.text)
		subject.agent = policy_find_agent_name(p, slice_from_string(k->agent.text));
	if (k->resource.text)
		r = policy_find_resource(p, slice_from_string(k->resource.text));
	subject.resource = r ? policy_resource_index(p, r) : POLICY_EGRESS;
	subject.protocol = r ? r->protocol : (enum protocol_id)k->protocol.value;
	cr_assert(subject.agent, "%s:%u: no such agent", k->place.file, k->place.line);
	return policy_scope_get(p, &subject);
}

static void check_numbers(const struct test_case *k, const struct verdict *v)
{
	if (k->within.place.file)
		cr_expect_eq(v->outcome->within, k->within.value, "%s:%u: within", k->place.file,
			k->place.line);
	if (k->verdict.value == VERDICT_REVIEW)
		cr_expect_eq(v->outcome->grant, k->grant.value, "%s:%u: grant", k->place.file,
			k->place.line);
	cr_expect_eq(v->outcome->record_rows, k->rows, "%s:%u: rows", k->place.file, k->place.line);
	cr_expect_eq(v->shows_secrets, k->secrets, "%s:%u: secrets", k->place.file, k->place.line);
	cr_expect_eq(v->passes_masked, k->masked_values, "%s:%u: masked values", k->place.file,
		k->place.line);
	cr_expect(slice_equal_string(v->as, k->as.text ? k->as.text : ""), "%s:%u: as %.*s",
		k->place.file, k->place.line, SLICE_PRINT(v->as));
}

static void run_case(struct policy *p, const struct test_case *k)
{
	struct policy_scope *s = find_scope(p, k);
	struct action_pair pairs[PAIRS_MOST];
	struct action action = {.protocol = policy_scope_subject(s)->protocol,
		.unknown = read_unknown(k),
		.pairs = pairs,
		.pair_count = k->action.count,
		.body = read_body(k),
		.alone = !k->several,
		.problem = k->problem.text};
	struct verdict v;

	cr_assert(k->action.count <= PAIRS_MOST);
	for (size_t i = 0; i < k->action.count; i++) {
		cr_assert(policy_test_pair(action.protocol, k->action.items[i].text, &pairs[i]),
			"%s:%u: no operation \"%s\"", k->place.file, k->place.line,
			k->action.items[i].text);
		if (pairs[i].state == OBJECT_UNKNOWN)
			action.unknown |= ACTION_UNKNOWN_OBJECT;
	}
	policy_judge(s, &action, &v);
	check_text(k, "verdict", verdict_kind_name((enum verdict_kind)k->verdict.value),
		verdict_kind_name(v.kind));
	check_rules(k, &v);
	check_masks(k, &v);
	check_sentence(k, &v, &action);
	check_needs(k, s);
	check_numbers(k, &v);
	policy_scope_put(s);
}

/* `policies` names files as they ship, to be judged by the table's configuration. */
static void add_policy_files(struct config *c, const struct node *root, struct diagnostics *d)
{
	const struct node *files = node_find(root, "policies");
	struct loader l = config_loader(c, d);

	for (const struct node *file = files ? files->first : NULL; file; file = file->next) {
		struct node *rules = node_read_file(&c->arena, file->text, d);

		if (rules)
			config_add_rules(c, &l, file->text, rules);
	}
}

static size_t run_file(const char *file)
{
	struct test_file content = {0};
	struct diagnostics d;
	struct config *c = config_new(file);
	struct node *root, *cases;
	struct policy *p;

	diagnostics_init(&d);
	root = node_read_file(&c->arena, c->file, &d);
	cr_assert(root, "%s can't be read", file);
	add_policy_files(c, root, &d);
	cases = (struct node *)node_find(root, "cases");
	if (cases) {
		struct loader l = config_loader(c, &d);
		struct node only = *cases, table = {.kind = NODE_MAPPING, .count = 1};

		only.next = NULL;
		table.first = &only;
		schema_read(&l, &file_schema, &table, &content);
	}
	c = policy_test_load(c, root, c->file, &d);
	diagnostics_print(&d, stderr);
	diagnostics_done(&d);
	cr_assert(c, "%s has mistakes", file);
	p = policy_test_open(c, NULL, 0);
	cr_assert(p);
	for (size_t i = 0; i < content.case_count; i++)
		run_case(p, &content.cases[i]);
	policy_put(p);
	config_free(c);
	return content.case_count;
}

Test(policy_tables, all)
{
	size_t cases = 0;
	glob_t found;

	cr_assert_eq(glob("tests/policy/*.yaml", 0, NULL, &found), 0,
		"run from the top folder of the sources");
	for (size_t i = 0; i < found.gl_pathc; i++) {
		size_t count = run_file(found.gl_pathv[i]);

		cr_expect(count, "%s has no cases", found.gl_pathv[i]);
		cases += count;
	}
	globfree(&found);
	cr_log_info("%zu cases", cases);
	cr_expect_gt(cases, 100);
}
