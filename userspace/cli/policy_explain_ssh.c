/* SPDX-License-Identifier: Apache-2.0
 *
 * What `wayleave policy explain` makes of a command line: it is judged as one without a terminal.
 */
#include "base/memory.h"
#include "cli/policy_explain.h"
#include "protocol/ssh/facts.h"

void explanation_resolve_command(struct explanation *x, struct slice text)
{
	const struct bridge_request request = {.kind = BRIDGE_EXEC, .text = text};

	x->command = memory_new(sizeof(*x->command));
	if (ssh_facts_init(x->command, &request) == 0) {
		x->action = x->command->action;
		return;
	}
	x->action.unknown = ACTION_UNKNOWN_TEXT;
	x->action.problem = "it is too long";
}

/* Columns and JSON are nowhere in what a command writes. */
void explanation_refine_command(struct explanation *x)
{
	const struct mask_rules *masks = x->verdict.outcome->masks;

	if (x->verdict.kind == VERDICT_DENY || x->action.pair_count == 0 ||
		x->action.pairs[0].operation != OPERATION_SSH_EXEC ||
		!(masks->column_count || masks->json_count))
		return;
	explanation_refuse(x, REASON_MASK_IMPOSSIBLE, "what SSH carries here can't be masked so");
}

void explanation_drop_command(struct explanation *x)
{
	if (!x->command)
		return;
	ssh_facts_done(x->command);
	free(x->command);
	x->command = NULL;
}
