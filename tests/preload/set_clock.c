/* SPDX-License-Identifier: Apache-2.0
 *
 * set_clock: LD_PRELOAD that lets a test set the wall clock of one daemon and of nobody else. The
 * file that SET_CLOCK names holds how many nanoseconds the clock is ahead of the host's (negative:
 * behind), as a number of 8 bytes; whoever writes there sets the clock. The other clocks stay as
 * they are, as when an administrator sets it.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *ahead;
static int (*real_gettime)(clockid_t id, struct timespec *t);

/* Before any sandbox: nothing is opened or asked for later. */
__attribute__((constructor)) static void map(void)
{
	const char *path = getenv("SET_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);

	if (memory != MAP_FAILED)
		ahead = memory;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int64_t now;
	int r;

	/* Other libraries ask what time it is before the above. */
	if (!real_gettime)
		*(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	r = real_gettime(id, t);
	if (r < 0 || !ahead || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
		return r;
	now = t->tv_sec * SECOND + t->tv_nsec + *ahead;
	t->tv_sec = now / SECOND;
	t->tv_nsec = now % SECOND;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
	return 0;
}
