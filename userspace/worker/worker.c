/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/privileges.h"
#include "policy/pinned.h"
#include "worker/accept.h"
#include "worker/cancel.h"
#include "worker/ferry.h"
#include "worker/hold.h"
#include "worker/sandbox.h"
#include "worker/session.h"

#define RING_ENTRIES 1024
#define TICK (500 * NANOSECONDS_PER_MILLISECOND)
/* How long a result may wait for a next action to be written with. */
#define RESULTS_WAIT (2 * NANOSECONDS_PER_MILLISECOND)

/* Once there is a policy to judge by and a segment to record in: until then connections wait in the
 * listener, also those that came while no worker had it. */
static void start_accepting(struct worker *w)
{
	if (w->accepting || !w->policy || recorder_wants(w->recorder))
		return;
	w->accepting = true;
	accept_again(w);
	flow_queues_start(w);
	channel_tell(&w->channel, MESSAGE_READY, SLICE_EMPTY);
}

/* --- what the monitor says --- */

static void take_policy(struct worker *w, int fd)
{
	struct policy *policy, *old = w->policy;
	struct error e;

	if (policy_open_descriptor(fd, &policy, &e) < 0) {
		log_error("the monitor's policy: %s", e.text);
		return;
	}
	w->policy = policy;
	/* Of other rules, CAs and credentials. */
	kept_clear(&w->kept);
	list_for_each_safe (position, &w->sessions)
		session_reload(list_entry(position, struct session, link));
	flows_forget(w);
	policy_put(old);
	start_accepting(w);
}

static void kill_session(struct worker *w, struct slice id)
{
	struct session *s = session_find(w, id);

	if (s && s->state == SESSION_CLOSING)
		session_reset(s, REASON_KILLED, NULL); /* it has been told all that it will be */
	else if (s)
		session_abort(s, REASON_KILLED, "%s", "");
}

static void give_segment(struct worker *w, struct slice payload, int fd)
{
	struct message_segment segment;

	if (payload.length < sizeof(segment))
		return;
	memcpy(&segment, payload.data, sizeof(segment));
	w->segments_asked &= ~(1u << segment.kind);
	recorder_set_segment_bytes(w->recorder, segment.bytes_most);
	if (fd >= 0)
		recorder_give_segment(
			w->recorder, (enum stream_kind)segment.kind, fd, segment.number);
	start_accepting(w);
}

/* What was accepted before the kernel knew of it is served, too. */
static void drain(struct worker *w)
{
	w->draining = true;
	accept_stop(w);
	kept_clear(&w->kept);
}

static void stop(struct worker *w)
{
	w->stopping = true;
	accept_stop(w);
	kept_clear(&w->kept);
	list_for_each_safe (position, &w->sessions)
		session_abort(
			list_entry(position, struct session, link), REASON_SHUTDOWN, "%s", "");
}

/* False: `fd` stays the caller's. One that did not arrive takes none of those away that there are.
 */
static bool add_listener(struct worker *w, struct slice payload, int fd)
{
	struct message_network message;

	if (payload.length < sizeof(message) || fd < 0)
		return false;
	memcpy(&message, payload.data, sizeof(message));
	accept_add(w, message.network, fd);
	return true;
}

static void remove_listeners(struct worker *w, struct slice payload)
{
	struct message_network message;

	if (payload.length < sizeof(message))
		return;
	memcpy(&message, payload.data, sizeof(message));
	accept_remove(w, message.network);
}

/* As above; a queue without a descriptor is gone. */
static bool set_queue(struct worker *w, enum message_type type, struct slice payload, int fd)
{
	struct message_network message;

	if (payload.length < sizeof(message))
		return false;
	memcpy(&message, payload.data, sizeof(message));
	if (fd < 0)
		flow_queues_remove(w, message.network);
	else if (type == MESSAGE_PACKETS)
		flow_queues_add(w, message.network, fd);
	else
		flow_queues_add_verdicts(w, message.network, fd);
	return fd >= 0;
}

static void on_message(void *context, enum message_type type, struct slice payload, int fd)
{
	struct worker *w = context;

	switch (type) {
	case MESSAGE_POLICY:
		take_policy(w, fd);
		break;
	case MESSAGE_SEGMENT:
		give_segment(w, payload, fd);
		return; /* the recorder has the descriptor */
	case MESSAGE_GRANTS:
		grants_take(&w->grants, fd);
		break;
	case MESSAGE_SETTLED:
		hold_on_grants(w);
		break;
	case MESSAGE_PRINCIPALS:
		who_take(&w->who, fd);
		kept_clear(&w->kept);
		list_for_each_safe (position, &w->sessions)
			session_on_principals(list_entry(position, struct session, link));
		flows_forget(w);
		break;
	case MESSAGE_FACTS:
		process_on_facts(w, payload);
		break;
	case MESSAGE_DECISION:
		hold_on_decision(w, payload);
		break;
	case MESSAGE_KILL:
		kill_session(w, payload);
		break;
	case MESSAGE_CANCEL:
		cancel_on_request(w, payload);
		break;
	case MESSAGE_CANCELLED:
		cancel_on_answer(w, payload);
		break;
	case MESSAGE_LISTEN:
		if (add_listener(w, payload, fd))
			return;
		break;
	case MESSAGE_UNLISTEN:
		remove_listeners(w, payload);
		break;
	case MESSAGE_PACKETS:
	case MESSAGE_VERDICTS:
		if (set_queue(w, type, payload, fd))
			return;
		break;
	case MESSAGE_STOP:
		stop(w);
		break;
	case MESSAGE_DRAIN:
		drain(w);
		break;
	default:
		break;
	}
	if (fd >= 0)
		close(fd);
}

