/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the book share: a book on a file of its own, questions, and all that the book
 * told.
 */
#ifndef WAYLEAVE_TESTS_APPROVAL_BOOK_H
#define WAYLEAVE_TESTS_APPROVAL_BOOK_H

#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "approval/book.h"
#include "base/clock.h"
#include "policy_test.h"

#define SECOND NANOSECONDS_PER_SECOND
#define MINUTE (60 * SECOND)
#define NOW (1000000 * SECOND)

#define BOOK_CONFIG                                                                                \
	"config:\n"                                                                                \
	"  agents:\n"                                                                              \
	"    - { name: bot, cgroup: bot, pending_reviews: 4 }\n"                                   \
	"    - { name: other, cgroup: other }\n"                                                   \
	"  resources: [{ name: orders, protocol: postgres, hosts: ['10.0.0.1:5432'] }]\n"          \
	"  people:\n"                                                                              \
	"    - { name: Ann, slack: U1, local: ann, principals: [ann@acme.com] }\n"                 \
	"    - { name: Rita, slack: U9, local: root }\n"
#define BOOK_REVIEWERS                                                                             \
	"  reviewers:\n"                                                                           \
	"    dba: { local_users: [root, ann, bob], slack: { channel: C1, users: [U1, U2] } }\n"    \
	"    two: { local_users: [ann, bob, cid], slack: { channel: C1, users: [U1] }, "           \
	"approvals: 2 }\n"
#define BOOK_RULES                                                                                 \
	"rules:\n"                                                                                 \
	"  - { name: writes, resources: [orders], operations: [write], "                           \
	"review: { by: dba, within: 15m, grant: 30m } }\n"                                         \
	"  - { name: once, resources: [orders], operations: [ddl], "                               \
	"review: { by: dba, within: 5m } }\n"                                                      \
	"  - { name: pair, resources: [orders], operations: [admin], "                             \
	"review: { by: two, within: 10m, grant: 10m } }\n"                                         \
	"  - { name: fine, resources: [orders], operations: [read], allow: {} }\n"

#define TOLD_MOST 4096

struct told {
	struct book_wait wait;
	enum record_outcome outcome;
	char by[128], detail[256];
	struct identifier grant;
	bool in_force; /* the grant, when it was told */
};

struct book_test {
	char path[64];
	struct config *config;
	struct grant_table *table;
	struct book *book;
	uint64_t now;
	int64_t moved; /* by how much the clock was set before the next start */
	struct told told[TOLD_MOST];
	size_t told_count;
	unsigned notes[64]; /* by enum host_event */
	char last_note[1024];
	unsigned lists; /* of grants */
	size_t settled_after; /* of `told`, when what waits is judged again */
	unsigned changes[BOOK_RAN + 1];
	int note_fails; /* negative errno; 0: no */
	enum host_event only_fails; /* with it: only this one; 0: each */
	void (*on_note)(struct book_test *t, enum host_event event);
	void (*on_told)(struct book_test *t);
	struct error error;
};

static int test_note(
	void *context, enum host_event event, struct slice subject, struct slice detail)
{
	struct book_test *t = context;

	if (t->note_fails && (!t->only_fails || t->only_fails == event))
		return t->note_fails;
	t->notes[event]++;
	snprintf(t->last_note, sizeof(t->last_note), "%.*s %.*s", SLICE_PRINT(subject),
		SLICE_PRINT(detail));
	if (t->on_note)
		t->on_note(t, event);
	return 0;
}

static void test_decided(
	void *context, const struct book_wait *wait, const struct book_outcome *outcome)
{
	struct book_test *t = context;
	struct told *told = &t->told[t->told_count++ % TOLD_MOST];

	*told = (struct told){.wait = *wait, .outcome = outcome->outcome, .grant = outcome->grant};
	snprintf(told->by, sizeof(told->by), "%.*s", SLICE_PRINT(outcome->by));
	snprintf(told->detail, sizeof(told->detail), "%.*s", SLICE_PRINT(outcome->detail));
	told->in_force = outcome->grant.text[0] && atomic_load(&t->table->slots[0].serial) != 0;
	if (t->on_told)
		t->on_told(t);
}

/* As the monitor does: reads the list, so there must be a book. */
static void test_granted(void *context)
{
	struct book_test *t = context;
	struct buffer list;

	t->lists++;
	cr_assert_not_null(t->book, "a list of grants is told of before there is a book");
	buffer_init(&list, GRANTS_BYTES_MOST);
	cr_assert_eq(book_grants_encode(t->book, &list), 0);
	buffer_done(&list);
}

