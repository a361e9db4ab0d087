/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/monitor.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/random.h"
#include "monitor/handover.h"
#include "monitor/ssh_signer.h"
#include "monitor/unix_servers.h"
#include "worker/worker.h"

#define START_TIME (10 * NANOSECONDS_PER_SECOND) /* for workers and the self-test */
#define NAMES_TIME (3 * NANOSECONDS_PER_SECOND) /* for the first lookup of names */
#define STOP_TIME (5 * NANOSECONDS_PER_SECOND)
#define SLACK_TIME (2 * NANOSECONDS_PER_SECOND) /* to be told what became of reviews at the end */
#define TICK NANOSECONDS_PER_SECOND

/* --- signals --- */

static void reap(struct monitor *m);

static void on_signal(struct loop_source *source)
{
	struct monitor *m = source->context;
	struct signalfd_siginfo info;

	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGHUP:
			m->reload_at = clock_monotonic();
			break;
		case SIGCHLD:
			reap(m);
			break;
		default:
			/* Asked again, it waits for nobody. */
			m->hurried = m->stopping;
			m->stopping = true;
			break;
		}
	}
}

static int catch_signals(struct monitor *m, struct error *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return error_set_errno(e, -errno, "signalfd");
	return loop_add(&m->loop, &m->signals, fd, on_signal, m);
}

/* --- children --- */

static void reap(struct monitor *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->compressor)
			housekeeping_on_compressed(m);
		else if (canary_on_exit(&m->canary, pid))
			continue;
		else if (!broker_process_on_exit(&m->broker, pid, status) &&
			!broker_process_on_exit(&m->openid, pid, status) &&
			!ssh_process_on_exit(&m->ssh, pid, status) &&
			!inspector_process_on_exit(&m->inspector, pid, status) &&
			!own_keys_on_exit(&m->own_keys, pid, status))
			workers_on_exit(m, pid, status);
	}
}

/* --- the loop --- */

static void on_store(struct loop_source *source)
{
	store_on_event(((struct monitor *)source->context)->store);
}

static void on_names(struct loop_source *source)
{
	settings_on_names(source->context);
}

/* A connection that the kernel refused, for the audit log. */
static void on_refused(void *context, const struct steer_event *event)
{
	struct monitor *m = context;
	const struct config_agent *agent = NULL;
	const char *transport = "port";
	char detail[256];

	for (size_t i = 0; i < m->config->agent_count; i++) {
		if (m->config->agents[i].id == event->origin.agent)
			agent = &m->config->agents[i];
	}
	if (event->transport == IPPROTO_UDP)
		transport = "UDP port";
	else if (event->transport)
		transport = "ICMP, port";
	snprintf(detail, sizeof(detail), "%s; pid %u (%.15s), %s %u",
		capture_count_text((enum steer_count)event->count)->text, event->origin.pid,
		event->origin.command, transport, event->origin.port);
	store_note(m->store, HOST_REFUSED, slice_from_string(agent ? agent->name.text : "?"),
		slice_from_string(detail));
}

static void process_capture(struct monitor *m)
{
	struct error e;
	int r = capture_process(m->capture, on_refused, m, &e);

	if (r < 0 && !m->capture_retry)
		log_error("capture: %s", e.text);
	m->capture_retry = r < 0;
}

static void on_capture(struct loop_source *source)
{
	process_capture(source->context);
}

static void tick(struct monitor *m, uint64_t now)
{
	m->next_tick = now + TICK;
	store_tick(m->store, now);
	server_tick(m);
	workers_tick(m, now);
	ssh_process_tick(&m->ssh, now, m->worker_uid, m->worker_gid);
	ssh_signers_tick(&m->ssh_signers, now);
	own_keys_tick(&m->own_keys, now);
	inspector_process_tick(&m->inspector, now);
	if (m->serving)
		broker_process_tick(&m->openid, now);
	if (m->serving)
		slack_tick(m, now);
	process_capture(m);
	/* Its own connections would wait for the next daemon, too. */
	if (m->serving && !m->stopping)
		canary_tick(&m->canary, now, m->config->canary.value);
	metrics_tick(m, now);
	if (m->serving && !m->stopping && pinning_is_stale(m))
		settings_on_names(m);
	if (m->serving && now >= m->next_housekeeping)
		housekeeping_run(m, now);
}

int monitor_turn(struct monitor *m)
{
	uint64_t now;
	int r = loop_turn(&m->loop, m->slack_more ? 0 : 100);

	m->slack_more = false;
	now = clock_monotonic();
	if (now >= m->next_tick)
		tick(m, now);
	if (m->serving) {
		reviews_tick(m);
		slack_turn(m);
		identities_turn(m, now);
	}
	if (m->serving && m->reload_at && now >= m->reload_at && now >= m->reload_rests)
		settings_reload(m);
	return r;
}

