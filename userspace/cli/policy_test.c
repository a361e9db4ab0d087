/* SPDX-License-Identifier: Apache-2.0
 *
 * The facts of each action stand in its record, so nothing is parsed again: the verdict differs
 * only where the rules do. What was refused for reasons that rules don't decide (a masked column in
 * a filter, a disk that was full) is not compared.
 */
#include "cli/policy_test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "cli/policy_explain.h"
#include "cli/recordings.h"
#include "policy/config.h"
#include "protocol/http/request.h"
#include "recording/pair.h"
#include "recording/store.h"
#include "recording/value.h"

#define VERB "policy test"
#define PAIRS_MOST 4096
#define SENTENCE_MOST 65536
#define SHOWN_MOST 200 /* bytes of a statement, for people */

/* Actions whose verdict changes in the same way; of the first of them the text. */
struct change {
	enum record_verdict was;
	enum verdict_kind now;
	char *agent, *resource, *why, *session;
	struct slice text; /* a copy */
	uint64_t action, count;
};

struct test {
	const struct cli *cli;
	struct policy *policy;
	uint64_t actions, same, elsewhere, unknown;
	struct change *changes;
	size_t change_count;
	/* The session in hand. */
	const struct session_summary *session;
	struct policy_scope *scope; /* NULL: its agent or resource is not configured any more */
	char *agent, *resource;
};

/* --- the session --- */

static char *copy(struct slice text)
{
	return memory_copy_text(text.data, text.length);
}

static void leave_session(struct test *t)
{
	policy_scope_put(t->scope);
	free(t->agent);
	free(t->resource);
	t->scope = NULL;
	t->agent = NULL;
	t->resource = NULL;
}

static size_t read_groups(struct slice lines, struct slice ret[LIMIT_TOKEN_GROUPS])
{
	size_t count = 0;

	while (lines.length && count < LIMIT_TOKEN_GROUPS) {
		const uint8_t *end = memchr(lines.data, '\n', lines.length);
		size_t length = end ? (size_t)(end - lines.data) : lines.length;

		ret[count++] = slice_head(lines, length);
		lines = slice_from(lines, length + 1);
	}
	return count;
}

/* The ends of the session as they are recorded from here on. */
static void enter_session(struct test *t, const struct entry *facts)
{
	struct slice groups[LIMIT_TOKEN_GROUPS];
	struct principal principal = {.known = true, .groups = groups};
	struct policy_subject subject = {.principal = &principal};
	const struct policy_resource *resource;

	leave_session(t);
	t->agent = copy(entry_bytes(facts, FIELD_AGENT));
	t->resource = copy(entry_bytes(facts, FIELD_RESOURCE));
	principal.name = entry_bytes(facts, FIELD_PRINCIPAL);
	principal.group_count = read_groups(entry_bytes(facts, FIELD_GROUPS), groups);
	subject.exe = entry_bytes(facts, FIELD_EXE);
	subject.exe_hash = entry_bytes(facts, FIELD_EXE_HASH);
	subject.agent = policy_find_agent_name(t->policy, slice_from_string(t->agent));
	resource = policy_find_resource(t->policy, slice_from_string(t->resource));
	subject.resource = resource ? policy_resource_index(t->policy, resource) : POLICY_EGRESS;
	subject.protocol = resource ? resource->protocol
				    : protocol_from_name(entry_bytes(facts, FIELD_PROTOCOL));
	if (subject.protocol == PROTOCOL_COUNT)
		subject.protocol = PROTOCOL_TCP;
	if (subject.agent && (resource || strcmp(t->resource, CONFIG_EGRESS) == 0))
		t->scope = policy_scope_get(t->policy, &subject);
}

/* --- an action --- */

