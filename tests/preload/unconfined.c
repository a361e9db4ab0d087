/* SPDX-License-Identifier: Apache-2.0
 *
 * unconfined: LD_PRELOAD for a daemon whose canary's confinement does not take: for the user of
 * UNCONFINED (a number) seccomp filters and Landlock rules are said to be in force, and are not. So
 * a test sees what becomes of a way out that is open.
 */
#include <dlfcn.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_meant(void)
{
	const char *user = getenv("UNCONFINED");

	return user && geteuid() == (uid_t)strtoul(user, NULL, 10);
}

int seccomp_load(const scmp_filter_ctx filter)
{
	int (*real)(scmp_filter_ctx) = dlsym(RTLD_NEXT, "seccomp_load");

	return is_meant() ? 0 : real(filter);
}

long syscall(long number, ...)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_landlock_restrict_self && is_meant())
		return 0;
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