/* Without a monitor nothing can be recorded or looked up: the sessions end with the worker. */
static void on_monitor_gone(void *context)
{
	(void)context;
	_exit(EXIT_FAILURE);
}

/* --- the clock, the recorder's and the jobs' events --- */

static void ask_for_segments(struct worker *w)
{
	unsigned wanted = recorder_wants(w->recorder) & ~w->segments_asked;

	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		struct message_segment request = {.kind = kind};

		if (!(wanted & 1u << kind))
			continue;
		w->segments_asked |= 1u << kind;
		channel_tell(&w->channel, MESSAGE_SEGMENT, slice_of(&request, sizeof(request)));
	}
}

/* Says when recording begins to fail, and when it works again. */
static void note_recording(struct worker *w, int error)
{
	if (error && !w->statistics.recording_error)
		log_error("nothing can be recorded, so agents are refused everything: %s",
			strerror(error));
	else if (!error && w->statistics.recording_error)
		log_info("recording works again");
	w->statistics.recording_error = (uint64_t)error;
}

static void on_tick(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, tick);
	uint64_t now = clock_monotonic();

	(void)result;
	session_tick(w, now);
	kept_tick(&w->kept, now);
	partings_tick(&w->partings, now);
	flows_tick(w, now);
	lookups_tick(w, now);
	cancel_tick(w, now);
	strangers_tick(w, now);
	accept_again(w);
	/* Behind the turn: what it refuses must be what the turn refuses too. */
	w->results_due = true;
	recorder_tick(w->recorder, now);
	ask_for_segments(w);
	catalogs_check(&w->catalogs, now);
	channel_tell(
		&w->channel, MESSAGE_STATISTICS, slice_of(&w->statistics, sizeof(w->statistics)));
	ring_timeout(&w->ring, &w->tick, TICK);
}

static void on_recorder_event(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, recorder_event);
	struct stream_head heads[RECORDER_HEADS_MOST];
	size_t count = 0;

	(void)result;
	if (recorder_on_event(w->recorder, heads, &count) < 0)
		log_error("the records could not be synced: %s", recorder_problem(w->recorder));
	if (count)
		channel_tell(&w->channel, MESSAGE_HEADS, slice_of(heads, count * sizeof(*heads)));
	ring_poll(&w->ring, &w->recorder_event, recorder_event(w->recorder), POLLIN);
}

static void on_results_due(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, results);

	(void)result;
	w->results_due = true;
}

static void on_jobs_event(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, jobs_event);

	(void)result;
	jobs_finish(w->jobs);
	ring_poll(&w->ring, &w->jobs_event, jobs_event(w->jobs), POLLIN);
}

/* --- the loop --- */

/* Results are written with the next action, or when there is none for a while. One timer goes on
 * through many actions: arming one for each wait programs the processor's timer, and in a virtual
 * machine that leaves it. */
static void flush_results(struct worker *w)
{
	if (w->results_due) {
		w->results_due = false;
		note_recording(w, -recorder_flush(w->recorder));
	}
	if (recorder_is_pending(w->recorder) && !w->results.in_flight)
		ring_timeout(&w->ring, &w->results, RESULTS_WAIT);
}

/* What was recorded goes to the kernel, and only then what was written to the peers. */
static void end_turn(struct worker *w)
{
	while (!list_is_empty(&w->dirty)) {
		int recorded = recorder_must_flush(w->recorder) ? recorder_flush(w->recorder) : 0;
		struct list now;

		list_init(&now);
		list_insert_after(&w->dirty, &now);
		list_remove(&w->dirty);
		while (!list_is_empty(&now)) {
			struct session *s = list_entry(now.next, struct session, dirty);

			list_remove(&s->dirty);
			session_finish_turn(s, recorded);
		}
	}
	flow_queues_finish_turn(w);
	session_reap(w);
	ferries_reap(w);
}

static void finish(struct worker *w)
{
	struct stream_head heads[RECORDER_HEADS_MOST];
	size_t count;

	strangers_end(w);
	count = recorder_stop(w->recorder, heads);
	channel_tell(&w->channel, MESSAGE_HEADS, slice_of(heads, count * sizeof(*heads)));
	_exit(EXIT_SUCCESS);
}