/* False: not all of it is in the record, or it is of a later version or another protocol. */
static bool read_pairs(const struct test *t, const struct entry *entry, struct action_pair *pairs,
	size_t *ret_count)
{
	enum protocol_id protocol = policy_scope_subject(t->scope)->protocol;
	size_t count = 0;

	for (size_t i = 0; i < entry->count; i++) {
		struct recorded_pair pair;

		if (entry->items[i].field == FIELD_PAIRS_MORE)
			return false;
		if (entry->items[i].field != FIELD_PAIR)
			continue;
		if (count == PAIRS_MOST || pair_decode(entry->items[i].bytes, &pair) < 0)
			return false;
		pairs[count] = (struct action_pair){operation_from_name(pair.operation, protocol),
			pair.state, pair.everything, pair.object};
		if (pairs[count++].operation == OPERATION_COUNT)
			return false;
	}
	*ret_count = count;
	return true;
}

/* Whether rules alone made that verdict. */
static bool rules_decided(const struct entry *entry)
{
	static const enum reason theirs[] = {
		REASON_DENIED_BY_RULE, REASON_NOT_COVERED, REASON_NOT_UNDERSTOOD};
	struct slice reason = entry_bytes(entry, FIELD_REASON);

	if (entry_number(entry, FIELD_VERDICT) != RECORD_VERDICT_DENY || reason.length == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(theirs); i++) {
		if (slice_equal_string(reason, reason_get(theirs[i])->metric))
			return true;
	}
	return false;
}

static bool is_same(enum record_verdict was, enum verdict_kind now)
{
	switch (now) {
	case VERDICT_ALLOW:
		return was == RECORD_VERDICT_ALLOW;
	case VERDICT_REVIEW:
		return was == RECORD_VERDICT_REVIEW;
	default:
		return was == RECORD_VERDICT_DENY;
	}
}

/* Of a refusal the sentence, else the rules that decided. */
static char *why_of(const struct verdict *v, const struct action *action)
{
	const struct policy_outcome *o = v->outcome;
	struct buffer text;
	char *why;

	buffer_init(&text, SENTENCE_MOST);
	if (v->kind == VERDICT_DENY)
		verdict_text(v, action, &text);
	else if (o->rule_count == 0)
		buffer_append_string(&text, "no rule is needed");
	for (size_t i = 0; v->kind != VERDICT_DENY && i < o->rule_count; i++)
		buffer_append_format(
			&text, "%s%.*s", i ? ", " : "", SLICE_PRINT(o->rules[i]->name));
	why = copy(buffer_slice(&text));
	buffer_done(&text);
	return why;
}

static struct change *find_change(
	struct test *t, enum record_verdict was, enum verdict_kind now, const char *why)
{
	for (size_t i = 0; i < t->change_count; i++) {
		struct change *c = &t->changes[i];

		if (c->was == was && c->now == now && strcmp(c->why, why) == 0 &&
			strcmp(c->agent, t->agent) == 0 && strcmp(c->resource, t->resource) == 0)
			return c;
	}
	return NULL;
}

static void note_change(struct test *t, const struct entry *entry, const struct verdict *v,
	const struct action *action)
{
	enum record_verdict was = (enum record_verdict)entry_number(entry, FIELD_VERDICT);
	char *why = why_of(v, action);
	struct change *c = find_change(t, was, v->kind, why);

	if (c) {
		c->count++;
		free(why);
		return;
	}
	t->changes = memory_resize_array(t->changes, t->change_count + 1, sizeof(*t->changes));
	t->changes[t->change_count++] = (struct change){.was = was,
		.now = v->kind,
		.agent = memory_copy_string(t->agent),
		.resource = memory_copy_string(t->resource),
		.why = why,
		.session = copy(t->session->id),
		.text = slice_from_string(copy(action->text)),
		.action = entry_number(entry, FIELD_NUMBER),
		.count = 1};
}

/* The request's text with its body as it was recorded; without it the body is not known, where the
 * request may have had one. */
