/* SPDX-License-Identifier: Apache-2.0
 *
 * housekeeping: finished recordings are compressed, in a process of its own, and deleted when their
 * time is over or they are too many.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/privileges.h"
#include "monitor/monitor.h"

#define EVERY (60 * NANOSECONDS_PER_SECOND)
#define SOON (2 * NANOSECONDS_PER_SECOND) /* until the end of a segment is synced */
#define WARN_EVERY (3600 * NANOSECONDS_PER_SECOND)

static void run_compressor(pid_t parent, const struct compress_job *job, int result)
{
	struct compress_result compressed;

	/* Nothing takes what it has to say then, and it would keep the instance from the next
	 * daemon. */
	if (privileges_end_with(parent) < 0)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (nice(10) < 0 && errno == EPERM)
		_exit(EXIT_FAILURE);
	if (compress_segment(job->fd_in, job->fd_out, &compressed) < 0 ||
		write(result, &compressed, sizeof(compressed)) != (ssize_t)sizeof(compressed))
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

static void start_compressor(struct monitor *m)
{
	pid_t parent = getpid();
	int result[2];

	if (m->compressor || store_next_compression(m->store, &m->compression) <= 0)
		return;
	if (pipe(result) < 0) {
		store_finish_compression(m->store, &m->compression, NULL);
		return;
	}
	m->compressor = fork();
	if (m->compressor == 0)
		run_compressor(parent, &m->compression, result[1]);
	close(result[1]);
	m->compressor_result = result[0];
	if (m->compressor < 0) {
		m->compressor = 0;
		close(result[0]);
		store_finish_compression(m->store, &m->compression, NULL);
	}
}

void housekeeping_on_compressed(struct monitor *m)
{
	struct compress_result result;
	bool good = read(m->compressor_result, &result, sizeof(result)) == (ssize_t)sizeof(result);

	close(m->compressor_result);
	m->compressor = 0;
	store_finish_compression(m->store, &m->compression, good ? &result : NULL);
	start_compressor(m);
}

void housekeeping_stop(struct monitor *m)
{
	if (!m->compressor)
		return;
	kill(m->compressor, SIGKILL);
	waitpid(m->compressor, NULL, 0);
	close(m->compressor_result);
	m->compressor = 0;
	store_finish_compression(m->store, &m->compression, NULL);
}

static struct retention_policy policy_of(const struct monitor *m)
{
	const struct config_retention *configured =
		m->config->retention ? m->config->retention : &config_default_retention;

	return (struct retention_policy){
		.days = configured->days.value,
		.max_bytes = configured->max_bytes.value,
		.warn_percent = (unsigned)configured->warn_at.value,
	};
}

uint64_t housekeeping_segment_bytes(const struct monitor *m)
{
	struct retention_policy policy = policy_of(m);

	return retention_segment_bytes(&policy, m->worker_count);
}

/* Into the log when it begins, and then so often that it is not overlooked. */
static void set_warning(struct monitor *m, const char *warning, uint64_t now)
{
	bool was = m->retention_warning;

	free(m->retention_warning);
	m->retention_warning = *warning ? memory_copy_string(warning) : NULL;
	if (!m->retention_warning || (was && now < m->next_retention_warning))
		return;
	m->next_retention_warning = now + WARN_EVERY;
	log_warning("%s", warning);
}

void housekeeping_run(struct monitor *m, uint64_t now)
{
	struct retention_policy policy = policy_of(m);
	char warning[RETENTION_WARNING_SIZE];

	m->next_housekeeping = now + EVERY;
	if (wall_was_set(m))
		policy.days = 0;
	if (store_enforce_retention(m->store, &policy, warning) < 0)
		log_error("old recordings could not be deleted");
	else
		set_warning(m, warning, now);
	start_compressor(m);
}

void housekeeping_soon(struct monitor *m)
{
	uint64_t soon = clock_monotonic() + SOON;

	if (m->next_housekeeping > soon)
		m->next_housekeeping = soon;
}
