/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "capture/guard_internal.h"
#include "capture/queue.h"

static const struct guard_agent agents[] = {{"a", .udp = UDP_POLICY, .id = 0x11}};

static struct guard guard_of(bool native)
{
	return (struct guard){.instance = "x",
		.cgroup_root = "/sys/fs/cgroup",
		.queue = 7,
		.queue_is_native = native,
		.forwards_names = true,
		.forwards_flows = true,
		.agents = agents,
		.count = 1};
}

static void enter_network(void)
{
	if (geteuid() != 0)
		cr_skip_test("it takes root to make a network namespace");
	cr_assert_eq(unshare(CLONE_NEWNET), 0, "%s", strerror(errno));
}

/* What the chain that fills the queue holds, or "" where there is none. */
static const char *loaded(struct buffer *b)
{
	struct error e;

	buffer_clear(b);
	if (guard_run("list chain inet wayleave_x_queue ask\n", b, &e) < 0)
		buffer_clear(b);
	cr_assert_eq(buffer_append_byte(b, 0), 0);
	return (const char *)buffer_slice(b).data;
}

/* Whichever the kernel has: what was chosen is what loads. nft shows its own one alone. */
Test(queue_rule, the_one_that_is_chosen_loads)
{
	uint64_t shape, without;
	struct error e = {""};
	struct buffer b;
	struct guard g;

	enter_network();
	g = guard_of(queue_is_native());
	if (guard_make_queue(&g, &e) < 0 && !g.queue_is_native)
		cr_skip_test("the kernel has neither nft_queue nor nft_compat with xt_NFQUEUE");
	buffer_init(&b, 1 << 16);
	cr_expect_eq(strstr(loaded(&b), "\tqueue ") != NULL, g.queue_is_native, "%s", loaded(&b));
	cr_assert_eq(guard_queue_shape(&g, &shape, &e), 0, "%s", e.text);
	cr_assert_eq(guard_run("flush chain inet wayleave_x_queue ask\n", NULL, &e), 0);
	cr_assert_eq(guard_queue_shape(&g, &without, &e), 0, "%s", e.text);
	cr_expect_neq(shape, without, "a rule was there");
	buffer_done(&b);
}

/* nft's own rule: where the kernel refuses it, that is all that is wrong with it. */
Test(queue_rule, the_native_one_is_what_nft_reads)
{
	struct error e = {""};
	struct guard g = guard_of(true);
	struct buffer b;
	int r;

	enter_network();
	buffer_init(&b, 1 << 16);
	r = guard_make_queue(&g, &e);
	if (queue_is_native()) {
		cr_expect_eq(r, 0, "%s", e.text);
		cr_expect_not_null(strstr(loaded(&b), "\tqueue "));
	} else {
		cr_expect_lt(r, 0);
		cr_expect_not_null(strstr(e.text, "Could not process rule"), "%s", e.text);
		cr_expect_null(strstr(e.text, "syntax error"), "%s", e.text);
		/* Nothing is there that would look as if it queued. */
		cr_expect_str_eq(loaded(&b), "");
	}
	buffer_done(&b);
}

/* Where nothing can be tried: the one that says itself whether it is there. */
Test(queue_rule, who_may_try_nothing_does_not_take_it_for_native)
{
	struct guard g = guard_of(false);
	struct error e = {""};

	if (geteuid() == 0)
		cr_assert_eq(setuid(65534), 0);
	cr_expect_not(queue_is_native());
	cr_expect_lt(guard_make_queue(&g, &e), 0);
	cr_expect_str_neq(e.text, "");
}