/* --- start --- */

static int load_hash_key(struct monitor *m, struct error *e)
{
	char *path = memory_format("%s/keys/hash.key", m->config->state_dir.text);
	struct buffer key;
	int r = 0;

	buffer_init(&key, sizeof(m->hash_key));
	if (access(path, F_OK) == 0) {
		r = file_read(path, &key, e);
		if (r == 0 && buffer_length(&key) != sizeof(m->hash_key))
			r = error_set(e, -EINVAL, "%s: not a key", path);
		if (r == 0)
			memcpy(m->hash_key, buffer_slice(&key).data, sizeof(m->hash_key));
	} else {
		random_fill(m->hash_key, sizeof(m->hash_key));
		r = file_write(path, slice_of(m->hash_key, sizeof(m->hash_key)), 0600, e);
	}
	buffer_wipe(&key);
	free(path);
	return r;
}

/* Elsewhere than in its own place the log may be somebody's to throw away, who would need chattr(1)
 * first: there, whoever wants it has to say so. */
static bool audit_is_append_only(const struct config *c)
{
	if (c->audit)
		return c->audit->append_only;
	return strcmp(c->state_dir.text, SETTINGS_STATE_DIR) == 0;
}

static int open_stores(struct monitor *m, struct error *e)
{
	struct store_options options = {
		.state_dir = m->config->state_dir.text,
		.version = MONITOR_VERSION,
		.append_only = audit_is_append_only(m->config),
	};
	int r = file_make_folders(m->config->state_dir.text, 0755, e);

	if (r == 0)
		r = file_make_folders(m->config->runtime_dir.text, 0755, e);
	if (r == 0)
		r = store_open(&m->store, &options, e);
	if (r == 0 && options.append_only && !store_is_append_only(m->store))
		log_warning("%s: the file system can't make the audit log append-only",
			m->config->state_dir.text);
	if (r == 0)
		r = load_hash_key(m, e);
	if (r == 0)
		r = authority_open(m->config->state_dir.text, m->config->ca, &m->authority, e);
	if (r == 0)
		r = ssh_authority_open(m->config->state_dir.text, &m->ssh_authority, e);
	if (r == 0)
		r = loop_add(&m->loop, &m->store_source, store_event(m->store), on_store, m);
	return r;
}

static int make_shared(const char *name, size_t size, int *ret, struct error *e)
{
	*ret = memfd_create(name, MFD_CLOEXEC);
	if (*ret < 0 || ftruncate(*ret, (off_t)size) < 0)
		return error_set_errno(e, -errno, "memfd_create");
	return 0;
}

/* What workers write for each other. */
static int make_tables(struct monitor *m, struct error *e)
{
	int r = make_shared("wayleave-epochs", WORKER_EPOCHS * sizeof(uint64_t), &m->epochs_fd, e);

	return r == 0 ? make_shared("wayleave-shares", sizeof(struct share_table), &m->shares_fd, e)
		      : r;
}

/* Before anything is written: another daemon with the same folders goes on undisturbed. */
static int take_instance(struct monitor *m, struct error *e)
{
	struct capture_options options = {.instance = m->instance,
		.configuration = m->config_file,
		.on_network = workers_on_network,
		.on_queue = workers_on_queue,
		.context = m};

	return capture_open(&options, &m->capture, e);
}

static unsigned count_workers(const struct config *c)
{
	unsigned count = (unsigned)c->workers.value;

	if (count == 0)
		count = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	return count < MONITOR_WORKERS_MOST ? count : MONITOR_WORKERS_MOST;
}

/* Sockets of the daemon before that can't be gone on with hold a configured port all the same,
 * until the manager closes them too. */
static int open_listeners(struct monitor *m, struct listener_inherited *given, struct error *e)
{
	uint16_t port = (uint16_t)m->config->listen_port.value;
	int r = capture_listen(m->capture, m->worker_count, port, given, &m->listeners, e);

	if (r == -EADDRINUSE && handover_forget())
		r = capture_listen(m->capture, m->worker_count, port, NULL, &m->listeners, e);
	return r;
}