static void read_body(const struct entry *entry, struct buffer *room, struct action_body *ret)
{
	struct slice kept = entry_bytes(entry, FIELD_PARAMETER);
	struct recorded_value value;

	buffer_append_slice(room, entry_bytes(entry, FIELD_TEXT));
	if (kept.length && value_decode(kept, &value) == 0 && value.digest.length == 0 &&
		(value.form == VALUE_TEXT || value.form == VALUE_BINARY)) {
		buffer_append_string(room, "\n\n");
		buffer_append_slice(room, value.bytes);
	}
	http_body_of_text(buffer_slice(room), ret);
}

static void judge_again(struct test *t, const struct entry *entry)
{
	struct action_pair *pairs = memory_new_array(PAIRS_MOST, sizeof(*pairs));
	char *problem = copy(entry_bytes(entry, FIELD_PROBLEM));
	struct action action = {.protocol = policy_scope_subject(t->scope)->protocol,
		.unknown = (unsigned)entry_number(entry, FIELD_UNKNOWN),
		.pairs = pairs,
		.alone = true, /* of the text nothing is known */
		.text = entry_bytes(entry, FIELD_TEXT),
		.problem = problem};
	struct verdict verdict;
	struct buffer room;

	buffer_init(&room, LIMIT_SESSION_ARENA);
	if (action.protocol == PROTOCOL_HTTP)
		read_body(entry, &room, &action.body);
	if (!rules_decided(entry)) {
		t->elsewhere++;
	} else if (!read_pairs(t, entry, pairs, &action.pair_count) ||
		(action.body.form == BODY_UNKNOWN && policy_wants_body(t->scope, &action))) {
		t->unknown++;
	} else {
		policy_judge(t->scope, &action, &verdict);
		if (is_same((enum record_verdict)entry_number(entry, FIELD_VERDICT), verdict.kind))
			t->same++;
		else
			note_change(t, entry, &verdict, &action);
	}
	buffer_done(&room);
	free(problem);
	free(pairs);
}

/* --- all of them --- */

static void test_session(struct test *t, int folder)
{
	enum playback_status status;
	struct playback playback;
	struct entry entry;

	playback_init(&playback, folder, t->session);
	while ((status = playback_next(&playback, &entry)) != PLAYBACK_END) {
		if (status == PLAYBACK_MISSING) {
			fprintf(stderr, "wayleave " VERB ": %s\n", playback.problem.text);
		} else if (entry.type == RECORD_SESSION) {
			enter_session(t, &entry);
		} else if (entry.type == RECORD_ACTION) {
			t->actions++;
			if (t->scope)
				judge_again(t, &entry);
			else
				t->unknown++;
		}
	}
	playback_done(&playback);
	leave_session(t);
}

/* The folder of recordings, or the state folder that has it. */
static int open_recordings(const char *path)
{
	int outer = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), inner;

	if (outer < 0)
		return -errno;
	inner = openat(outer, STORE_RECORDINGS_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (inner < 0 && errno == ENOENT)
		return outer;
	if (inner < 0)
		inner = -errno;
	close(outer);
	return inner;
}

/* --- what came of it --- */

