/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/inspector.h"

#include <cap-ng.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/process.h"

struct inspection {
	struct list link; /* inspector.waiting */
	struct inspector_request request;
};

struct inspector {
	int fd;
	struct program_hashes hashes;
	/* What follows is the mutex's. */
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct list waiting;
	unsigned waiting_count, thread_count, idle;
	/* The agents whose processes are being read, by thread; 0: none. */
	uint32_t agents[LIMIT_INSPECTIONS_AT_ONCE];
};

struct thread {
	struct inspector *inspector;
	unsigned index;
};

static void answer(struct inspector *i, const struct inspector_request *r,
	struct message_facts *facts, struct slice texts)
{
	struct inspector_answer head = {.worker = r->worker, .incarnation = r->incarnation};
	struct buffer message;

	facts->session = r->asked.session;
	head.facts = *facts;
	buffer_init(&message, sizeof(head) + INSPECTOR_TEXTS_MOST);
	if (buffer_append(&message, &head, sizeof(head)) == 0 &&
		buffer_append_slice(&message, texts) == 0 &&
		send(i->fd, message.data, buffer_length(&message), MSG_NOSIGNAL) < 0)
		log_error("what is known of a process can't be told: %s", strerror(errno));
	buffer_done(&message);
}

static void inspect(struct inspector *i, const struct inspector_request *r)
{
	struct message_facts facts = {.known = 0};
	struct buffer texts;

	buffer_init(&texts, INSPECTOR_TEXTS_MOST);
	if (r->cgroup[0] &&
		process_read(&r->asked.process, r->cgroup, &i->hashes, &facts, &texts) == 0) {
		facts.known = 1;
	} else {
		facts = (struct message_facts){.known = 0};
		buffer_clear(&texts);
	}
	answer(i, r, &facts, buffer_slice(&texts));
	buffer_done(&texts);
}

/* --- threads --- */

static bool may_begin(const struct inspector *i, uint32_t agent)
{
	unsigned count = 0;

	for (unsigned n = 0; n < LIMIT_INSPECTIONS_AT_ONCE; n++)
		count += i->agents[n] == agent;
	return count < LIMIT_INSPECTIONS_PER_AGENT;
}

/* The first whose turn it is; NULL: there is none now. */
static struct inspection *take(struct inspector *i)
{
	list_for_each_safe (position, &i->waiting) {
		struct inspection *found = list_entry(position, struct inspection, link);

		if (!may_begin(i, found->request.asked.agent))
			continue;
		list_remove(&found->link);
		i->waiting_count--;
		return found;
	}
	return NULL;
}

static void *run(void *context)
{
	struct thread *t = context;
	struct inspector *i = t->inspector;

	pthread_mutex_lock(&i->mutex);
	for (;;) {
		struct inspection *found = take(i);

		if (!found) {
			i->idle++;
			pthread_cond_wait(&i->more, &i->mutex);
			i->idle--;
			continue;
		}
		i->agents[t->index] = found->request.asked.agent;
		pthread_mutex_unlock(&i->mutex);
		inspect(i, &found->request);
		free(found);
		pthread_mutex_lock(&i->mutex);
		i->agents[t->index] = 0;
	}
	return NULL;
}

static void start_thread(struct inspector *i)
{
	struct thread *t = memory_new(sizeof(*t));
	pthread_t thread;

	*t = (struct thread){i, i->thread_count};
	if (pthread_create(&thread, NULL, run, t) != 0) {
		free(t);
		return;
	}
	pthread_detach(thread);
	i->thread_count++;
}

static void add(struct inspector *i, const struct inspector_request *r)
{
	struct message_facts unknown = {.known = 0};
	struct inspection *waiting;
	bool full;

	pthread_mutex_lock(&i->mutex);
	full = i->waiting_count >= LIMIT_INSPECTIONS;
	if (!full) {
		waiting = memory_new(sizeof(*waiting));
		waiting->request = *r;
		list_append(&i->waiting, &waiting->link);
		i->waiting_count++;
		if (i->idle < i->waiting_count && i->thread_count < LIMIT_INSPECTIONS_AT_ONCE)
			start_thread(i);
		pthread_cond_signal(&i->more);
	}
	pthread_mutex_unlock(&i->mutex);
	if (full)
		answer(i, r, &unknown, SLICE_EMPTY);
}

/* --- the process --- */

/* It reads other users' processes and programs, and does nothing else. */
static int drop_privileges(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_updatev(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE, CAP_SYS_PTRACE,
		    CAP_DAC_READ_SEARCH, -1) < 0 ||
		capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0
		? -errno
		: 0;
}

int inspector_main(int fd)
{
	static struct inspector inspector; /* of the threads, which stay until the process ends */
	struct inspector *i = &inspector;
	struct inspector_request request;
	ssize_t n;

	log_set_name("inspector");
	if (drop_privileges() < 0)
		return EXIT_FAILURE;
	i->fd = fd;
	program_hashes_init(&i->hashes);
	pthread_mutex_init(&i->mutex, NULL);
	pthread_cond_init(&i->more, NULL);
	list_init(&i->waiting);
	while ((n = recv(fd, &request, sizeof(request), 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n != (ssize_t)sizeof(request))
			continue;
		request.cgroup[sizeof(request.cgroup) - 1] = '\0';
		add(i, &request);
	}
	_exit(n == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
