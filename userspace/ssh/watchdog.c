/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/watchdog.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/limits.h"

static volatile sig_atomic_t turned;

static void on_time(int number)
{
	(void)number;
	if (!turned)
		_exit(WATCHDOG_STATUS);
	turned = 0;
}

void watchdog_begin(void)
{
	static const struct itimerval again = {
		{.tv_sec = LIMIT_SSH_TURN}, {.tv_sec = LIMIT_SSH_TURN}};
	struct sigaction action = {.sa_handler = on_time, .sa_flags = SA_RESTART};

	turned = 1;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &again, NULL);
}

void watchdog_turn(void)
{
	turned = 1;
}
