/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * kernel: the few fields of the kernel's own structures that are read; their places are relocated
 * against the running kernel's BTF at load (CO-RE), so that the order and size here mean nothing.
 * And numbers of headers that don't go with those that are included.
 */
#ifndef WAYLEAVE_BPF_KERNEL_H
#define WAYLEAVE_BPF_KERNEL_H

#include <linux/types.h>

#define PROTOCOL_ICMPV6 58 /* IPPROTO_ICMPV6 */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct super_block {
	unsigned int s_dev;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file {
	struct inode *f_inode;
};

struct mm_struct {
	struct file *exe_file;
};

struct net_device {
	unsigned int flags;
	struct list_head dev_list;
};

struct user_namespace {
	int level; /* 0: the first one */
};

/* Of what there is since 6.3, `val`, the lower half has the place of the first of two before. */
typedef struct {
	__u32 cap[2];
} kernel_cap_t;

struct cred {
	kernel_cap_t cap_permitted;
	struct user_namespace *user_ns;
};

struct net {
	__u64 net_cookie;
	struct list_head dev_base_head;
	struct user_namespace *user_ns;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
	int tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	const struct cred *cred;
	char comm[16];
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id; /* 0: cgroup2 */
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
	unsigned char skc_reuseport : 1;
};

struct sock {
	struct sock_common __sk_common;
	struct sock_cgroup_data sk_cgrp_data;
};

/* Behind struct __sk_buff. */
struct sk_buff {
	struct sock *sk;
};

struct unix_sock {
	struct sock *peer;
};

/* Behind struct bpf_sock_addr. */
struct bpf_sock_addr_kern {
	struct sock *sk;
	struct sockaddr *uaddr;
	__u32 uaddrlen;
};

#pragma clang attribute pop

/* Numbers of the kernel's interface that no header gives to a BPF program. */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
#define SO_MARK 36
#define IFF_UP 1
#define IFF_LOOPBACK 8
#define CAP_NET_ADMIN 12
#define CAP_NET_RAW 13

#endif
