/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy_explain.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/recordings.h"
#include "monitor/control.h"
#include "policy/config.h"
#include "protocol/http/request.h"
#include "protocol/kubernetes/kubernetes.h"

#define VERB "policy explain"
#define SCHEMAS_MOST 32
#define GROUPS_MOST 256

struct explain {
	const struct cli *cli;
	const char *agent, *resource, *principal, *groups, *exe, *config, *search_path;
	bool batch;
	const char *text;
	struct policy *policy;
	int status; /* what the command returns */
};

#define TOO_MUCH "it names too much"

void explanation_refuse(struct explanation *x, enum reason reason, const char *why)
{
	x->verdict.kind = VERDICT_DENY;
	x->verdict.reason = reason;
	x->verdict.as = SLICE_EMPTY;
	x->refusal = why;
}

/* What rules alone don't decide: texts beyond the limits, and columns that could be masked only by
 * not running the text. */
static void explanation_refine(struct explanation *x)
{
	const struct mask_rules *masks = x->verdict.outcome->masks;
	enum sql_status status = sql_text_status(x->text);
	struct sql_lineage lineage = {0};

	if (x->verdict.reason == REASON_NOT_UNDERSTOOD &&
		(status == SQL_TOO_LONG || status == SQL_TOO_DEEP))
		explanation_refuse(x, REASON_TOO_LONG, x->action.problem);
	if (x->verdict.kind == VERDICT_DENY || masks->column_count == 0)
		return;
	if (sql_trace(x->text, x->view, masks, &x->arena, &lineage) < 0)
		explanation_refuse(x, REASON_TOO_LONG, TOO_MUCH);
	else if (lineage.refusal)
		explanation_refuse(x, REASON_MASKED_COLUMN, lineage.refusal);
}

static void resolve_sql(struct explanation *x, struct slice text)
{
	struct sql_resolution facts = {0};

	x->text = sql_text_parse(text);
	x->action.unknown = ACTION_UNKNOWN_TEXT;
	if (sql_text_status(x->text) != SQL_PARSED) {
		x->action.problem = sql_text_problem(x->text);
	} else if (sql_resolve(x->text, x->view, &x->arena, &facts) < 0) {
		x->action.problem = TOO_MUCH;
	} else {
		x->action.pairs = facts.pairs;
		x->action.pair_count = facts.pair_count;
		x->action.unknown = facts.unknown;
		x->action.alone = sql_text_is_alone(x->text);
		x->action.problem = facts.problem;
	}
}

static void resolve_web(struct explanation *x, struct slice text)
{
	if (x->action.protocol == PROTOCOL_KUBERNETES)
		kubernetes_pairs_of_line(text, &x->paths, &x->http);
	else
		http_pairs_of_line(text, &x->paths, &x->http);
	x->action.pairs = x->http.items;
	x->action.pair_count = x->http.count;
	x->action.unknown = x->http.unknown;
	x->action.problem = x->http.problem;
	http_body_of_text(text, &x->action.body);
}

void explanation_init(struct explanation *x, struct policy_scope *scope,
	const struct sql_view *view, struct slice text)
{
	*x = (struct explanation){.scope = scope, .view = view};
	arena_init(&x->arena, LIMIT_SESSION_ARENA);
	buffer_init(&x->paths, LIMIT_SESSION_ARENA);
	x->action = (struct action){
		.protocol = policy_scope_subject(scope)->protocol,
		.text = text,
	};
	if (x->action.protocol == PROTOCOL_POSTGRES)
		resolve_sql(x, text);
	else if (x->action.protocol == PROTOCOL_SSH)
		explanation_resolve_command(x, text);
	else
		resolve_web(x, text);
	policy_judge(scope, &x->action, &x->verdict);
	if (x->text)
		explanation_refine(x);
	if (x->action.protocol == PROTOCOL_SSH)
		explanation_refine_command(x);
}

void explanation_done(struct explanation *x)
{
	sql_text_put(x->text);
	explanation_drop_command(x);
	buffer_done(&x->paths);
	arena_done(&x->arena);
}

