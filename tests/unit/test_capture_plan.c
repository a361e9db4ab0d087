/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>

#include "base/bytes.h"
#include "monitor/control.h"
#include "monitor/run_plan.h"

static const uint32_t groups[] = {4, 27, 4294967294u};
static const char *const hidden[] = {"/var/lib/wayleave", "/run/wayleave"};
static const char *const read_only[] = {"/opt/tools"};
static const struct run_path shown[] = {
	{"/run/wayleave/control.sock", "/run/wayleave/control.sock"}};
static const struct run_plan example = {
	.flags = RUN_PLAN_LANDLOCK | RUN_PLAN_DENY_IO_URING,
	.agent = 0xdeadbeef,
	.cgroup = 0x1122334455667788,
	.cgroup_path = "/sys/fs/cgroup/wayleave.slice/claude-ci",
	.uid = 1000,
	.gid = 1001,
	.user = "runner",
	.home = "/home/runner",
	.trust_file = "/run/wayleave/trust/ca-bundle.pem",
	.groups = groups,
	.group_count = 3,
	.hidden = hidden,
	.hidden_count = 2,
	.read_only = read_only,
	.read_only_count = 1,
	.shown = shown,
	.shown_count = 1,
};

static struct buffer encode(const struct run_plan *plan)
{
	struct buffer b;

	buffer_init(&b, CONTROL_PAYLOAD_MOST);
	cr_assert_eq(run_plan_encode(plan, &b), 0);
	return b;
}

static int decode(struct slice payload, struct arena *a, struct run_plan *ret)
{
	arena_init(a, RUN_PLAN_MEMORY);
	return run_plan_decode(payload, a, ret);
}

Test(plan, survives_the_wire)
{
	struct buffer b = encode(&example);
	struct run_plan got;
	struct arena a;

	cr_assert_eq(decode(buffer_slice(&b), &a, &got), 0);
	cr_assert_eq(got.flags, example.flags);
	cr_assert_eq(got.agent, example.agent);
	cr_assert_eq(got.cgroup, example.cgroup);
	cr_assert_str_eq(got.cgroup_path, example.cgroup_path);
	cr_assert_eq(got.uid, 1000);
	cr_assert_eq(got.gid, 1001);
	cr_assert_str_eq(got.user, "runner");
	cr_assert_str_eq(got.home, "/home/runner");
	cr_assert_str_eq(got.trust_file, "/run/wayleave/trust/ca-bundle.pem");
	cr_assert_eq(got.group_count, 3);
	cr_assert_arr_eq(got.groups, groups, sizeof(groups));
	cr_assert_eq(got.hidden_count, 2);
	cr_assert_str_eq(got.hidden[1], "/run/wayleave");
	cr_assert_eq(got.read_only_count, 1);
	cr_assert_str_eq(got.read_only[0], "/opt/tools");
	cr_assert_eq(got.shown_count, 1);
	cr_assert_str_eq(got.shown[0].target, shown[0].target);
	arena_done(&a);
	buffer_done(&b);
}

Test(plan, is_refused_when_cut_anywhere)
{
	struct buffer b = encode(&example);

	for (size_t length = 0; length < buffer_length(&b); length++) {
		struct run_plan got = {.agent = 1};
		struct arena a;
		/* On the heap, so that reading too far is seen. */
		uint8_t *copy = malloc(length + !length);

		memcpy(copy, buffer_slice(&b).data, length);
		cr_assert_eq(decode(slice_of(copy, length), &a, &got), -EBADMSG, "%zu", length);
		cr_assert_eq(got.agent, 1);
		arena_done(&a);
		free(copy);
	}
	buffer_done(&b);
}

static int decode_changed(size_t offset, uint32_t value)
{
	struct buffer b = encode(&example);
	struct run_plan got;
	struct arena a;
	int r;

	bytes_put_u32(b.data + b.start + offset, value);
	r = decode(buffer_slice(&b), &a, &got);
	arena_done(&a);
	buffer_done(&b);
	return r;
}

