/* SPDX-License-Identifier: Apache-2.0
 *
 * process: what is known of the process behind a session beyond its path, as people may see it. The
 * monitor finds it out while the session goes on; what never comes is not known.
 */
#ifndef WAYLEAVE_WORKER_PROCESS_H
#define WAYLEAVE_WORKER_PROCESS_H

#include "base/slice.h"

struct session;
struct worker;

struct process {
	bool answered; /* nothing more will come */
	char hash[65]; /* SHA-256 of its program, in hexadecimal; empty: not known */
	/* As a shell's command line, without what looks like a secret; and "PATH (PID)" of each
	 * parent that is the agent's, the nearest first. NULL: not known. */
	char *arguments, *parents;
};

void process_done(struct process *p);
/* Asks for it, on behalf of a session that begins. */
void process_ask(struct session *s);
/* MESSAGE_FACTS came. */
void process_on_facts(struct worker *w, struct slice payload);

/* The arguments, each with a NUL behind it, as in struct process; without the last one where they
 * were `cut`. Free with free(); NULL: out of memory. */
struct detector_engine;
struct mask_hasher;
char *process_command_line(struct slice arguments, bool cut, struct detector_engine *detectors,
	struct mask_hasher *hasher);
/* "PID PATH", each with a NUL behind it. The same. */
char *process_parents(struct slice parents, bool cut);

#endif
