/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs: what would stop a loop runs on one thread of its own. Started before any sandbox; uses
 * futexes and an eventfd alone.
 */
#ifndef WAYLEAVE_BASE_JOBS_H
#define WAYLEAVE_BASE_JOBS_H

#include <stddef.h>

#include "base/list.h"

struct jobs;

/* Embedded in whatever waits for it, which must stay alive until `done`. */
struct job {
	struct list link;
	void (*run)(struct job *job); /* on the thread */
	void (*done)(struct job *job); /* on the loop, from jobs_finish() */
};

/* `stack`: bytes that the thread's stack has. Negative errno. The thread ends with the process. */
int jobs_new(size_t stack, struct jobs **ret);
void jobs_add(struct jobs *j, struct job *job);
/* Readable when jobs are done. */
int jobs_event(const struct jobs *j);
/* Calls `done` for those that are. */
void jobs_finish(struct jobs *j);

#endif
