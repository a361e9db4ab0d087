/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * unix: what the programs for Unix sockets remember, besides maps.h.
 */
#ifndef WAYLEAVE_BPF_UNIX_H
#define WAYLEAVE_BPF_UNIX_H

#include "maps.h"

/* Each server's socket under all the names that agents may know it by. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNIX_SERVERS_MOST);
	__type(key, struct unix_path);
	__type(value, struct unix_server);
} unix_servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unix_worker);
} unix_workers SEC(".maps");

/* Where an agent's socket was turned from, and by whom. */
struct unix_dial {
	struct origin origin;
	struct unix_path path; /* as it was dialled */
	__u32 length; /* of it, with a NUL; 0 = not turned (any more) */
	__u32 unused;
};

/* It dies with the socket, and what it takes counts against who made it: nothing is to be swept,
 * or full. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unix_dial);
} unix_dials SEC(".maps");

#endif
