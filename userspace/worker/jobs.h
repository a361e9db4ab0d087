/* SPDX-License-Identifier: Apache-2.0
 *
 * jobs: what would stop the loop runs on one thread of its own, with a stack as large as the SQL
 * parser may need (LIMIT_PARSER_STACK). Started before the sandbox; uses futexes and an eventfd
 * alone.
 */
#ifndef WAYLEAVE_WORKER_JOBS_H
#define WAYLEAVE_WORKER_JOBS_H

#include "base/list.h"

struct jobs;

/* Embedded in whatever waits for it, which must stay alive until `done`. */
struct job {
	struct list link;
	void (*run)(struct job *job); /* on the thread */
	void (*done)(struct job *job); /* on the loop, from jobs_finish() */
};

int jobs_new(struct jobs **ret);
void jobs_add(struct jobs *j, struct job *job);
/* Readable when jobs are done. */
int jobs_event(const struct jobs *j);
/* Calls `done` for those that are. */
void jobs_finish(struct jobs *j);

#endif
