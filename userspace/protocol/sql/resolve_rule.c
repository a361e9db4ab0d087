/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve_rule: what views and rules call is judged as if the text called it. The server runs it
 * for whoever names the relation, and with their rights.
 */
#include "protocol/sql/resolver.h"

/* The rules that the command sets off. What changes a view reads it, too. */
static unsigned events_of(enum operation operation)
{
	switch (operation) {
	case OPERATION_SELECT:
		return RULE_ON_SELECT;
	case OPERATION_INSERT:
		return RULE_ON_SELECT | RULE_ON_INSERT;
	case OPERATION_UPDATE:
		return RULE_ON_SELECT | RULE_ON_UPDATE;
	case OPERATION_DELETE:
		return RULE_ON_SELECT | RULE_ON_DELETE;
	case OPERATION_MERGE:
		return RULE_ON_SELECT;
	default:
		return 0;
	}
}

void resolve_rules(struct resolver *r, const struct mention *m, enum operation operation,
	const struct sql_relation *relation)
{
	unsigned events = events_of(operation);
	struct mention call = *m;

	call.operation = OPERATION_FUNCTION;
	call.flags &= (uint8_t)~MENTION_EVERYTHING;
	for (const struct rule_call *c = relation->calls; c; c = c->next) {
		if (c->events & events)
			resolve_emit_call(r, &call, c->schema, c->name);
	}
	call.schema = call.name = SLICE_EMPTY;
	if (events && (relation->rules & RULES_CALL_UNKNOWN))
		resolve_emit_unknown_call(r, &call);
}
