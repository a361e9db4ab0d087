/* SPDX-License-Identifier: Apache-2.0
 *
 * What metrics.c answers: counters as Prometheus reads them, and what is wrong.
 */
#include "base/clock.h"
#include "base/reason.h"
#include "monitor/monitor.h"

/* One metric without labels. */
static int put(struct buffer *b, const char *name, const char *type, const char *help, double value)
{
	return buffer_append_format(b,
		"# HELP wayleave_%s %s\n# TYPE wayleave_%s %s\nwayleave_%s %.0f\n", name, help,
		name, type, name, value);
}

static int head(struct buffer *b, const char *name, const char *type, const char *help)
{
	return buffer_append_format(
		b, "# HELP wayleave_%s %s\n# TYPE wayleave_%s %s\n", name, help, name, type);
}

static int put_reasons(const struct message_statistics *sum, struct buffer *b)
{
	int r = head(b, "refusals_total", "counter", "Refusals by reason.");

	for (unsigned i = 0; r == 0 && i < REASON_COUNT && i < MESSAGE_REASONS_MOST; i++)
		r = buffer_append_format(b, "wayleave_refusals_total{reason=\"%s\"} %llu\n",
			reason_get((enum reason)i)->metric, (unsigned long long)sum->reasons[i]);
	return r;
}

static int put_counts(const struct monitor *m, uint32_t agent, const char *name, struct buffer *b)
{
	struct steer_agent counts;
	int r = 0;

	if (capture_get_counts(m->capture, agent, &counts) < 0)
		return 0;
	for (unsigned i = 0; r == 0 && i < STEER_COUNT_COUNT; i++)
		r = buffer_append_format(b,
			"wayleave_connections_total{agent=\"%s\",kind=\"%s\"} %llu\n", name,
			capture_count_text((enum steer_count)i)->metric,
			(unsigned long long)counts.counts[i]);
	return r;
}

/* Names of agents are letters, digits and "._@-". What belongs to no agent stands under "". */
static int put_connections(const struct monitor *m, struct buffer *b)
{
	int r = head(b, "connections_total", "counter", "What became of agents' connections.");

	if (r == 0)
		r = put_counts(m, 0, "", b);
	for (size_t i = 0; r == 0 && i < m->config->agent_count; i++)
		r = put_counts(m, m->config->agents[i].id, m->config->agents[i].name.text, b);
	return r;
}

/* What stood in the way of an agent that wanted people to be asked. */
static int put_refused_reviews(const struct monitor *m, struct buffer *b)
{
	static const char *const limits[BOOK_LIMIT_COUNT] = {
		[BOOK_LIMIT_PENDING] = "pending", [BOOK_LIMIT_RATE] = "rate"};
	int r = head(b, "reviews_refused_total", "counter",
		"Reviews that agents may not ask for, by the limit of theirs that says so.");

	for (size_t i = 0; r == 0 && i < m->config->agent_count; i++) {
		const char *agent = m->config->agents[i].name.text;

		for (int limit = 0; r == 0 && limit < BOOK_LIMIT_COUNT; limit++)
			r = buffer_append_format(b,
				"wayleave_reviews_refused_total{agent=\"%s\",limit=\"%s\"} "
				"%llu\n",
				agent, limits[limit],
				(unsigned long long)book_count_refused(
					m->book, agent, (enum book_limit)limit));
	}
	return r;
}

static int put_dropped(const struct monitor *m, struct buffer *b)
{
	uint64_t dropped[DROPPED_BY_COUNT];
	int r = head(b, "dropped_total", "counter", "Packets that were dropped or rejected.");

	capture_get_dropped(m->capture, dropped);
	for (int i = 0; r == 0 && i < DROPPED_BY_COUNT; i++)
		r = buffer_append_format(b, "wayleave_dropped_total{where=\"%s\"} %llu\n",
			capture_dropped_text((enum dropped_by)i), (unsigned long long)dropped[i]);
	return r;
}

static int put_canary(const struct canary *c, struct buffer *b)
{
	int r = put(b, "canary_runs_total", "counter", "Runs of the canary.", (double)c->runs);

	if (r == 0)
		r = put(b, "canary_failed_runs_total", "counter",
			"Runs that found something open, or taken away.",
			(double)(c->runs - c->passed));
	if (r == 0)
		r = put(b, "canary_timestamp_seconds", "gauge", "When the last run ended.",
			(double)c->at / (double)NANOSECONDS_PER_SECOND);
	if (r == 0)
		r = head(b, "canary_open", "gauge", "1: an agent has this way out.");
	for (int way = 0; r == 0 && way < CANARY_WAY_COUNT; way++)
		r = buffer_append_format(b, "wayleave_canary_open{way=\"%s\"} %d\n",
			canary_way_text((enum canary_way)way)->name, c->open[way]);
	return r;
}

static unsigned count_ready(const struct monitor *m)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < m->worker_count; i++)
		ready += m->workers[i].ready;
	return ready;
}

const char *status_problem(const struct monitor *m)
{
	if (count_ready(m) < m->worker_count)
		return "a worker is not ready";
	if (store_problem(m->store) || status_total(m).recording_error)
		return "recording fails";
	if (book_problem(m->book))
		return "reviews can't be kept";
	if (m->reload_problem)
		return "the newest configuration is not in force";
	if (!canary_is_good(&m->canary))
		return "the canary found a way out of an agent, or a hook or rule taken away";
	return NULL;
}

int status_build_metrics(struct monitor *m, struct buffer *ret)
{
	const struct message_statistics sum = status_total(m);
	const struct {
		const char *name, *type, *help;
		double value;
	} simple[] = {
		{"healthy", "gauge", "1: nothing is wrong.", !status_problem(m)},
		{"workers", "gauge", "Workers that there should be.", m->worker_count},
		{"workers_ready", "gauge", "Workers that are ready.", count_ready(m)},
		{"sessions", "gauge", "Sessions now.", (double)sum.sessions},
		{"sessions_total", "counter", "Sessions since the workers started.",
			(double)sum.sessions_total},
		{"actions_total", "counter", "Actions judged.", (double)sum.actions},
		{"denied_total", "counter", "Actions refused.", (double)sum.denied},
		{"reviews_pending", "gauge", "Reviews that wait for people.",
			(double)book_count_pending(m->book)},
		{"grants", "gauge", "Grants in force.", (double)book_count_grants(m->book)},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(simple); i++)
		r = put(ret, simple[i].name, simple[i].type, simple[i].help, simple[i].value);
	if (r == 0)
		r = put_reasons(&sum, ret);
	if (r == 0)
		r = put_refused_reviews(m, ret);
	if (r == 0)
		r = put_connections(m, ret);
	if (r == 0)
		r = put_dropped(m, ret);
	return r == 0 ? put_canary(&m->canary, ret) : r;
}