static int open_capture(struct monitor *m, struct error *e)
{
	struct handover given;
	int r;

	handover_take(HANDOVER_FIRST, &given);
	m->worker_count = count_workers(m->config);
	r = open_listeners(m, &given.listeners, e);
	if (r < 0)
		return r;
	m->unix_fd = given.unix_fd;
	r = unix_servers_listen(m->capture, m->config->runtime_dir.text, &m->unix_fd, e);
	if (r == 0)
		r = loop_add(&m->loop, &m->capture_source, capture_descriptor(m->capture),
			on_capture, m);
	return r;
}

/* Turns the loop until `done` says so; -ETIMEDOUT. */
static int wait_until(
	struct monitor *m, bool (*done)(const struct monitor *m), uint64_t nanoseconds)
{
	uint64_t deadline = clock_monotonic() + nanoseconds;

	while (!done(m)) {
		if (m->stopping || clock_monotonic() > deadline)
			return -ETIMEDOUT;
		monitor_turn(m);
	}
	return 0;
}

static void on_selftest(struct loop_source *source)
{
	struct monitor *m = source->context;
	struct error e;

	if (selftest_on_result(&m->selftest, &e) < 0) {
		log_error("self-test: %s", e.text);
		loop_remove(&m->loop, source);
	}
}

static bool selftest_done(const struct monitor *m)
{
	return selftest_is_done(&m->selftest);
}

/* Proves that an agent's connection reaches a worker with its origin, before any agent relies on
 * it. */
static int prove_capture(struct monitor *m, struct error *e)
{
	int r = selftest_start(m->capture, &m->listeners, &m->selftest, e);

	if (r < 0)
		return r;
	m->selftest_running = true;
	loop_add(&m->loop, &m->selftest_source, selftest_descriptor(&m->selftest), on_selftest, m);
	r = wait_until(m, selftest_done, START_TIME);
	if (m->selftest_source.fd >= 0)
		loop_remove(&m->loop, &m->selftest_source);
	selftest_finish(&m->selftest);
	m->selftest_running = false;
	if (r < 0)
		return error_set(e, r, "the self-test failed: origins do not arrive");
	return 0;
}

static bool names_known(const struct monitor *m)
{
	struct policy_address *addresses;
	size_t count = names_take(m->names, &addresses);

	names_free_addresses(addresses, count);
	return count > 0;
}

static int start(struct monitor *m, struct error *e)
{
	int r = catch_signals(m, e);

	if (r == 0)
		r = settings_load(m, e);
	worker_limits_open(&m->limits);
	m->ssh.limits = &m->limits;
	if (r == 0)
		r = take_instance(m, e);
	if (r == 0)
		r = open_stores(m, e);
	if (r == 0)
		r = make_tables(m, e);
	if (r == 0 && credentials_new(m, &m->credentials) < 0)
		r = error_set(e, -EAGAIN, "can't start a thread");
	if (r == 0)
		r = slack_open(m, e);
	if (r == 0)
		r = openid_open(m, e);
	if (r == 0)
		r = reviews_open(m, e);
	if (r == 0)
		r = pinning_open(m, e);
	if (r == 0)
		r = open_capture(m, e);
	if (r < 0)
		return r;
	/* A name that can't be resolved now is resolved later; nothing waits for it longer. */
	if (m->names_wanted)
		wait_until(m, names_known, NAMES_TIME);
	r = settings_apply(m, e);
	if (r == 0)
		runs_load(m);
	if (r == 0)
		r = inspector_process_open(&m->inspector, &m->loop, m->workers, m->worker_count, e);
	if (r == 0)
		r = workers_start(m, e);
	if (r == 0 && wait_until(m, workers_are_ready, START_TIME) < 0)
		r = error_set(e, -ETIMEDOUT, "the workers did not start");
	if (r == 0)
		r = prove_capture(m, e);
	if (r == 0)
		r = openid_configure(m, e);
	if (r == 0)
		r = slack_configure(m, e);
	if (r == 0)
		slack_on_configured(m);
	if (r == 0)
		r = server_open(m, e);
	if (r == 0)
		r = metrics_configure(m, e);
	if (r == 0)
		r = settings_watch(m, e);
	if (r == 0)
		r = loop_add(&m->loop, &m->names_source, names_event(m->names), on_names, m);
	return r;
}

/* What was accepted goes on for a while, with all that it needs of the monitor; who connects now
 * waits for the next daemon. */
static void drain(struct monitor *m)
{
	uint64_t deadline = clock_monotonic() + LIMIT_DRAIN_TIME * NANOSECONDS_PER_MILLISECOND;

	handover_notify("STOPPING=1");
	/* Nobody keeps those in other network namespaces: who connects there waits, for some
	 * seconds, until the next daemon has made one. */
	capture_leave_networks(m->capture);
	workers_tell_all(m, MESSAGE_DRAIN, SLICE_EMPTY);
	while (!workers_are_gone(m) && !m->hurried && clock_monotonic() < deadline)
		monitor_turn(m);
}