static void test_settled(void *context)
{
	struct book_test *t = context;

	t->settled_after = t->told_count;
}

static void test_changed(void *context, const struct identifier *review, enum book_change change)
{
	(void)review;
	((struct book_test *)context)->changes[change]++;
}

static const struct book_events test_events = {
	test_note, test_decided, test_granted, test_settled, test_changed};

static inline struct config *book_test_config(const char *text)
{
	struct diagnostics d;
	struct config *c;

	diagnostics_init(&d);
	c = policy_test_load_text(text, &d);
	if (!c)
		diagnostics_print(&d, stderr);
	diagnostics_done(&d);
	cr_assert_not_null(c);
	return c;
}

static inline int book_test_try_open(struct book_test *t)
{
	const struct book_options options = {
		.path = t->path,
		.config = t->config,
		.table = t->table,
		.events = &test_events,
		.context = t,
		.now = t->now,
		.moved = t->moved,
	};

	return book_open(&options, &t->book, &t->error);
}

static inline void book_test_open(struct book_test *t)
{
	cr_assert_eq(book_test_try_open(t), 0, "%s", t->error.text);
}

/* Another configuration, as after a reload. */
static inline void book_test_configure(struct book_test *t, const char *text)
{
	struct config *old = t->config;

	t->config = book_test_config(text);
	book_configure(t->book, t->config, t->now);
	config_free(old);
}

/* The daemon ends, and starts again; `text`: with this configuration, NULL: with the same. */
static inline void book_test_restart(struct book_test *t, const char *text)
{
	book_free(t->book);
	t->book = NULL;
	if (text) {
		config_free(t->config);
		t->config = book_test_config(text);
	}
	book_test_open(t);
}

static inline struct book_test *book_test_new(void)
{
	struct book_test *t = memory_new(sizeof(*t));
	int fd;

	strcpy(t->path, "/tmp/wayleave-book-XXXXXX");
	fd = mkstemp(t->path);
	cr_assert_geq(fd, 0);
	close(fd);
	unlink(t->path);
	t->now = NOW;
	t->config = book_test_config(BOOK_CONFIG BOOK_REVIEWERS BOOK_RULES);
	t->table = memory_new(sizeof(*t->table));
	book_test_open(t);
	return t;
}

static inline void book_test_free(struct book_test *t)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[128];

	book_free(t->book);
	config_free(t->config);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", t->path, ends[i]);
		unlink(path);
	}
	free(t->table);
	free(t);
}

/* What is asked: an update by default. */
struct asking {
	unsigned worker;
	uint64_t id, uid;
	const char *agent, *principal, *on_behalf_of, *rule, *second_rule, *text, *user, *settings,
		*value, *database, *database_user;
	unsigned unknown;
	enum operation operation;
	bool keep_digest; /* of the text "same" */
};

static inline struct question *book_test_question(const struct asking *a)
{
	struct question *q = memory_new(sizeof(*q));
	const struct action_pair pair = {
		.operation = a->operation ? a->operation : OPERATION_UPDATE,
		.state = OBJECT_KNOWN,
		.object = slice_from_string("public.orders"),
	};

	q->scope.agent = slice_from_string(a->agent ? a->agent : "bot");
	q->scope.principal = slice_from_string(a->principal);
	q->scope.on_behalf_of = slice_from_string(a->on_behalf_of);
	q->scope.resource = slice_from_string("orders");
	q->scope.rules[q->scope.rule_count++] = slice_from_string(a->rule ? a->rule : "writes");
	if (a->second_rule)
		q->scope.rules[q->scope.rule_count++] = slice_from_string(a->second_rule);
	cr_assert_eq(scope_of_action_set(&q->scope, &pair, 1), 0);
	q->protocol = slice_from_string("postgres");
	q->scope.database = slice_from_string(a->database ? a->database : "shop");
	q->scope.user = slice_from_string(a->database_user ? a->database_user : "app");
	q->session = slice_from_string("s-7Q2KM4XT");
	q->settings = slice_from_string(a->settings ? a->settings : "search_path=public");
	q->text = slice_from_string(a->keep_digest ? "same" : a->text ? a->text : "update orders");
	q->uid = a->uid;
	q->unknown = a->unknown;
	if (a->value) {
		q->values[0].data = slice_from_string(a->value);
		q->values[0].length = q->values[0].data.length;
		q->value_count = q->values_total = 1;
	}
	cr_assert_eq(question_seal(q, SLICE_EMPTY), 0);
	if (a->keep_digest)
		q->text = slice_from_string(a->text);
	return q;
}

