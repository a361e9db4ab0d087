/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/cgroup.h"
#include "capture/listener.h"

#define STARTERS 6
#define ROUNDS 40
#define WORKERS 2

/* A daemon as far as its port goes: when `gate` ends it has one, says which, and keeps it until
 * `end` does. */
static void start(int cgroup, int gate, int end, int said)
{
	struct listener_set set = {0};
	struct error e;
	uint16_t port = 0;
	char c;

	if (read(gate, &c, 1) == 0 && listener_open(cgroup, WORKERS, 0, &set, &e) == 0)
		port = set.port;
	if (write(said, &port, sizeof(port)) == sizeof(port) && read(end, &c, 1) == 0)
		_exit(set.count == WORKERS ? EXIT_SUCCESS : EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

static void run_round(int cgroup)
{
	int gate[2], end[2], said[2], status;
	uint16_t ports[STARTERS];

	cr_assert(pipe(gate) == 0 && pipe(end) == 0 && pipe(said) == 0);
	for (unsigned i = 0; i < STARTERS; i++) {
		if (fork() == 0) {
			close(gate[1]);
			close(end[1]);
			start(cgroup, gate[0], end[0], said[1]);
		}
	}
	close(gate[1]);
	for (unsigned i = 0; i < STARTERS; i++) {
		cr_assert_eq(read(said[0], &ports[i], sizeof(ports[i])), sizeof(ports[i]));
		cr_assert_neq(ports[i], 0);
		for (unsigned j = 0; j < i; j++)
			cr_assert_neq(ports[i], ports[j], "two have port %u", ports[i]);
	}
	close(end[1]);
	for (unsigned i = 0; i < STARTERS; i++)
		cr_assert(wait(&status) > 0 && status == 0);
	close(gate[0]);
	close(end[0]);
	close(said[0]);
	close(said[1]);
}

/* They would be in one group, and get each other's connections. */
Test(listener, who_starts_in_the_same_moment_has_a_port_of_its_own, .timeout = 120)
{
	struct cgroup_root root;
	struct error e;
	char path[4096];
	int cgroup;

	cr_assert_eq(cgroup_root_open(&root, &e), 0, "%s", e.text);
	cr_assert_eq(cgroup_of_process(getpid(), path, sizeof(path)), 0);
	cgroup = openat(root.fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(cgroup, 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		run_round(cgroup);
	close(cgroup);
	cgroup_root_close(&root);
}
