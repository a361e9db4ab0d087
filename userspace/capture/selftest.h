/* SPDX-License-Identifier: Apache-2.0
 *
 * selftest: proves at start that an agent's connection reaches the worker with its origin. A child
 * in a scratch agent's cgroup connects to nobody in particular on 127.0.0.1 and ::1; the hooks turn
 * both connections to the worker, which hands the origins of agent CAPTURE_SELFTEST_AGENT to the
 * monitor and closes them.
 *
 *	selftest_start();
 *	selftest_on_result() when selftest_descriptor() is readable, selftest_on_origin() for each
 *	origin, until selftest_is_done() or the caller's own deadline;
 *	selftest_finish() in any case.
 */
#ifndef WAYLEAVE_CAPTURE_SELFTEST_H
#define WAYLEAVE_CAPTURE_SELFTEST_H

#include "capture/capture.h"

#define SELFTEST_PORT 9 /* discard (RFC 863): what the child dials */
#define SELFTEST_FAMILIES 2

struct selftest {
	struct capture *capture;
	pid_t child;
	int results; /* pipe */
	uint64_t cgroup; /* id */
	bool connected[SELFTEST_FAMILIES]; /* the child's end is right: IPv4, IPv6 */
	bool arrived[SELFTEST_FAMILIES]; /* the worker's end is */
	bool wanted[SELFTEST_FAMILIES]; /* the listener has the family */
};

/* After capture_listen() and capture_apply(). */
int selftest_start(struct capture *c, const struct listener_set *listeners, struct selftest *ret,
	struct error *e);
int selftest_descriptor(const struct selftest *t);
/* What the child found; negative errno with a sentence where it is wrong. */
int selftest_on_result(struct selftest *t, struct error *e);
int selftest_on_origin(struct selftest *t, const struct origin *o, struct error *e);
bool selftest_is_done(const struct selftest *t);
/* Ends the child, removes the scratch agent. */
void selftest_finish(struct selftest *t);

#endif
