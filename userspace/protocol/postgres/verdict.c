/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/copy.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/preview.h"
#include "protocol/postgres/role.h"
#include "protocol/sql/setting.h"

#include <assert.h>
#include <errno.h>

/* Text that the server would read otherwise than we do can't be judged, so no rule allows to go
 * there. */
static int refuse_other_reading(
	const struct pg_engine *e, const struct action *action, struct protocol_refusal *ret)
{
	if (!e->base.host->needs_facts)
		return 0;
	for (size_t i = 0; i < action->pair_count; i++) {
		if (!sql_setting_changes_reading(&action->pairs[i]))
			continue;
		*ret = (struct protocol_refusal){REASON_NOT_UNDERSTOOD,
			slice_from_string("denied: this setting would change how the server reads "
					  "text, which could then not be judged")};
		return -EPERM;
	}
	return 0;
}

/* Nothing can be masked in a copy of the server's log, or of its files. */
static int refuse_stream(const struct action *action, struct protocol_refusal *ret)
{
	for (size_t i = 0; i < action->pair_count; i++) {
		if (action->pairs[i].operation != OPERATION_REPLICATION)
			continue;
		*ret = (struct protocol_refusal){REASON_MASKED_COLUMN,
			slice_from_string("denied: replication can't be masked, and a rule that "
					  "allows it masks")};
		return -EPERM;
	}
	return 0;
}

static int trace_masks(
	struct pg_engine *e, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	struct pg_pending *p = &e->pending;
	struct sql_view view;
	const char *refusal;

	if (!rules)
		return 0;
	pg_naming_view(e, &view);
	/* A function that is called by its number has no plan; its result and errors hide all the
	 * same. */
	p->masks = p->plan ? pg_plan_trace(p->plan, &view, rules) : pg_masks_new(rules);
	if (!p->masks) {
		*ret = (struct protocol_refusal){
			REASON_TOO_LONG, slice_from_string("too large to trace its masks")};
		return -EPERM;
	}
	refusal = p->masks->lineage.refusal;
	if (!refusal && p->plan)
		refusal = pg_copy_refusal(p->plan->text);
	if (!refusal)
		return 0;
	*ret = (struct protocol_refusal){REASON_MASKED_COLUMN, slice_from_string(refusal)};
	return -EPERM;
}

int pg_verdict_mask(struct protocol_engine *base, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	struct pg_engine *e = pg_engine_of(base);
	struct pg_pending *p = &e->pending;

	(void)lane;
	if (refuse_other_reading(e, &p->facts, ret) < 0 ||
		(rules && refuse_stream(&p->facts, ret) < 0) || pg_role_check(e, ret) < 0)
		return -EPERM;
	p->record_rows = record_rows;
	return trace_masks(e, rules, ret);
}

int pg_verdict_would_refuse(struct protocol_engine *base, uint32_t lane,
	const struct mask_rules *rules, struct protocol_refusal *ret)
{
	struct pg_engine *e = pg_engine_of(base);
	struct pg_pending *p = &e->pending;

	(void)lane;
	if (p->barred.reason != REASON_NONE) {
		*ret = p->barred;
		return -EPERM;
	}
	if (refuse_other_reading(e, &p->facts, ret) < 0 ||
		(rules && refuse_stream(&p->facts, ret) < 0))
		return -EPERM;
	return trace_masks(e, rules, ret);
}

/* A Parse that people may be asked behind is kept back, and compared when that has been decided. */
static bool reaches_server(const struct pg_pending *p)
{
	bool asks = p->plan && p->plan->judgement && p->plan->judgement->review;

	return p->phase == ACTION_RUN || (p->phase == ACTION_PREPARED && !asks);
}

/* It was not used: the next lookup drops it. */
static void let_kept_go(struct pg_engine *e)
{
	if (e->kept == PG_KEPT_READY)
		e->kept = PG_KEPT_LEFT;
}

int pg_verdict_release(struct protocol_engine *base, uint32_t lane, uint64_t number)
{
	struct pg_engine *e = pg_engine_of(base);

	(void)lane;
	assert(e->wait == PG_WAIT_VERDICT);
	/* By what its names meant before a preview that has not ended, people may be asked, and no
	 * more: it comes again. */
	if (e->preview) {
		pg_hold_judge_again(base, lane, true);
		return 0;
	}
	let_kept_go(e);
	e->rest_wanted = false;
	e->pending.decision = PG_RELEASED;
	e->pending.action = number;
	e->pending.grant = base->host->grant;
	if (base->host->observes) { /* they were traced only to tell what would be refused */
		pg_masks_put(e->pending.masks);
		e->pending.masks = NULL;
	}
	if (e->pending.unchecked && reaches_server(&e->pending))
		return pg_naming_compare(e);
	e->wait = PG_WAIT_NONE;
	/* What the StartupMessage asked for is judged before the server hears of it. */
	return e->agent == PG_AGENT_STARTED ? pg_login_advance(e) : 0;
}

int pg_verdict_refuse(struct protocol_engine *base, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct pg_engine *e = pg_engine_of(base);
	struct pg_pending *p = &e->pending;

	(void)lane;
	assert(e->wait == PG_WAIT_VERDICT);
	if (e->agent == PG_AGENT_STARTED) {
		pg_end_abort(base, refusal);
		return 0;
	}
	let_kept_go(e);
	e->rest_wanted = false;
	p->decision = PG_REFUSED;
	p->action = number;
	free(p->refusal_text);
	p->refusal_text = memory_format("wayleave: %.*s", SLICE_PRINT(refusal->text));
	p->refusal = (struct protocol_refusal){refusal->reason, slice_from_string(p->refusal_text)};
	e->wait = PG_WAIT_NONE;
	return 0;
}
