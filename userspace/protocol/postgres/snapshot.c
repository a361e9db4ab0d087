/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot: how old our own look at the catalog is. At REPEATABLE READ and SERIALIZABLE all of a
 * transaction sees what its first query saw, and so do questions of ours; the server itself goes by
 * what names mean now (PostgreSQL 15 documentation, 13.2.2). What others change behind that can't
 * be seen there.
 */
#include "protocol/postgres/engine.h"
#include "protocol/postgres/plan.h"

bool pg_snapshot_is_inside(const struct pg_engine *e)
{
	return e->transaction != 'I' || pg_batch_has_begun(e);
}

void pg_snapshot_on_isolation(struct pg_engine *e, struct slice level)
{
	/* READ UNCOMMITTED is the same to this server. */
	bool each = slice_equal_string(level, "read committed") ||
		slice_equal_string(level, "read uncommitted");

	e->isolation = each ? PG_SNAPSHOT_EACH : PG_SNAPSHOT_ONE;
}

static void forget_isolation(struct pg_engine *e)
{
	e->isolation = PG_SNAPSHOT_UNKNOWN;
	e->compared = false;
	e->compared_new = 0;
}

/* It can be changed until there is a snapshot, and is another transaction's behind the end of this
 * one. */
void pg_snapshot_on_sent(struct pg_engine *e, const struct sql_text *text)
{
	bool takes = !text || sql_text_takes_snapshot(text);
	bool undoes = text && pg_judge_undoes(text);

	e->snapshot |= takes;
	/* A transaction that follows at once sees other names. */
	e->names_check |= undoes && e->names_private;
	if (!text || !takes || undoes || pg_judge_uses_names(text))
		forget_isolation(e);
}

/* Where more is in flight, it may have begun the next transaction. */
void pg_snapshot_on_ready(struct pg_engine *e)
{
	if (e->transaction != 'I' || e->requests.count)
		return;
	e->snapshot = false;
	forget_isolation(e);
}

void pg_snapshot_on_judging(struct pg_engine *e)
{
	struct pg_pending *p = &e->pending;

	if (p->met)
		return;
	p->met = true;
	p->late = e->snapshot;
}

bool pg_snapshot_hides_others(const struct pg_engine *e)
{
	return e->pending.late && e->isolation == PG_SNAPSHOT_ONE;
}

bool pg_snapshot_may_hide_others(const struct pg_engine *e)
{
	/* What is in flight may have begun the transaction. A failed one can't be asked, and what
	 * people are asked about ends it first. */
	bool inside = pg_requests_sent(e) || (e->transaction != 'E' && pg_snapshot_is_inside(e));

	return e->pending.late && e->pending.looked && inside &&
		e->isolation == PG_SNAPSHOT_UNKNOWN;
}

void pg_snapshot_on_compared(struct pg_engine *e, bool late)
{
	e->compared = e->isolation != PG_SNAPSHOT_EACH;
	if (!late)
		e->compared_new = e->catalog->checks + 1;
}

/* Statements that are decided together run one behind the other, as they would at READ COMMITTED:
 * there, too, names are compared only now and then. */
bool pg_snapshot_is_new(const struct pg_engine *e)
{
	return e->compared && e->catalog && e->compared_new == e->catalog->checks + 1;
}
