/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of what is not read, where the connection itself waits for a verdict.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/memory.h"
#include "protocol/opaque.h"

static struct {
	struct protocol_host host;
	struct protocol_engine *engine;
	size_t passed[2], shut[2], cut[2]; /* by the side that gets it */
	enum reason reset;
} t;

static int on_pass(struct protocol_host *host, enum side to, struct slice bytes)
{
	(void)host;
	t.passed[to] += bytes.length;
	return 0;
}

static void on_shut(struct protocol_host *host, enum side to)
{
	(void)host;
	t.shut[to]++;
}

static void on_cut(struct protocol_host *host, enum side to)
{
	(void)host;
	t.cut[to]++;
}

static void on_reset(struct protocol_host *host, const struct protocol_refusal *refusal)
{
	(void)host;
	t.reset = refusal->reason;
}

static void setup(void)
{
	memset(&t, 0, sizeof(t));
	t.host = (struct protocol_host){
		.pass = on_pass, .shut = on_shut, .cut = on_cut, .reset = on_reset};
	t.engine = protocol_opaque.open(&t.host);
}

static void teardown(void)
{
	protocol_opaque.close(t.engine);
}

static enum protocol_event_type next(struct protocol_event *ret)
{
	cr_assert(protocol_opaque.next_event(t.engine, ret), "no event");
	return ret->type;
}

static void expect_none(void)
{
	struct protocol_event event;

	cr_assert_not(protocol_opaque.next_event(t.engine, &event));
}

static bool wants(void)
{
	return protocol_opaque.wants(t.engine, SIDE_AGENT) ||
		protocol_opaque.wants(t.engine, SIDE_SERVER);
}

static void ask(struct protocol_event *ret)
{
	opaque_judge(t.engine, slice_from_string("10.0.0.1:25"));
	cr_assert_eq(next(ret), EVENT_ACTION);
	expect_none();
	cr_assert_not(wants());
}

TestSuite(opaque, .init = setup, .fini = teardown);

Test(opaque, relays_at_once_where_nobody_is_asked)
{
	size_t taken;

	cr_assert_not(wants(), "not connected");
	protocol_opaque.connected(t.engine);
	cr_assert(wants());
	expect_none();
	cr_assert_eq(
		protocol_opaque.input(t.engine, SIDE_AGENT, slice_from_string("hello"), &taken), 0);
	cr_assert_eq(taken, 5);
	cr_assert_eq(t.passed[SIDE_SERVER], 5);
}

/* A connection that broke is not half closed, and the other side's ends as it did. */
Test(opaque, ends_as_the_other_side_did)
{
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		struct protocol_event event;

		teardown();
		setup();
		protocol_opaque.connected(t.engine);
		t.host.endings[side] = ENDING_BROKEN;
		protocol_opaque.end(t.engine, side);
		cr_assert_eq(t.cut[side_other(side)], 1);
		cr_assert_eq(t.shut[side_other(side)], 0);
		cr_assert_eq(next(&event), EVENT_CLOSE);
	}
	teardown();
	setup();
	protocol_opaque.connected(t.engine);
	protocol_opaque.end(t.engine, SIDE_AGENT);
	cr_assert_eq(t.shut[SIDE_SERVER], 1);
	expect_none();
}

Test(opaque, takes_nothing_before_the_verdict)
{
	struct protocol_binding binding;
	struct protocol_event event;
	const struct action *action;

	ask(&event);
	action = event.action.action;
	cr_assert_eq(event.action.phase, ACTION_RUN);
	cr_assert_eq(action->pair_count, 1);
	cr_assert_eq(action->pairs[0].operation, OPERATION_CONNECT);
	cr_assert_eq(action->pairs[0].state, OBJECT_KNOWN);
	cr_assert(slice_equal_string(action->pairs[0].object, "10.0.0.1:25"));
	cr_assert(slice_equal_string(action->text, "10.0.0.1:25"));
	cr_assert_eq(protocol_opaque.bind(t.engine, event.action.lane, &binding), 0);
	cr_assert(protocol_opaque.reassure(t.engine, event.action.lane, SLICE_EMPTY));
	cr_assert_eq(protocol_opaque.release(t.engine, event.action.lane, 1), 0);
	cr_assert_not(wants());
	cr_assert_eq(next(&event), EVENT_CONNECT);
	cr_assert_not(wants());
	protocol_opaque.connected(t.engine);
	cr_assert(wants());
	expect_none();
}

Test(opaque, is_judged_again_once_at_a_time)
{
	struct protocol_event event;

	cr_assert_not(protocol_opaque.judge_again(t.engine, 0, false), "nothing waits");
	ask(&event);
	cr_assert(protocol_opaque.judge_again(t.engine, 0, true));
	cr_assert_not(protocol_opaque.judge_again(t.engine, 0, true));
	cr_assert_eq(next(&event), EVENT_ACTION);
	expect_none();
}

Test(opaque, a_refusal_is_a_reset)
{
	const struct protocol_refusal refusal = {REASON_REVIEW_DENIED, SLICE_EMPTY};
	struct protocol_event event;

	ask(&event);
	protocol_opaque.refuse(t.engine, event.action.lane, 1, &refusal);
	cr_assert_eq(t.reset, REASON_REVIEW_DENIED);
}

/* A rule that lets it pass, but masked, can't be kept to. */
Test(opaque, nothing_is_masked)
{
	const struct mask_rules rules = {.detects = true};
	struct protocol_refusal refusal = {REASON_NONE, SLICE_EMPTY};
	struct protocol_event event;

	ask(&event);
	cr_assert_eq(protocol_opaque.mask(t.engine, 0, NULL, false, &refusal), 0);
	cr_assert_eq(protocol_opaque.mask(t.engine, 0, &rules, false, &refusal), -EPERM);
	cr_assert_eq(refusal.reason, REASON_MASK_IMPOSSIBLE);
}

Test(opaque, who_ends_while_it_waits_ends_all)
{
	struct protocol_event event;

	ask(&event);
	protocol_opaque.end(t.engine, SIDE_AGENT);
	cr_assert_eq(next(&event), EVENT_CLOSE);
	cr_assert_eq(t.shut[SIDE_SERVER], 0);
	expect_none();
}

Test(opaque, half_of_it_may_end)
{
	struct protocol_event event;

	protocol_opaque.connected(t.engine);
	protocol_opaque.end(t.engine, SIDE_AGENT);
	cr_assert_eq(t.shut[SIDE_SERVER], 1);
	expect_none();
	protocol_opaque.end(t.engine, SIDE_SERVER);
	cr_assert_eq(next(&event), EVENT_CLOSE);
}
