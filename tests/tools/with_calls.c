/* SPDX-License-Identifier: Apache-2.0
 *
 * with_calls: runs a command to which only the system calls of a list are allowed, others give
 * EPERM: what SystemCallFilter= of a unit does. Names that this machine hasn't are skipped, as
 * systemd does.
 *
 *	with_calls NAME… -- COMMAND…
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int i = 1, r = filter ? 0 : -ENOMEM;

	for (; r == 0 && i < argc && strcmp(argv[i], "--") != 0; i++) {
		int call = seccomp_syscall_resolve_name(argv[i]);

		if (call >= 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
	if (i + 1 >= argc) {
		fputs("usage: with_calls NAME… -- COMMAND…\n", stderr);
		return 2;
	}
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	if (r < 0) {
		fprintf(stderr, "with_calls: %s\n", strerror(-r));
		return 1;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 127;
}