int explanation_text(const struct explanation *x, struct buffer *ret)
{
	if (x->refusal)
		return refusal_text(x->verdict.reason, slice_from_string(x->refusal), ret);
	if (x->verdict.kind == VERDICT_ALLOW)
		return 0;
	return verdict_text(&x->verdict, &x->action, ret);
}

/* "a,b" into slices of the text; their number, at most `most`. */
static size_t split(const char *text, struct slice *ret, size_t most)
{
	struct slice rest = slice_from_string(text);
	size_t count = 0;

	while (rest.length && count < most) {
		const uint8_t *comma = memchr(rest.data, ',', rest.length);
		size_t length = comma ? (size_t)(comma - rest.data) : rest.length;

		if (length)
			ret[count++] = slice_head(rest, length);
		rest = slice_from(rest, length + 1);
	}
	return count;
}

static int explain_one(struct policy_scope *scope, const struct sql_view *view, struct explain *e)
{
	struct explanation x;
	int status;

	explanation_init(&x, scope, view, slice_from_string(e->text));
	if (e->cli->json)
		explanation_print_json(&x, true);
	else
		explanation_print(&x);
	status = x.verdict.kind == VERDICT_ALLOW ? CLI_DONE : CLI_REFUSED;
	explanation_done(&x);
	return status;
}

/* cJSON ends texts at "\u0000", and would hide what stands behind it. */
static bool holds_escaped_nul(const char *line)
{
	for (const char *p = line; *p; p++) {
		if (*p != '\\')
			continue;
		if (strncmp(p + 1, "u0000", 5) == 0)
			return true;
		if (*++p == '\0')
			return false;
	}
	return false;
}

/* The text of one JSON string, or NULL with what is wrong. */
static cJSON *parse_line(const char *line, size_t length, const char **ret_problem)
{
	cJSON *json;

	*ret_problem = "expected one JSON string per line";
	if (memchr(line, '\0', length) || !text_is_utf8(slice_of(line, length)))
		return NULL;
	if (holds_escaped_nul(line)) {
		*ret_problem = "a NUL byte can't stand in a statement";
		return NULL;
	}
	json = cJSON_ParseWithLengthOpts(line, length + 1, NULL, true);
	if (cJSON_IsString(json))
		return json;
	cJSON_Delete(json);
	return NULL;
}

static void explain_line(
	struct policy_scope *scope, const struct sql_view *view, const char *line, size_t length)
{
	const char *problem;
	cJSON *text = parse_line(line, length, &problem);

	if (text) {
		struct explanation x;

		explanation_init(&x, scope, view, slice_from_string(text->valuestring));
		explanation_print_json(&x, false);
		explanation_done(&x);
		cJSON_Delete(text);
	} else {
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(object, "error", problem);
		cli_json_print_line(object);
	}
}

static int explain_batch(struct policy_scope *scope, const struct sql_view *view)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	while ((length = getline(&line, &size, stdin)) >= 0) {
		if (length && line[length - 1] == '\n')
			line[--length] = '\0';
		explain_line(scope, view, line, (size_t)length);
	}
	free(line);
	if (fflush(stdout) != 0 || ferror(stdout) || ferror(stdin))
		return cli_fail(VERB, CLI_REFUSED, "reading or writing failed");
	return CLI_DONE;
}

/* The ends of the session that would send the text. */
static int find_subject(struct explain *e, struct policy_subject *ret)
{
	const struct policy_resource *resource =
		policy_find_resource(e->policy, slice_from_string(e->resource));

	ret->agent = policy_find_agent_name(e->policy, slice_from_string(e->agent));
	ret->resource = resource ? policy_resource_index(e->policy, resource) : POLICY_EGRESS;
	ret->protocol = resource ? resource->protocol : PROTOCOL_POSTGRES;
	if (!ret->agent)
		return cli_fail(VERB, CLI_REFUSED, "there is no agent \"%s\"", e->agent);
	if (!resource && strcmp(e->resource, CONFIG_EGRESS) != 0)
		return cli_fail(VERB, CLI_REFUSED, "there is no resource \"%s\"", e->resource);
	if (ret->protocol != PROTOCOL_POSTGRES && ret->protocol != PROTOCOL_HTTP &&
		ret->protocol != PROTOCOL_KUBERNETES && ret->protocol != PROTOCOL_SSH)
		return cli_fail(VERB, CLI_REFUSED, "resource \"%s\" is %s, which has no statements",
			e->resource, protocol_name(ret->protocol));
	return CLI_DONE;
}

