/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/loop.h"

#include <errno.h>
#include <sys/epoll.h>

int loop_init(struct loop *l)
{
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	return l->fd < 0 ? -errno : 0;
}

int loop_add(struct loop *l, struct loop_source *source, int fd,
	void (*ready)(struct loop_source *source), void *context)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	*source = (struct loop_source){.fd = fd, .ready = ready, .context = context};
	return epoll_ctl(l->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void set_events(struct loop *l, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	epoll_ctl(l->fd, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_pause(struct loop *l, struct loop_source *source)
{
	set_events(l, source, 0);
}

void loop_go_on(struct loop *l, struct loop_source *source)
{
	set_events(l, source, EPOLLIN);
}

void loop_remove(struct loop *l, struct loop_source *source)
{
	epoll_ctl(l->fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

int loop_turn(struct loop *l, int milliseconds)
{
	struct epoll_event event;
	/* One event at a time: what a callback removes can't be in a list that is still being
	 * walked. */
	int n = epoll_wait(l->fd, &event, 1, milliseconds);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 1) {
		struct loop_source *source = event.data.ptr;

		source->ready(source);
	}
	return 0;
}