static void run(struct worker *w)
{
	for (;;) {
		int r = ring_turn(&w->ring, RING_FOREVER);

		if (r < 0) {
			log_error("io_uring: %s", strerror(-r));
			_exit(EXIT_FAILURE);
		}
		end_turn(w);
		flush_results(w);
		if ((w->stopping || (w->draining && !accept_is_busy(w))) &&
			list_is_empty(&w->sessions) && list_is_empty(&w->dead))
			finish(w);
	}
}

static void fail(const char *what, const struct error *e)
{
	log_error("%s: %s", what, e->text);
	_exit(EXIT_FAILURE);
}

/* What all workers and the monitor share. */
static void *map_shared(int fd, size_t size, int protection)
{
	void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
	struct error e;

	if (memory == MAP_FAILED) {
		error_set_errno(&e, -errno, "mmap");
		fail("start", &e);
	}
	return memory;
}

static void prepare(struct worker *w, const struct worker_start *start)
{
	struct recorder_options options = {.incarnation = start->incarnation};
	struct error e = {""};

	w->start = start;
	list_init(&w->accepts);
	for (unsigned i = 0; i < start->listener_count; i++)
		accept_add(w, ACCEPT_AT_HOME, start->listeners[i]);
	list_init(&w->sessions);
	list_init(&w->dirty);
	list_init(&w->dead);
	partings_init(&w->partings);
	list_init(&w->ferries);
	list_init(&w->holds);
	list_init(&w->holds_known);
	list_init(&w->holds_asked);
	who_init(&w->who);
	list_init(&w->cancels);
	kept_init(&w->kept);
	table_init(&w->keys);
	table_init(&w->ids);
	catalogs_init(&w->catalogs,
		map_shared(start->epochs_fd, WORKER_EPOCHS * sizeof(uint64_t),
			PROT_READ | PROT_WRITE));
	w->texts = sql_cache_new(LIMIT_STATEMENT_CACHE_BYTES);
	w->detectors = detector_engine_new(&e);
	if (!w->detectors)
		fail("detectors", &e);
	w->hasher = mask_hasher_new(start->hash_key);
	if (!w->hasher)
		fail("hash", &e);
	if (jobs_new(LIMIT_PARSER_STACK, &w->jobs) < 0 ||
		recorder_new(&w->recorder, &options) < 0) {
		error_set(&e, -EAGAIN, "can't start threads");
		fail("start", &e);
	}
	if (ring_init(&w->ring, RING_ENTRIES, &e) < 0)
		fail("ring", &e);
	channel_init(&w->channel, &w->ring, start->channel, on_message, on_monitor_gone, w);
	flows_init(w, start->packets, start->verdicts);
	lookups_init(&w->lookups);
	w->pinned = map_shared(start->pinned_fd, sizeof(*w->pinned), PROT_READ);
	shares_init(w,
		map_shared(start->shares_fd, sizeof(struct share_table), PROT_READ | PROT_WRITE));
	certificates_init(&w->certificates, &w->channel);
	if (grants_init(&w->grants, start->grants_fd) < 0)
		log_error("no table of grants, so none is in force here");
	if (sandbox_filter(&e) < 0)
		fail("sandbox", &e);
}

/* On a thread whose stack the parser's limits can't overflow. */
static void *worker_thread(void *context)
{
	struct worker *w = memory_new(sizeof(*w));

	prepare(w, context);
	w->tick.complete = on_tick;
	w->recorder_event.complete = on_recorder_event;
	w->jobs_event.complete = on_jobs_event;
	w->results.complete = on_results_due;
	ring_timeout(&w->ring, &w->tick, TICK);
	ring_poll(&w->ring, &w->recorder_event, recorder_event(w->recorder), POLLIN);
	ring_poll(&w->ring, &w->jobs_event, jobs_event(w->jobs), POLLIN);
	ask_for_segments(w);
	run(w);
	return NULL;
}

void worker_main(int fd)
{
	static struct worker_start start; /* outlives this function in the thread */
	pthread_attr_t attributes;
	struct error e = {""};
	pthread_t thread;
	char name[32];

	if (read(fd, &start, sizeof(start)) != (ssize_t)sizeof(start))
		_exit(EXIT_FAILURE);
	close(fd);
	snprintf(name, sizeof(name), "worker %u", start.index);
	log_set_name(name);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (privileges_drop(start.uid, start.gid, &e) < 0)
		fail("sandbox", &e);
	/* With the monitor gone there is nobody to record for. Behind the change of user, which
	 * clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The last files that it opens. Threads have Landlock's domain from who starts them. */
	tls_load_system_store(start.host_ca);
	if (sandbox_shut(&e) < 0)
		fail("sandbox", &e);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, LIMIT_PARSER_STACK);
	if (pthread_create(&thread, &attributes, worker_thread, &start) != 0)
		_exit(EXIT_FAILURE);
	pthread_join(thread, NULL);
	_exit(EXIT_FAILURE);
}