static int compare_changes(const void *a, const void *b)
{
	uint64_t x = ((const struct change *)a)->count, y = ((const struct change *)b)->count;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void print_change(const struct change *c)
{
	printf("%8" PRIu64 "  %s → %s  ", c->count, record_verdict_name(c->was),
		verdict_kind_name(c->now));
	cli_print_line(stdout, slice_from_string(c->agent));
	printf(" at ");
	cli_print_line(stdout, slice_from_string(c->resource));
	printf(": ");
	cli_print_line(stdout, slice_from_string(c->why));
	printf("\n          as %s, action %" PRIu64 ": ", c->session, c->action);
	cli_print_line(stdout, slice_head(c->text, SHOWN_MOST));
	puts(c->text.length > SHOWN_MOST ? "…" : "");
}

static void print_for_people(const struct test *t)
{
	uint64_t changed = t->actions - t->same - t->elsewhere - t->unknown;

	for (size_t i = 0; i < t->change_count; i++)
		print_change(&t->changes[i]);
	cli_print_count(stdout, t->actions, "action");
	printf(": %" PRIu64 " judged as they were, %" PRIu64 " otherwise\n", t->same, changed);
	if (t->elsewhere)
		printf("%" PRIu64 " were refused for reasons that rules don't decide\n",
			t->elsewhere);
	if (t->unknown)
		printf("%" PRIu64 " could not be judged: their agent or resource is not "
		       "configured, or the record does not hold all of their objects, "
		       "or their body\n",
			t->unknown);
}

static void print_for_programs(const struct test *t)
{
	cJSON *object = cJSON_CreateObject(), *list;

	cJSON_AddItemToObject(object, "actions", json_number(t->actions));
	cJSON_AddItemToObject(object, "same", json_number(t->same));
	cJSON_AddItemToObject(object, "elsewhere", json_number(t->elsewhere));
	cJSON_AddItemToObject(object, "unknown", json_number(t->unknown));
	list = cJSON_AddArrayToObject(object, "changes");
	for (size_t i = 0; i < t->change_count; i++) {
		const struct change *c = &t->changes[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "was", record_verdict_name(c->was));
		cJSON_AddStringToObject(item, "now", verdict_kind_name(c->now));
		cJSON_AddItemToObject(item, "count", json_number(c->count));
		json_add_text(item, "agent", slice_from_string(c->agent));
		json_add_text(item, "resource", slice_from_string(c->resource));
		json_add_text(item, "why", slice_from_string(c->why));
		json_add_text(item, "session", slice_from_string(c->session));
		cJSON_AddItemToObject(item, "action", json_number(c->action));
		json_add_text(item, "text", c->text);
		cJSON_AddItemToArray(list, item);
	}
	cli_json_print(object);
}

static void free_changes(struct test *t)
{
	for (size_t i = 0; i < t->change_count; i++) {
		struct change *c = &t->changes[i];

		free(c->agent);
		free(c->resource);
		free(c->why);
		free(c->session);
		free((void *)c->text.data);
	}
	free(t->changes);
}

static int test_against(struct test *t, const char *path, int folder)
{
	const struct session_filter filter = {0};
	struct session_list list;
	struct error e;

	if (session_list_load(&list, folder, &filter, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s: %s", path, e.text);
	for (size_t i = list.count; i > 0; i--) {
		t->session = list.sessions[i - 1];
		test_session(t, folder);
	}
	if (list.count == 0)
		fprintf(stderr, "wayleave " VERB ": %s: no session was recorded there\n", path);
	session_list_done(&list);
	if (t->change_count)
		qsort(t->changes, t->change_count, sizeof(*t->changes), compare_changes);
	if (t->cli->json)
		print_for_programs(t);
	else
		print_for_people(t);
	return t->change_count ? CLI_REFUSED : CLI_DONE;
}

int policy_test(const struct cli *cli, int argc, char **argv)
{
	const char *config = CONFIG_DEFAULT_FILE, *against = NULL;
	const struct cli_option options[] = {
		{"--config", &config, NULL}, {"--against", &against, NULL}};
	int files = cli_take_options(argc, argv, options, ARRAY_SIZE(options));
	struct test t = {.cli = cli};
	int folder, status;

	if (files < 1 || !against) {
		fputs(policy_help, stderr);
		return CLI_USAGE;
	}
	folder = open_recordings(against);
	if (folder < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s: %s", against, strerror(-folder));
	status = policy_from_config(
			 VERB, config, (const char *const *)argv + 1, (size_t)files, &t.policy) < 0
		? CLI_REFUSED
		: test_against(&t, against, folder);
	policy_put(t.policy);
	free_changes(&t);
	close(folder);
	return status;
}