static inline int book_test_ask(
	struct book_test *t, const struct asking *a, struct identifier *ret_review)
{
	const struct book_wait wait = {a->worker, a->id};
	struct question *q = book_test_question(a);
	struct book_held held;
	struct buffer bytes;
	int r;

	buffer_init(&bytes, QUESTION_BYTES_MOST);
	cr_assert_eq(question_encode(q, &bytes), 0);
	r = book_ask(t->book, &wait, q, buffer_slice(&bytes), a->user, t->now, &held, &t->error);
	if (r == 0 && ret_review)
		*ret_review = held.review;
	buffer_done(&bytes);
	free(q);
	return r;
}

/* An ID, of a review that must come of it. */
#define ASK(t, ...)                                                                                \
	({                                                                                         \
		struct identifier review_;                                                         \
		cr_assert_eq(book_test_ask(t, &(struct asking){__VA_ARGS__}, &review_), 0, "%s",   \
			(t)->error.text);                                                          \
		review_;                                                                           \
	})

static inline int book_test_decide(
	struct book_test *t, const char *id, const char *user, bool approve, uint64_t grant)
{
	const struct book_decision d = {
		.who = {REVIEWER_LOCAL, strcmp(user, "root") == 0 ? 0 : 1000u + (uid_t)user[0],
			user},
		.approve = approve,
		.grant = grant,
		.reason = slice_from_string("because"),
	};

	return book_decide(t->book, slice_from_string(id), &d, t->now, &t->error);
}

static inline int book_test_slack(
	struct book_test *t, const char *id, const char *user, bool approve, uint64_t grant)
{
	const struct book_decision d = {
		.who = {REVIEWER_SLACK, 0, user}, .approve = approve, .grant = grant};

	return book_decide(t->book, slice_from_string(id), &d, t->now, &t->error);
}

static inline cJSON *book_test_show(struct book_test *t, const char *id)
{
	struct buffer b;
	cJSON *json;

	buffer_init(&b, 64u << 20);
	cr_assert_eq(book_review_json(t->book, slice_from_string(id), NULL, &b, &t->error), 0, "%s",
		t->error.text);
	json = cJSON_ParseWithLength((const char *)buffer_slice(&b).data, buffer_length(&b));
	buffer_done(&b);
	cr_assert_not_null(json);
	return json;
}

/* The list, of what changed since then. */
static inline cJSON *book_test_list(
	struct book_test *t, const struct reviewer *viewer, uint64_t since, bool *ret_whole)
{
	struct buffer b;
	cJSON *json;
	bool cut;

	buffer_init(&b, 64u << 20);
	cr_assert_eq(
		book_list_json(t->book, viewer, since, LIMIT_REVIEWS_LISTED, &b, ret_whole, &cut),
		0);
	json = cJSON_ParseWithLength((const char *)buffer_slice(&b).data, buffer_length(&b));
	buffer_done(&b);
	cr_assert(cJSON_IsArray(json));
	return json;
}

static inline char *book_test_list_text(struct book_test *t)
{
	bool whole;
	cJSON *json = book_test_list(t, NULL, 0, &whole);
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	return text;
}

static inline void book_test_die(struct book_test *t)
{
	(void)t;
	kill(getpid(), SIGKILL);
}

/* The daemon dies in the middle of `work`, and starts again. There must be no book before. */
static inline void book_test_die_in(struct book_test *t, void (*work)(struct book_test *t))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		book_test_open(t);
		work(t);
		_exit(7); /* it should have died */
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%d", status);
	book_test_open(t);
}

static inline const char *book_test_text(const cJSON *json, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static inline double book_test_number(const cJSON *json, const char *name)
{
	return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

#define ASSERT_STATE(t, id, expected)                                                              \
	do {                                                                                       \
		cJSON *json_ = book_test_show(t, id);                                              \
		cr_assert_str_eq(book_test_text(json_, "state"), expected);                        \
		cJSON_Delete(json_);                                                               \
	} while (0)

#endif
