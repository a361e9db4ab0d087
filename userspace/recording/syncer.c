/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/syncer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/memory.h"

enum syncer_state { SYNCER_IDLE, SYNCER_WORKING, SYNCER_DONE };

struct syncer {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wanted, done;
	enum syncer_state state; /* under the mutex; the items are the thread's while WORKING */
	bool ending; /* under the mutex */
	int event;
	bool busy; /* the caller's view: a job was started and not finished */
	size_t count;
	struct sync_item items[SYNCER_ITEMS_MOST];
};

static void syncer_do(struct syncer *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct sync_item *item = &s->items[i];
		int r;

		do {
			r = fdatasync(item->fd);
		} while (r < 0 && errno == EINTR);
		item->error = r < 0 ? -errno : 0;
		if (item->close)
			close(item->fd);
	}
}

static void *syncer_thread(void *argument)
{
	static const uint64_t one = 1;
	struct syncer *s = argument;

	pthread_mutex_lock(&s->mutex);
	while (s->state == SYNCER_WORKING || !s->ending) {
		if (s->state != SYNCER_WORKING) {
			pthread_cond_wait(&s->wanted, &s->mutex);
			continue;
		}
		pthread_mutex_unlock(&s->mutex);
		syncer_do(s);
		pthread_mutex_lock(&s->mutex);
		s->state = SYNCER_DONE;
		pthread_cond_signal(&s->done);
		/* Can fail only when the counter is full, and then it is readable anyway. */
		if (write(s->event, &one, sizeof(one)) < 0)
			continue;
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

int syncer_new(struct syncer **ret)
{
	struct syncer *s = memory_new(sizeof(*s));
	sigset_t all, before;
	int r;

	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event < 0) {
		r = -errno;
		free(s);
		return r;
	}
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->wanted, NULL);
	pthread_cond_init(&s->done, NULL);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&s->thread, NULL, syncer_thread, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		close(s->event);
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void syncer_free(struct syncer *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->mutex);
	s->ending = true;
	pthread_cond_signal(&s->wanted);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	close(s->event);
	free(s);
}

int syncer_event(const struct syncer *s)
{
	return s->event;
}

bool syncer_is_busy(const struct syncer *s)
{
	return s->busy;
}

void syncer_start(struct syncer *s, const struct sync_item *items, size_t count)
{
	assert(!s->busy && count >= 1 && count <= SYNCER_ITEMS_MOST);
	s->busy = true;
	pthread_mutex_lock(&s->mutex);
	memcpy(s->items, items, count * sizeof(*items));
	s->count = count;
	s->state = SYNCER_WORKING;
	pthread_cond_signal(&s->wanted);
	pthread_mutex_unlock(&s->mutex);
}

void syncer_wait(struct syncer *s)
{
	pthread_mutex_lock(&s->mutex);
	while (s->state == SYNCER_WORKING)
		pthread_cond_wait(&s->done, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
}

size_t syncer_finish(struct syncer *s, struct sync_item *ret)
{
	uint64_t counter;
	size_t count = 0;

	pthread_mutex_lock(&s->mutex);
	if (s->state == SYNCER_DONE) {
		s->state = SYNCER_IDLE;
		count = s->count;
		memcpy(ret, s->items, count * sizeof(*ret));
		s->busy = false;
		/* Resets the event; EAGAIN only where it was not set. */
		if (read(s->event, &counter, sizeof(counter)) < 0)
			counter = 0;
	}
	pthread_mutex_unlock(&s->mutex);
	return count;
}
