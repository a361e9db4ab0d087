/* SPDX-License-Identifier: Apache-2.0
 *
 * signs: when a session that waits for people says the next time that it lives.
 *
 * People see a notice every 15 s; libraries something every second, as some give up on a connection
 * that is silent for a few. Where very many wait it is every two seconds: each sign costs a system
 * call, and a wake-up of its reader. All are given at common points in time, a few in a second: a
 * session that works meanwhile is held up by a bunch of them once, and not by each.
 *
 * Times are monotonic nanoseconds. `spread` 0: a whole period later, and never after that; another
 * number: within it, so that those which came together go different ways.
 */
#ifndef WAYLEAVE_WORKER_SIGNS_H
#define WAYLEAVE_WORKER_SIGNS_H

#include <stddef.h>
#include <stdint.h>

uint64_t signs_next_beat(uint64_t now, size_t waiting, uint64_t spread);
uint64_t signs_next_notice(uint64_t now, uint64_t spread);

#endif
