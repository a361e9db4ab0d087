/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

struct jobs {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct list waiting, finished;
	int event;
};

static void *jobs_thread(void *context)
{
	struct jobs *j = context;

	pthread_mutex_lock(&j->mutex);
	for (;;) {
		struct job *job;
		uint64_t one = 1;

		while (list_is_empty(&j->waiting))
			pthread_cond_wait(&j->more, &j->mutex);
		job = list_entry(j->waiting.next, struct job, link);
		list_remove(&job->link);
		pthread_mutex_unlock(&j->mutex);
		job->run(job);
		pthread_mutex_lock(&j->mutex);
		list_append(&j->finished, &job->link);
		if (write(j->event, &one, sizeof(one)) < 0)
			continue; /* it is readable already */
	}
	return NULL;
}

int jobs_new(size_t stack, struct jobs **ret)
{
	struct jobs *j = memory_new(sizeof(*j));
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	pthread_mutex_init(&j->mutex, NULL);
	pthread_cond_init(&j->more, NULL);
	list_init(&j->waiting);
	list_init(&j->finished);
	j->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->event < 0) {
		free(j);
		return -errno;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = -pthread_create(&thread, &attributes, jobs_thread, j);
	pthread_attr_destroy(&attributes);
	if (r < 0) {
		close(j->event);
		free(j);
		return r;
	}
	*ret = j;
	return 0;
}

void jobs_add(struct jobs *j, struct job *job)
{
	pthread_mutex_lock(&j->mutex);
	list_append(&j->waiting, &job->link);
	pthread_cond_signal(&j->more);
	pthread_mutex_unlock(&j->mutex);
}

int jobs_event(const struct jobs *j)
{
	return j->event;
}

void jobs_finish(struct jobs *j)
{
	struct list done;
	uint64_t count;

	if (read(j->event, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	list_init(&done);
	pthread_mutex_lock(&j->mutex);
	while (!list_is_empty(&j->finished)) {
		struct list *first = j->finished.next;

		list_remove(first);
		list_append(&done, first);
	}
	pthread_mutex_unlock(&j->mutex);
	while (!list_is_empty(&done)) {
		struct job *job = list_entry(done.next, struct job, link);

		list_remove(&job->link);
		job->done(job);
	}
}
