/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog: ends a session's process that stays in one turn of its loop. libssh can do so for ever:
 * to a channel whose end takes packets of ten bytes it sends empty ones without end
 * (channel_write_common() in libssh 0.10's channels.c takes ten off for the head), and no function
 * tells what an end takes.
 */
#ifndef WAYLEAVE_SSH_WATCHDOG_H
#define WAYLEAVE_SSH_WATCHDOG_H

/* The exit status of a process that was ended so. */
#define WATCHDOG_STATUS 3

/* From now on, LIMIT_SSH_TURN seconds of processor time without a turn end the process. */
void watchdog_begin(void);
void watchdog_turn(void);

#endif
