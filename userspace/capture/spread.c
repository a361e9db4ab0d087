/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/spread.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bpf/shared.h"
#include "spread.skel.h"

static int fill(struct spread_bpf *s, const int *sockets, unsigned count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = (uint64_t)sockets[i];

		if (bpf_map__update_elem(
			    s->maps.sockets, &i, sizeof(i), &value, sizeof(value), BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

int spread_attach(const int *sockets, unsigned count)
{
	struct spread_bpf *s;
	int program, r;

	if (count == 0 || count > STEER_WORKERS_MOST)
		return -EINVAL;
	s = spread_bpf__open();
	if (!s)
		return -errno;
	s->rodata->socket_count = count;
	r = spread_bpf__load(s);
	if (r == 0)
		r = fill(s, sockets, count);
	if (r == 0) {
		program = bpf_program__fd(s->progs.spread_select);
		if (setsockopt(sockets[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program,
			    sizeof(program)) < 0)
			r = -errno;
	}
	spread_bpf__destroy(s);
	return r;
}
