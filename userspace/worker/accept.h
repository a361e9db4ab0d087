/* SPDX-License-Identifier: Apache-2.0
 *
 * accept: the listening sockets of a worker: those that it was started with, and those in agents'
 * network namespaces, which come and go (capture/networks.h).
 */
#ifndef WAYLEAVE_WORKER_ACCEPT_H
#define WAYLEAVE_WORKER_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

#define ACCEPT_AT_HOME 0 /* the network of those that it was started with */

/* Takes the descriptor. Connections are taken once the worker accepts (worker.accepting). */
void accept_add(struct worker *w, uint64_t network, int fd);
/* Closes those of that network. */
void accept_remove(struct worker *w, uint64_t network);
/* Goes on with those that had to stop, where the worker accepts. */
void accept_again(struct worker *w);
/* Takes no more; accept_is_busy() until all have stopped. */
void accept_stop(struct worker *w);
bool accept_is_busy(const struct worker *w);

#endif
