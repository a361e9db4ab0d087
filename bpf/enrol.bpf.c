/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * enrol: cgroups that appear after the daemon has set everything up, also under a path that was
 * there before and was removed: a unit that is started again. The hooks are the monitor's to put
 * there; until it has, nobody in such a cgroup makes a socket (bypass B16). Cgroups are compared
 * with the configuration's paths before mkdir(2) returns, so that no process can be there earlier.
 */
#include "maps.h"
#include "report.h"

#include <asm/errno.h>

#define DEPTH_MOST 32 /* levels of cgroups that are looked at */
#define PATH_SIZE 1024
#define STEPS_MOST 4096 /* of comparing one pattern */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The path of the cgroup that is being made: the kernel traces one at a time. */
struct path {
	char text[PATH_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct path);
} made SEC(".maps");

/* The last `*` takes one character more where what is behind it doesn't match. None reaches over a
 * "/", behind which an earlier one has nothing to take any more. */
struct comparison {
	__u32 pattern; /* its index */
	__u32 p, t; /* where it is */
	__u32 star, mark; /* behind the last `*`, and where what it takes ends; 0 = none */
	__u32 done;
	__u32 matches;
};

static long compare_step(__u32 step, struct comparison *c)
{
	__u32 zero = 0, index = c->pattern;
	const struct enrol_pattern *pattern = bpf_map_lookup_elem(&patterns, &index);
	const struct path *path = bpf_map_lookup_elem(&made, &zero);
	char wanted, found;

	(void)step;
	if (!pattern || !path)
		return 1;
	wanted = pattern->text[c->p & (ENROL_TEXT_MOST - 1)];
	found = path->text[c->t & (PATH_SIZE - 1)];
	if (wanted == '*') {
		c->star = ++c->p;
		c->mark = c->t;
		return 0;
	}
	if (wanted == found) {
		if (found == '\0') {
			c->done = c->matches = 1;
			return 1;
		}
		if (found == '/')
			c->star = 0;
		c->p++;
		c->t++;
		return 0;
	}
	if (c->star && path->text[c->mark & (PATH_SIZE - 1)] != '/' &&
		path->text[c->mark & (PATH_SIZE - 1)] != '\0') {
		c->p = c->star;
		c->t = ++c->mark;
		return 0;
	}
	c->done = 1;
	return 1;
}

struct search {
	__u32 matches;
};

static long compare_one(__u32 index, struct search *s)
{
	struct comparison c = {.pattern = index};

	bpf_loop(STEPS_MOST, compare_step, &c, 0);
	/* What takes too long is the monitor's to look at. */
	s->matches = c.matches || !c.done;
	return s->matches;
}

static __always_inline void await(__u64 id)
{
	struct enrol_event *event;
	struct enrol_state *state;
	__u32 zero = 0, value = 1;

	long r;

	state = bpf_map_lookup_elem(&enrolment, &zero);
	if (!state)
		return;
	r = bpf_map_update_elem(&awaited, &id, &value, BPF_NOEXIST);
	if (r == -EEXIST)
		return;
	if (r) {
		bpf_map_push_elem(&lost, &id, BPF_ANY);
		__sync_fetch_and_add(&state->lost, 1);
	} else {
		__sync_fetch_and_add(&state->awaited, 1);
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	/* Without room the monitor finds it at its next look. */
	if (!event)
		return;
	event->cgroup = id;
	bpf_ringbuf_submit(event, 0);
}

SEC("tp_btf/cgroup_mkdir")
int enrol_mkdir(__u64 *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx[0];
	const char *text = (const char *)ctx[1];
	struct search search = {0};
	const struct enrol_state *state;
	struct path *path;
	__u32 zero = 0;
	long length;

	state = bpf_map_lookup_elem(&enrolment, &zero);
	path = bpf_map_lookup_elem(&made, &zero);
	if (!state || !path || state->patterns == 0 || cgroup->root->hierarchy_id != 0)
		return 0;
	length = bpf_probe_read_kernel_str(path->text, sizeof(path->text), text);
	/* One that is cut may be anything. */
	if (length > 0 && length < PATH_SIZE)
		bpf_loop(state->patterns, compare_one, &search, 0);
	else
		search.matches = 1;
	if (search.matches)
		await(cgroup->kn->id);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int enrol_rmdir(__u64 *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx[0];
	struct enrol_state *state;
	__u32 zero = 0;
	__u64 id;

	state = bpf_map_lookup_elem(&enrolment, &zero);
	if (!state || state->awaited == 0 || cgroup->root->hierarchy_id != 0)
		return 0;
	id = cgroup->kn->id;
	if (bpf_map_delete_elem(&awaited, &id) == 0)
		__sync_fetch_and_add(&state->awaited, -1);
	return 0;
}

static __always_inline bool is_awaited(const struct enrol_state *state, __u64 id)
{
	if (bpf_map_lookup_elem(&awaited, &id))
		return true;
	return state->lost && bpf_map_peek_elem(&lost, &id) == 0;
}

/* At the root of all cgroups: one look while nothing is awaited. */
SEC("cgroup/sock_create")
int enrol_gate(struct bpf_sock *ctx)
{
	const struct enrol_state *state;
	__u32 zero = 0;

	(void)ctx;
	state = bpf_map_lookup_elem(&enrolment, &zero);
	if (!state || (state->awaited == 0 && state->lost == 0))
		return 1;
	for (int level = 1; level <= DEPTH_MOST; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (id == 0)
			return 1;
		if (!is_awaited(state, id))
			continue;
		count(NULL, STEER_NOT_ENROLLED);
		bpf_set_retval(-ENETDOWN);
		return 0;
	}
	return 1;
}
