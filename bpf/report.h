/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * report: who makes a connection, counting, and telling the monitor.
 */
#ifndef WAYLEAVE_BPF_REPORT_H
#define WAYLEAVE_BPF_REPORT_H

#include "address.h"
#include "maps.h"

#include <bpf/bpf_core_read.h>

static __always_inline void count(struct steer_agent *agent, enum steer_count what)
{
	__u32 host_id = 0;
	struct steer_agent *host = bpf_map_lookup_elem(&agents, &host_id);

	if (host)
		__sync_fetch_and_add(&host->counts[what], 1);
	if (agent)
		__sync_fetch_and_add(&agent->counts[what], 1);
}

static __always_inline struct inode *process_program(void)
{
	struct mm_struct *memory = bpf_get_current_task_btf()->mm;
	struct file *exe = memory ? memory->exe_file : NULL;

	return exe ? exe->f_inode : NULL;
}

/* For each field of a kernel's structure that a program reads by itself, and each way on which it
 * comes there, the verifier searches all of the kernel's types: what is read for each connection is
 * in global functions, as network_ask() is, or read by bpf_core_read(). 0: there is none. */
__noinline __u64 process_program_number(void)
{
	struct inode *program = process_program();

	return program ? program->i_ino : 0;
}

__noinline __u32 process_program_device(void)
{
	struct inode *program = process_program();

	return program ? program->i_sb->s_dev : 0;
}

__noinline __u64 process_start_time(void)
{
	return bpf_get_current_task_btf()->group_leader->start_boottime;
}

/* The process behind the call. For io_uring's helper threads the group leader is the process too.
 */
static __always_inline void origin_set_process(struct origin *o)
{
	struct task_struct *leader = BPF_CORE_READ(bpf_get_current_task_btf(), group_leader);

	o->pid = bpf_get_current_pid_tgid() >> 32;
	o->uid = bpf_get_current_uid_gid();
	o->exe_inode = process_program_number();
	o->exe_device = process_program_device();
	o->start_time = process_start_time();
	bpf_core_read(o->command, sizeof(o->command), &leader->comm);
}

static __always_inline void origin_set_socket(
	struct origin *o, struct bpf_sock_addr *ctx, struct bpf_sock *sk)
{
	struct sock *full = (struct sock *)bpf_skc_to_tcp_sock(sk);

	o->cgroup = full ? BPF_CORE_READ(full, sk_cgrp_data.cgroup, kn, id) : 0;
	o->interface = sk->bound_dev_if;
	o->socket = bpf_get_socket_cookie(ctx);
	o->network = bpf_get_netns_cookie(ctx);
}

/* All of an origin; `sk` is the socket that is being connected. */
static __always_inline void origin_fill(struct origin *o, struct bpf_sock_addr *ctx,
	struct bpf_sock *sk, __u32 agent, const struct address *destination, __u16 port, bool local)
{
	o->version = ORIGIN_VERSION;
	o->agent = agent;
	address_to_bytes(destination, o->address);
	o->port = port;
	o->family = ctx->family;
	o->local = local;
	o->way = ORIGIN_DIALLED;
	o->connect_time = bpf_ktime_get_ns();
	origin_set_socket(o, ctx, sk);
	origin_set_process(o);
}

/* Room for an event, or NULL: too soon after the agent's last one, or the ring is full. The race
 * between two processors lets through one event more. */
static __always_inline struct steer_event *event_reserve(
	struct steer_agent *agent, enum steer_count what)
{
	__u64 now = bpf_ktime_get_ns();
	struct steer_event *event = NULL;

	if (now - agent->last_event >= STEER_EVENT_INTERVAL)
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count(agent, STEER_EVENT_LOST);
		return NULL;
	}
	agent->last_event = now;
	event->count = what;
	event->transport = 0;
	return event;
}

#endif
