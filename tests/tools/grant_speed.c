/* SPDX-License-Identifier: Apache-2.0
 *
 * grant_speed: what an action that a grant covers costs the worker over one that a rule allows, in
 * nanoseconds of CPU time: judged, recorded and answered by the worker's own code
 * (worker/decide.c), between an engine and a server that do nothing. Rounds of both are
 * interleaved, and the medians compared: end to end the difference drowns in noise. Each row, with
 * one grant and with as many as there may be, says whether it costs at most MOST more than a plain
 * allow; ends with 1 where one does not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/unit/policy_test.h"
#include "worker/decide.h"

#define ROUNDS 51
#define ACTIONS 2048 /* of a round */
#define TURN 64 /* actions per loop turn: then what was recorded is written */
#define MOST 1000 /* nanoseconds */

static const char policy_text[] =
	"config:\n"
	"  agents: [{name: bench, cgroup: bench}]\n"
	"  resources: [{name: db, protocol: postgres, hosts: ['10.0.0.1:5432']}]\n"
	"  reviewers: {dba: {local_users: [root]}}\n"
	"rules:\n"
	"  - {name: allowed, operations: [delete], objects: [allowed.t], allow: }\n"
	"  - {name: granted, operations: [delete], objects: [granted.t], "
	"review: {by: dba, within: 1h, grant: 1h}}\n";

/* --- an engine that does nothing --- */

static uint64_t released;

static int mask(struct protocol_engine *e, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	(void)e, (void)lane, (void)rules, (void)record_rows, (void)ret;
	return 0;
}

static int release(struct protocol_engine *e, uint32_t lane, uint64_t number)
{
	(void)e, (void)lane, (void)number;
	released++;
	return 0;
}

static int refuse(struct protocol_engine *e, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	(void)e, (void)lane, (void)number;
	fprintf(stderr, "refused: %.*s\n", SLICE_PRINT(refusal->text));
	exit(2);
}

static const struct protocol protocol = {
	.id = PROTOCOL_POSTGRES, .mask = mask, .release = release, .refuse = refuse};

/* --- a worker and a session --- */

static struct recorder *make_recorder(void)
{
	const struct recorder_options options = {.incarnation = {"w-0123456789ABCDEF"}};
	struct recorder *r;

	if (recorder_new(&r, &options) < 0)
		abort();
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		recorder_give_segment(r, (enum stream_kind)kind,
			open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC), 1);
	return r;
}

static int memory_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

/* All slots are in force, by number. */
static void make_table(struct worker *w)
{
	int fd = memory_file("table");
	struct grant_table *table;

	if (ftruncate(fd, sizeof(*table)) < 0 || grants_init(&w->grants, fd) < 0)
		abort();
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (table == MAP_FAILED)
		abort();
	for (uint32_t i = 0; i < GRANTS_MOST; i++)
		grant_table_set(table, i, i + 1, UINT64_MAX);
	munmap(table, sizeof(*table));
	close(fd);
}

static struct grant grant_of(size_t number, const char *object)
{
	struct grant g = {.slot = (uint32_t)number, .serial = number + 1};

	g.id = identifier_new('g', 4);
	g.scope.agent = slice_from_string("bench");
	g.scope.resource = slice_from_string("db");
	g.scope.rules[g.scope.rule_count++] = slice_from_string("granted");
	g.scope.pairs[g.scope.pair_count++] = (struct action_pair){.operation = OPERATION_DELETE,
		.state = OBJECT_KNOWN,
		.object = slice_from_string(object)};
	return g;
}

/* `count` grants, of which the last one covers what is measured; as the monitor gives them. */
static void give_grants(struct worker *w, const char *object, size_t count)
{
	struct grant *items = memory_new_array(count, sizeof(*items));
	char(*names)[32] = memory_new_array(count, sizeof(*names));
	int fd = memory_file("grants");
	struct buffer list;

	buffer_init(&list, GRANTS_BYTES_MOST);
	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "granted.t%zu", i);
		items[i] = grant_of(i, i + 1 < count ? names[i] : object);
	}
	if (grants_encode(items, count, &list) < 0 || file_write_all(fd, buffer_slice(&list)) < 0)
		abort();
	grants_take(&w->grants, fd);
	if (w->grants.count != count)
		abort();
	buffer_done(&list);
	close(fd);
	free(names);
	free(items);
}