/* Whoever looks there sees that nothing is to be decided any more; what Slack is not told now the
 * next daemon tells. */
static void tell_slack(struct monitor *m)
{
	uint64_t deadline = clock_monotonic() + SLACK_TIME;

	while (!slack_is_settled(m) && !m->hurried && clock_monotonic() < deadline) {
		slack_turn(m);
		monitor_turn(m);
	}
}

/* Sessions end, records are synced, the last checkpoint is signed. Hooks and rules stay: agents can
 * reach nothing while nobody judges what they do. */
static void stop(struct monitor *m)
{
	uint64_t deadline = clock_monotonic() + STOP_TIME;

	m->stopping = true;
	if (m->serving && m->handed_over)
		drain(m);
	m->serving = false;
	canary_done(&m->canary);
	metrics_close(m);
	server_close(m);
	reviews_stop(m);
	workers_stop(m);
	while (!workers_are_gone(m) && clock_monotonic() < deadline)
		monitor_turn(m);
	for (unsigned i = 0; i < m->worker_count; i++) {
		if (m->workers[i].pid) {
			log_warning("worker %u did not end; killing it", i);
			kill(m->workers[i].pid, SIGKILL);
			waitpid(m->workers[i].pid, NULL, 0);
			store_worker_gone(
				m->store, &m->workers[i].incarnation, "killed at the end");
		}
	}
	tell_slack(m);
	ssh_process_close(&m->ssh);
	own_keys_close(&m->own_keys);
	inspector_process_close(&m->inspector);
	slack_close(m);
	openid_close(m);
	reviews_close(m);
	pinning_close(m);
	housekeeping_stop(m);
	store_close(m->store);
	listener_close(&m->listeners);
	if (m->unix_fd >= 0 && !m->handed_over)
		unix_servers_remove(m->config->runtime_dir.text);
	if (m->unix_fd >= 0)
		close(m->unix_fd);
	capture_close(m->capture);
	authority_free(m->authority);
	ssh_authority_free(m->ssh_authority);
	names_free(m->names);
	config_free(m->config);
	worker_limits_close(&m->limits);
	start_pace_done(&m->unit_starts);
	memory_wipe(m->hash_key, sizeof(m->hash_key));
}

int monitor_run(const char *config_file)
{
	static struct monitor monitor; /* as long as the process */
	struct monitor *m = &monitor;
	struct error e = {""};
	int r;

	log_set_name("monitor");
	/* Absolute: it is watched, and hidden from agents. What isn't there is reported when it is
	 * read. */
	m->config_file = realpath(config_file, NULL);
	if (!m->config_file)
		m->config_file = config_file;
	m->policy_fd = -1;
	/* Marks of flows outlive a daemon: its successor's generations are others. */
	m->generation = clock_wall() / NANOSECONDS_PER_SECOND;
	m->epochs_fd = m->shares_fd = -1;
	m->grants_fd = -1;
	m->pinned_fd = -1;
	m->unix_fd = -1;
	m->limits.outer = m->limits.cgroup = -1;
	for (size_t i = 0; i < ARRAY_SIZE(m->reserve); i++)
		m->reserve[i] = -1;
	server_reserve(m);
	m->pin_file.fd = -1;
	m->watch.fd = -1;
	m->selftest_source.fd = -1;
	list_init(&m->clients);
	metrics_init(m);
	list_init(&m->ssh_signers);
	ssh_process_init(&m->ssh);
	own_keys_open(&m->own_keys);
	for (unsigned i = 0; i < MONITOR_WORKERS_MOST; i++)
		m->workers[i] = (struct monitor_worker){.monitor = m, .index = i, .channel = -1};
	/* Keys and passwords pass through: no dump of its memory, by whatever means. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(const struct rlimit){0, 0});
	r = loop_init(&m->loop);
	if (r == 0)
		r = start(m, &e);
	if (r < 0) {
		log_error("%s", e.text[0] ? e.text : strerror(-r));
	} else {
		canary_init(&m->canary, m->capture, &m->loop);
		m->serving = true;
		log_info("ready: %zu agents, %zu resources, %u workers, port %u",
			m->config->agent_count, m->config->resource_count, m->worker_count,
			m->listeners.port);
		m->handed_over = handover_keep(&m->listeners, m->unix_fd);
		handover_notify("READY=1");
		while (!m->stopping && r == 0)
			r = monitor_turn(m);
	}
	stop(m);
	if (r == 0)
		log_info("stopped");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