Test(plan, is_refused_when_malformed)
{
	size_t cgroup_path = 28, user = cgroup_path + 4 + strlen(example.cgroup_path);
	size_t group_count = user + 4 + strlen("runner") + 4 + strlen("/home/runner");
	struct buffer b = encode(&example);
	struct run_plan got;
	struct arena a;

	cr_assert_eq(decode_changed(0, RUN_PLAN_VERSION), 0);
	cr_assert_eq(decode_changed(0, RUN_PLAN_VERSION + 1), -EBADMSG);
	cr_assert_eq(decode_changed(4, 1 << 30), -EBADMSG);
	cr_assert_eq(decode_changed(cgroup_path, 0), -EBADMSG);
	cr_assert_eq(decode_changed(cgroup_path, PATH_MAX), -EBADMSG);
	cr_assert_eq(decode_changed(cgroup_path, UINT32_MAX), -EBADMSG);
	cr_assert_eq(decode_changed(cgroup_path + 4, 0x41414141), -EBADMSG); /* not absolute */
	cr_assert_eq(decode_changed(cgroup_path + 8, 0x2f004141), -EBADMSG); /* a NUL inside */
	cr_assert_eq(decode_changed(group_count, UINT32_MAX), -EBADMSG);
	cr_assert_eq(decode_changed(group_count, RUN_PLAN_GROUPS_MOST), -EBADMSG);
	cr_assert_eq(decode_changed(group_count + 16, 3), -EBADMSG);
	cr_assert_eq(buffer_append_byte(&b, 0), 0);
	cr_assert_eq(decode(buffer_slice(&b), &a, &got), -EBADMSG); /* something behind it */
	arena_done(&a);
	buffer_done(&b);
}

Test(plan, that_would_not_decode_is_not_encoded)
{
	static const char *const relative[] = {"etc"};
	char *deep = malloc(PATH_MAX + 1);
	const char *const long_path[] = {deep};
	struct run_plan plan = example;
	struct buffer b;

	memset(deep, '/', PATH_MAX);
	deep[PATH_MAX] = 0;
	buffer_init(&b, CONTROL_PAYLOAD_MOST);
	plan.hidden = relative;
	plan.hidden_count = 1;
	cr_assert_eq(run_plan_encode(&plan, &b), -EINVAL);
	plan.hidden = long_path;
	cr_assert_eq(run_plan_encode(&plan, &b), -EINVAL);
	plan = example;
	plan.hidden_count = RUN_PLAN_PATHS_MOST + 1;
	cr_assert_eq(run_plan_encode(&plan, &b), -EINVAL);
	plan = example;
	plan.flags = 1u << 31;
	cr_assert_eq(run_plan_encode(&plan, &b), -EINVAL);
	buffer_done(&b);
	free(deep);
}

Test(request, survives_the_wire)
{
	struct run_request asked = {"claude-ci", "", NULL}, got;
	struct buffer b;

	buffer_init(&b, 100);
	cr_assert_eq(run_request_encode(&asked, &b), 0);
	cr_assert_eq(run_request_decode(buffer_slice(&b), &got), 0);
	cr_assert_str_eq(got.agent, "claude-ci");
	cr_assert_str_eq(got.user, "");
	cr_assert_null(got.token);
	/* An empty token is one: it is refused, where none at all is the agent's own. */
	buffer_clear(&b);
	asked.token = "";
	cr_assert_eq(run_request_encode(&asked, &b), 0);
	cr_assert_eq(run_request_decode(buffer_slice(&b), &got), 0);
	cr_assert_str_eq(got.token, "");
	buffer_done(&b);
}

Test(request, is_refused_unless_two_or_three_terminated_texts)
{
	static const struct {
		const char *bytes;
		size_t length;
	} wrong[] = {{"", 0}, {"a", 1}, {"a\0", 2}, {"a\0b", 3}, {"a\0b\0c", 5},
		{"a\0b\0c\0d\0", 8}, {"\0", 1}};
	struct run_request got;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(run_request_decode(slice_of(wrong[i].bytes, wrong[i].length), &got),
			-EBADMSG, "%zu", i);
}
