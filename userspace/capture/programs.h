/* SPDX-License-Identifier: Apache-2.0
 *
 * programs: the BPF programs and maps of an instance. Maps are pinned and used again after a
 * restart; a link that is pinned gets the new program in place of the old one, so that there is no
 * moment without one.
 */
#ifndef WAYLEAVE_CAPTURE_PROGRAMS_H
#define WAYLEAVE_CAPTURE_PROGRAMS_H

#include <stdint.h>

#include "bpf/shared.h"
#include "capture/pins.h"

enum programs_map {
	PROGRAMS_SETTINGS,
	PROGRAMS_ATTACHMENTS,
	PROGRAMS_AGENTS,
	PROGRAMS_LOCAL_ADDRESSES,
	PROGRAMS_LOCAL_DESTINATIONS,
	PROGRAMS_ROUTES,
	PROGRAMS_EVENTS,
	PROGRAMS_AWAITED,
	PROGRAMS_PATTERNS,
	PROGRAMS_ENROLMENT,
	PROGRAMS_LISTENERS,
	PROGRAMS_NETWORKS,
	PROGRAMS_ASKED,
	PROGRAMS_FORWARDED,
	PROGRAMS_UNIX_SERVERS, /* -1, and the next too: the kernel can't turn Unix sockets */
	PROGRAMS_UNIX_WORKERS,
	PROGRAMS_MAP_COUNT
};

#define PROGRAMS_OBJECTS 7

struct programs {
	const struct pins *pins;
	struct bpf_object *objects[PROGRAMS_OBJECTS]; /* NULL: not for this kernel */
	int maps[PROGRAMS_MAP_COUNT]; /* descriptors, the objects' */
};

enum programs_side { PROGRAMS_AGENT, PROGRAMS_WORKER, PROGRAMS_HOST, PROGRAMS_TRACE };

/* Loads everything that the kernel can. `pins` stays the caller's and must outlive it. Errors carry
 * what the kernel's verifier or libbpf said last. */
int programs_load(struct programs *ret, const struct pins *pins, struct error *e);
/* Closes the descriptors; what is pinned goes on. */
void programs_unload(struct programs *p);
/* Whether agents' connections to Unix sockets can be turned (unix.bpf.c). */
bool programs_turn_unix(const struct programs *p);
/* Whether agents' connections can wait for a listener (fence.bpf.c). */
bool programs_hold_packets(const struct programs *p);
/* Attaches the programs of one side to a cgroup, or renews them there; the links are pinned under
 * `owner`. After an error some may be attached. */
int programs_attach(const struct programs *p, enum programs_side side, const char *owner,
	int cgroup_fd, struct error *e);
/* The programs of PROGRAMS_TRACE, which belong to no cgroup. */
int programs_trace(const struct programs *p, const char *owner, struct error *e);
/* The name of a program of that side that is not pinned under `owner`, not attached to that cgroup
 * (of PROGRAMS_TRACE: to none), or was replaced by another; static. NULL: all are as they should
 * be. */
const char *programs_missing(
	const struct programs *p, enum programs_side side, const char *owner, uint64_t cgroup);
/* Detaches what is pinned under `owner`. */
void programs_detach(const struct programs *p, const char *owner);
/* The cgroup that the links in a folder of the pins are attached to, of whatever layout; 0 where it
 * is gone. -ENOENT: none is there. */
int programs_find_cgroup(const char *folder, uint64_t *ret_id);

#endif