static struct session *make_session(struct worker *w)
{
	static const struct session_facts facts = {.id = {(const uint8_t *)"s-AAAAAAAA", 10}};
	static struct protocol_engine engine = {.protocol = &protocol};
	struct session *s = memory_new(sizeof(*s));
	struct policy_subject subject = {
		.principal = &principal_none, .protocol = PROTOCOL_POSTGRES};

	w->policy = policy_test_new(policy_text);
	w->recorder = make_recorder();
	list_init(&w->dirty);
	list_init(&w->holds);
	make_table(w);
	s->worker = w;
	s->agent = subject.agent = &w->policy->agents[0];
	s->scope = policy_scope_get(w->policy, &subject);
	s->engine = &engine;
	list_init(&s->dirty);
	list_init(&s->holds);
	recorder_session_start(w->recorder, &s->record, &facts);
	return s;
}

/* --- measuring --- */

struct subject {
	struct action_pair pair;
	struct action action;
	struct protocol_judgement *kept;
	double rounds[ROUNDS]; /* nanoseconds of an action */
};

static struct subject subject_of(const char *object)
{
	struct subject s = {.pair = {.operation = OPERATION_DELETE,
				    .state = OBJECT_KNOWN,
				    .object = slice_from_string(object)}};

	s.action = (struct action){.protocol = PROTOCOL_POSTGRES,
		.pair_count = 1,
		.text = slice_from_string("delete from t where id = 1")};
	return s;
}

/* `keeps`: the verdict is kept beside the text, as it is of one that repeats. */
static void run_round(struct session *s, struct subject *subject, unsigned round, bool keeps)
{
	const struct protocol_action_event event = {.phase = ACTION_RUN,
		.action = &subject->action,
		.judgement = keeps ? &subject->kept : NULL};
	uint64_t before = clock_read(CLOCK_THREAD_CPUTIME_ID);

	subject->action.pairs = &subject->pair;
	for (unsigned i = 0; i < ACTIONS; i++) {
		decide_action(s, &event);
		if (i % TURN == TURN - 1 && recorder_flush(s->worker->recorder) < 0)
			abort();
	}
	subject->rounds[round] = (double)(clock_read(CLOCK_THREAD_CPUTIME_ID) - before) / ACTIONS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(struct subject *s)
{
	qsort(s->rounds, ROUNDS, sizeof(*s->rounds), compare);
	return s->rounds[ROUNDS / 2];
}

/* Whether a granted action costs at most MOST more. */
static bool measure(struct session *s, const char *what, size_t grants, bool keeps)
{
	struct subject allowed = subject_of("allowed.t"), granted = subject_of("granted.t");
	double plain, covered;

	give_grants(s->worker, "granted.t", grants);
	released = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		run_round(s, &allowed, round, keeps);
		run_round(s, &granted, round, keeps);
	}
	if (released != 2ul * ROUNDS * ACTIONS)
		abort();
	plain = median(&allowed);
	covered = median(&granted);
	printf("%-42s allowed %5.0f ns, granted %5.0f ns: %+5.0f ns, goal at most %d: %s\n", what,
		plain, covered, covered - plain, MOST, covered - plain <= MOST ? "met" : "MISSED");
	if (keeps) {
		allowed.kept->free(allowed.kept);
		granted.kept->free(granted.kept);
	}
	return covered - plain <= MOST;
}

int main(void)
{
	struct worker *w = memory_new(sizeof(*w));
	struct session *s = make_session(w);
	bool met = measure(s, "a statement that repeats", 1, true);

	met &= measure(s, "the same, with 1024 grants", GRANTS_MOST, true);
	met &= measure(s, "a statement that is new", 1, false);
	met &= measure(s, "the same, with 1024 grants", GRANTS_MOST, false);
	recorder_session_end(w->recorder, &s->record, REASON_NONE, SLICE_EMPTY, 0, 0);
	recorder_free(w->recorder);
	policy_scope_put(s->scope);
	policy_put(w->policy);
	free(s);
	free(w);
	return !met;
}