static int explain(struct explain *e)
{
	struct slice groups[GROUPS_MOST], schemas[SCHEMAS_MOST] = {slice_from_string("pg_catalog")};
	struct principal principal = {.known = true,
		.name = slice_from_string(e->principal),
		.groups = groups,
		.group_count = split(e->groups, groups, GROUPS_MOST)};
	struct sql_view view = {.assume = true, .path = schemas};
	struct slice hash = rule_exe_hash(slice_from_string(e->exe));
	struct policy_subject subject = {.principal = &principal,
		.exe = hash.length ? SLICE_EMPTY : slice_from_string(e->exe),
		.exe_hash = hash};
	struct policy_scope *scope;
	int status = find_subject(e, &subject);

	if (status != CLI_DONE)
		return status;
	view.path_count = 1 + split(e->search_path, schemas + 1, SCHEMAS_MOST - 1);
	scope = policy_scope_get(e->policy, &subject);
	status = e->batch ? explain_batch(scope, &view) : explain_one(scope, &view, e);
	policy_scope_put(scope);
	return status;
}

static void *explain_on_thread(void *argument)
{
	struct explain *e = argument;

	e->status = explain(e);
	return NULL;
}

/* Parsing SQL needs more stack than a process has by default. */
static int explain_on_large_stack(struct explain *e)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r = pthread_attr_init(&attributes);

	if (r == 0) {
		r = pthread_attr_setstacksize(&attributes, LIMIT_PARSER_STACK);
		if (r == 0)
			r = pthread_create(&thread, &attributes, explain_on_thread, e);
		pthread_attr_destroy(&attributes);
	}
	if (r != 0)
		return cli_fail(VERB, CLI_REFUSED, "no stack of %u bytes: %s", LIMIT_PARSER_STACK,
			strerror(r));
	pthread_join(thread, NULL);
	return e->status;
}

static int fetch_policy(const char *socket, struct policy **ret)
{
	int fds[CONTROL_DESCRIPTORS_MOST];
	struct control_client client;
	struct buffer payload;
	size_t fd_count = 0;
	struct error e;
	int r = control_open(&client, socket, &e);

	if (r == 0) {
		buffer_init(&payload, CONTROL_PAYLOAD_MOST);
		r = control_call(
			&client, CONTROL_POLICY, SLICE_EMPTY, &payload, fds, &fd_count, &e);
		if (r == 0 && fd_count == 0)
			r = error_set(&e, -EBADMSG, "the daemon sent no policy");
		if (r == 0)
			r = policy_open_descriptor(fds[0], ret, &e);
		for (size_t i = 0; i < fd_count; i++)
			close(fds[i]);
		buffer_done(&payload);
		control_close(&client);
	}
	if (r < 0)
		cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	return r;
}

int policy_explain(const struct cli *cli, int argc, char **argv)
{
	struct explain e = {.cli = cli, .search_path = "public"};
	const struct cli_option options[] = {
		{"--agent", &e.agent, NULL},
		{"--resource", &e.resource, NULL},
		{"--principal", &e.principal, NULL},
		{"--groups", &e.groups, NULL},
		{"--exe", &e.exe, NULL},
		{"--config", &e.config, NULL},
		{"--search-path", &e.search_path, NULL},
		{"--batch", NULL, &e.batch},
	};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));
	int status;

	if (words != !e.batch || !e.agent || !e.resource) {
		fputs(policy_help, stderr);
		return CLI_USAGE;
	}
	e.text = argv[1];
	if ((e.config ? policy_from_config(VERB, e.config, NULL, 0, &e.policy)
		      : fetch_policy(cli->socket, &e.policy)) < 0)
		return CLI_REFUSED;
	status = explain_on_large_stack(&e);
	policy_put(e.policy);
	return status;
}
