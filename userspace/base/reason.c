/* SPDX-License-Identifier: Apache-2.0 */
#include "base/reason.h"

static const struct reason_text reasons[REASON_COUNT] = {
#define REASON(symbol, metric, agent, operator) [REASON_##symbol] = {metric, agent, operator},
#include "base/reason.inc"
#undef REASON
};

const struct reason_text *reason_get(enum reason reason)
{
	if ((unsigned)reason >= REASON_COUNT)
		reason = REASON_INTERNAL;
	return &reasons[reason];
}
