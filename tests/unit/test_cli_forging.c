/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever of an agent's stands in whichever field, what people are shown of it neither drives the
 * terminal, nor pretends to be another line, nor hides its own end.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "base/unseen.h"
#include "cli/reviews.h"
#include "tests/tools/recording_state.h"

#define FORGED "\n  reviewers   dba: 2 of 2 have approved\n\n"
#define TEXT_MOST (1u << 20)

/* What stands between the beginning and the end of a field. */
static const char *const payloads[] = {
	"plain", "\x1b[2J\x1b[H\x1b[31m", "\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x07",
	"\rapproved by root\r\n\b\b\b\x7f", FORGED,
	"\xc2\x9b"
	"31m \xc2\x85 next line",
	"\xe2\x80\xae"
	"desrever\xe2\x80\xac \xe2\x81\xa6isolated\xe2\x81\xa9 \xd8\x9c",
	"zero\xe2\x80\x8bwidth\xe2\x80\x8d"
	"and\xef\xbb\xbfothers\xe2\x81\xa0\xc2\xad",
	"\xf3\xa0\x81\x81\xf3\xa0\x81\xbf tags, \xe3\x85\xa4 fillers, \xc2\xa0 and \xe3\x80\x80 "
	"spaces",
	"\xff\xfe broken \xc3( \xed\xa0\x80", "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t",
	"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
	"\xbc\xa2"
	"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
	"\xbc\xa2"
	"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
	"\xbc\xa2",
	NULL, /* a very long word */
};

static char *make_text(size_t payload)
{
	char word[700];

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	return memory_format("HEAD%sTAIL", payloads[payload] ? payloads[payload] : word);
}

static bool has(struct slice text, const char *part)
{
	return text.length && memmem(text.data, text.length, part, strlen(part));
}

static size_t lines_of(struct slice text)
{
	size_t lines = 0;

	for (size_t i = 0; i < text.length; i++)
		lines += text.data[i] == '\n';
	return lines;
}

static void assert_harmless(struct slice text, const char *field, size_t payload)
{
	cr_assert_not(has(text, FORGED), "%s, %zu: another line", field, payload);
	while (text.length) {
		size_t n = text_utf8_sequence(text);

		cr_assert(n && !unseen_is(text, n) && text.data[0] != '\t',
			"%s, %zu: raw byte %02x", field, payload, text.data[0]);
		text = slice_from(text, n);
	}
}

/* --- reviews: the list, also as it is followed, and the whole --- */

static const char template[] =
	"{\"id\": \"r-7Q2K\", \"state\": \"STATE\", \"created\": \"2026-01-31T12:00:00.000Z\","
	"\"deadline\": \"2026-01-31T12:15:00.000Z\", \"waiters\": 1, \"text_length\": 900,"
	"\"agent\": \"@agent\", \"principal\": \"@principal\", \"on_behalf_of\": \"@person\","
	"\"principal_groups\": [\"@group\"], \"resource\": \"@resource\", \"protocol\": "
	"\"@protocol\","
	"\"database\": \"@database\", \"user\": \"@user\", \"as\": \"@role\","
	"\"session\": \"@session\", \"program\": \"@program\", \"program_sha256\": \"@hash\","
	"\"arguments\": \"@arguments\", \"parents\": \"@parents\", \"address\": \"@address\","
	"\"rules\": [\"@rule\"], \"unknown\": [\"@unknown\"], \"groups\": [{\"name\": "
	"\"@reviewers\"}],"
	"\"pairs\": [{\"operation\": \"@operation\", \"object\": \"@object\"}],"
	"\"votes\": [{\"by\": \"@voter\", \"verdict\": \"approve\", \"reason\": \"@why\"}],"
	"\"sessions\": [{\"session\": \"@waiter\"}], \"decided_by\": \"@decider\","
	"\"reason\": \"@reason\", \"grant\": \"@grant\", \"grant_revoked_by\": \"@revoker\","
	"\"grant_end\": \"@end\", \"digest\": \"@digest\", \"settings\": \"@settings\","
	"\"preview\": \"@preview\", \"runs\": \"@runs\", \"text\": \"@text\", "
	"\"parameters_total\": 2,"
	"\"parameters\": [{\"text\": \"@value\", \"length\": 9}, {\"binary\": \"@binary\"}]}";
/* What is said of one that is decided alone. */
static const char *const decided[] = {"@decider", "@reason", "@grant", "@revoker", "@end"};
/* In a block each of its lines begins as the block's do. */
static const char *const blocks[] = {
	"@settings", "@preview", "@runs", "@text", "@statement", "@body"};

static bool is_one_of(const char *field, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(field, list[i]) == 0)
			return true;
	}
	return false;
}

