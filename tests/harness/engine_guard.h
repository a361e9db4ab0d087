/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_guard: watches a PostgreSQL engine from outside and knows the protocol on its own: what
 * leaves for the server must be whole, well-formed messages, and each that could act must be what
 * was released just before it, byte for byte, and runs as the role that its rule names, if any.
 */
#ifndef WAYLEAVE_TESTS_ENGINE_GUARD_H
#define WAYLEAVE_TESTS_ENGINE_GUARD_H

#include "tests/harness/engine_run.h"

#define GUARD_PORTALS_MOST 64

struct engine_guard {
	struct engine_watch watch;
	struct buffer to_server; /* the message that is not yet complete */
	struct buffer to_agent;
	bool server_started, agent_started; /* first packets are over */
	/* The actions that were released last and have not left yet: what becomes known to the
	 * server alone may leave together with what runs. */
	struct {
		bool released;
		struct buffer text;
	} known, runs;
	bool failed; /* the server's transaction */
	bool acts; /* the server was told to run as the role of a rule */
	/* As which role each portal was bound; an error may have kept the older meaning of a name.
	 */
	struct {
		char name[64], as[64];
	} portals[GUARD_PORTALS_MOST];
	size_t portal_count; /* of which the first GUARD_PORTALS_MOST are kept */
	const char *broken; /* the first thing that was wrong; static */
};

void engine_guard_init(struct engine_guard *g);
void engine_guard_done(struct engine_guard *g);

#endif
