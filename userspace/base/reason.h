/* SPDX-License-Identifier: Apache-2.0
 *
 * reason: the one table of why something was refused or ended (reason.inc).
 */
#ifndef WAYLEAVE_BASE_REASON_H
#define WAYLEAVE_BASE_REASON_H

enum reason {
#define REASON(symbol, metric, agent, operator) REASON_##symbol,
#include "base/reason.inc"
#undef REASON
	REASON_COUNT
};

struct reason_text {
	const char *metric; /* name in metrics and records */
	const char *agent; /* what the agent reads, behind "wayleave: "; may hold one %s */
	const char *explained; /* what an operator reads */
};

/* Static; never NULL. Values out of range give REASON_INTERNAL's row. */
const struct reason_text *reason_get(enum reason reason);

#endif