/* The string `old` stands in the JSON text once; instead of it `new` does. */
static char *put(const char *json, const char *old, const char *new)
{
	cJSON *string = cJSON_CreateString(new);
	char *quoted = cJSON_PrintUnformatted(string), *key = memory_format("\"%s\"", old);
	const char *place = strstr(json, key);
	char *text;

	cr_assert_not_null(place, "%s", old);
	text = memory_format("%.*s%s%s", (int)(place - json), json, quoted, place + strlen(key));
	free(key);
	free(quoted);
	cJSON_Delete(string);
	return text;
}

static cJSON *make_review(const char *json, const char *field, size_t payload)
{
	bool over = is_one_of(field, decided, ARRAY_SIZE(decided));
	char *hostile = make_text(payload), *with = put(json, field, hostile),
	     *text = put(with, "STATE", over ? "approved" : "pending");
	cJSON *review = cJSON_Parse(text);

	cr_assert_not_null(review, "%s", text);
	free(hostile);
	free(with);
	free(text);
	return review;
}

static void check_rows(const cJSON *review, const char *field, size_t payload)
{
	static const size_t widths[] = {0, 80, 120, 200};
	struct buffer row;

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		const struct review_layout l = {.width = widths[i]};
		size_t columns = 0;

		buffer_init(&row, TEXT_MOST);
		review_text_row(review, &l, &row);
		assert_harmless(buffer_slice(&row), field, payload);
		cr_assert_eq(lines_of(buffer_slice(&row)), 0);
		for (size_t j = 0; j < buffer_length(&row); j++)
			columns += review_text_columns(buffer_slice(&row).data[j]);
		cr_assert(l.width == 0 || columns <= l.width, "%s, %zu: %zu columns of %zu", field,
			payload, columns, l.width);
		/* What is cut says so, also where only the agent's name, or the resource's, is. */
		if (strcmp(field, "@text") == 0)
			cr_assert(has(buffer_slice(&row), "TAIL") || has(buffer_slice(&row), "…"),
				"%zu", payload);
		buffer_done(&row);
	}
}

static size_t check_whole(const cJSON *review, const char *field, size_t payload)
{
	const struct review_layout l = {0};
	struct buffer whole;
	size_t lines;

	buffer_init(&whole, TEXT_MOST);
	review_text_whole(review, &l, &whole);
	assert_harmless(buffer_slice(&whole), field, payload);
	cr_assert(
		has(buffer_slice(&whole), "TAIL"), "%s, %zu: its end is not there", field, payload);
	lines = lines_of(buffer_slice(&whole));
	buffer_done(&whole);
	return lines;
}

static void check_field(const char *json, const char *field)
{
	size_t lines = 0;

	for (size_t payload = 0; payload < ARRAY_SIZE(payloads); payload++) {
		cJSON *review = make_review(json, field, payload);
		size_t now;

		check_rows(review, field, payload);
		now = check_whole(review, field, payload);
		if (payload == 0)
			lines = now;
		cr_assert(now == lines || is_one_of(field, blocks, ARRAY_SIZE(blocks)),
			"%s, %zu: %zu lines instead of %zu", field, payload, now, lines);
		cJSON_Delete(review);
	}
}

Test(forging, reviews)
{
	static const char of_http[] =
		"{\"id\": \"r-7Q2K\", \"state\": \"STATE\", \"protocol\": \"http\", \"text\": "
		"\"POST /\","
		"\"parameters_total\": 1, \"parameters\": [{\"text\": \"@body\", \"length\": 9}]}";
	static const char of_pipelines[] =
		"{\"id\": \"r-7Q2K\", \"state\": \"STATE\", \"text\": \"x\", \"statements\":"
		"[{\"text\": \"@statement\", \"parameters_total\": 1, \"parameters\":"
		"[{\"text\": \"@bound\"}]}]}";
	const char *place = template;
	size_t fields = 0;

	while ((place = strstr(place, "\"@"))) {
		char field[32];

		cr_assert_eq(sscanf(place, "\"%31[^\"]", field), 1);
		check_field(template, field);
		fields++;
		place++;
	}
	cr_assert_eq(fields, 35);
	check_field(of_http, "@body");
	check_field(of_pipelines, "@statement");
	check_field(of_pipelines, "@bound");
}

/* --- sessions and the audit log --- */

static char dir[64];
static char *marks[32];
static size_t mark_count;

/* Until forget_marks(). */
static struct slice mark(const char *name, size_t payload)
{
	char *text = make_text(payload);

	cr_assert_lt(mark_count, ARRAY_SIZE(marks));
	marks[mark_count] = memory_format("%s-%s", text, name);
	free(text);
	return slice_from_string(marks[mark_count++]);
}

static void forget_marks(void)
{
	while (mark_count)
		free(marks[--mark_count]);
}

/* A session of which all that an agent has any influence on is hostile. */
static void fabricate(size_t payload)
{
	const struct record_value value = {VALUE_TEXT, mark("value", payload)};
	const struct action_pair pair = {
		OPERATION_SELECT, OBJECT_KNOWN, false, mark("object", payload)};
	const struct action action = {.protocol = PROTOCOL_SSH,
		.pairs = &pair,
		.pair_count = 1,
		.text = mark("text", payload)};
	const struct record_action record = {.action = &action,
		.verdict = RECORD_VERDICT_ALLOW,
		.message = mark("message", payload),
		.as = mark("as", payload),
		.parameters = &value,
		.parameter_count = 1};
	const struct record_decision decision = {.outcome = OUTCOME_DENIED,
		.review = S("r-7Q2K"),
		.by = mark("by", payload),
		.detail = mark("why", payload)};
	const struct record_result result = {
		.tag = mark("tag", payload), .error_text = mark("error", payload)};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct recorder_session s = {0};
	struct state_worker w;
	struct store *store;
	uint64_t number;

	strcpy(dir, "/tmp/test_forging.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	facts.agent = mark("agent", payload);
	facts.principal = mark("principal", payload);
	facts.resource = mark("resource", payload);
	facts.address = mark("address", payload);
	facts.upstream = mark("upstream", payload);
	facts.exe = mark("exe", payload);
	facts.arguments = mark("arguments", payload);
	facts.parents = mark("parents", payload);
	facts.database = mark("database", payload);
	facts.user = mark("user", payload);
	store = state_open(dir);
	w = state_worker_start(store);
	recorder_session_start(w.recorder, &s, &facts);
	number = recorder_action(w.recorder, &s, &record);
	recorder_decision(w.recorder, &s, number, &decision);
	recorder_result(w.recorder, &s, number, &result);
	recorder_note(w.recorder, &s, REASON_PROTOCOL_VIOLATION, mark("note", payload));
	recorder_session_end(w.recorder, &s, REASON_UPSTREAM_CLOSED, mark("end", payload), 1, 2);
	cr_assert_eq(recorder_flush(w.recorder), 0);
	state_worker_end(&w, false);
	store_close(store);
	forget_marks();
}

/* What a command prints; the caller's to free. */
static struct buffer run(bool json, const char *verb, const char *what, const char *more)
{
	char *argv[8] = {(char *)verb, (char *)what, "--state-dir", dir, (char *)more};
	const struct cli cli = {.socket = "/nonexistent", .json = json};
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	struct buffer out;

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	cr_assert_eq(
		(strcmp(verb, "audit") == 0 ? cli_audit : cli_sessions)(&cli, more ? 5 : 4, argv),
		CLI_DONE);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	buffer_init(&out, TEXT_MOST);
	lseek(fileno(file), 0, SEEK_SET);
	cr_assert_eq(file_read_descriptor(fileno(file), &out), 0);
	fclose(file);
	return out;
}

static void check_output(size_t payload, bool json, const char *verb, const char *what,
	const char *more, const char *const *fields)
{
	struct buffer out = run(json, verb, what, more);
	char *text = memory_copy_text(out.data, buffer_length(&out)), *command;

	command = memory_format("%s %s%s", verb, what, json ? " --json" : "");
	/* Tabs between are the commands' own: of JSON. */
	for (char *c = text; *c; c++)
		*c = *c == '\t' && json ? ' ' : *c;
	assert_harmless(slice_from_string(text), command, payload);
	for (; *fields; fields++) {
		char *end = memory_format("TAIL-%s", *fields);

		cr_assert(strstr(text, end), "%s, %zu: the end of %s is not there in %s", command,
			payload, *fields, text);
		free(end);
	}
	free(command);
	free(text);
	buffer_done(&out);
}

Test(forging, sessions_and_audit)
{
	static const char *const facts[] = {"agent", "principal", "resource", "address", "upstream",
		"exe", "arguments", "parents", "database", "user", NULL};
	static const char *const listed[] = {"agent", "resource", NULL};
	static const char *const events[] = {
		"object", "message", "as", "by", "why", "note", "end", NULL};
	static const char *const more[] = {"text", "value", "error", NULL};
	static char id[] = "s-AAAAAAAA";

	for (size_t payload = 0; payload < ARRAY_SIZE(payloads); payload++) {
		char command[100];

		fabricate(payload);
		check_output(payload, false, "sessions", "list", NULL, listed);
		check_output(payload, true, "sessions", "list", NULL, facts);
		check_output(payload, false, "audit", "export", NULL, facts);
		check_output(payload, false, "audit", "export", NULL, events);
		for (int json = 0; json < 2; json++) {
			check_output(payload, json, "sessions", "show", id, facts);
			check_output(payload, json, "sessions", "show", id, events);
			check_output(payload, json, "sessions", "show", id, more);
		}
		snprintf(command, sizeof(command), "rm -r %s", dir);
		cr_assert_eq(system(command), 0);
	}
}
