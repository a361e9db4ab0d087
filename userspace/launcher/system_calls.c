/* SPDX-License-Identifier: Apache-2.0
 *
 * The seccomp filter. It refuses what the hooks on cgroups don't see: sockets of other families
 * (cgroup/sock_create runs for IPv4 and IPv6 alone), and the interfaces that lead round them.
 * Everything else is left to the command.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "launcher/launcher.h"

/* TIOCLINUX pastes what was selected on a virtual console (ioctl_console(2)). */
#define IOCTL_TIOCLINUX 0x541c

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* The terminal is the caller's: what is pushed into its input would be run by the caller's shell.
 */
static const unsigned long terminal_input[] = {TIOCSTI, IOCTL_TIOCLINUX};

/* NS_MNT_GET_NEXT and NS_MNT_GET_PREV (linux/nsfs.h, kernel 6.12): a descriptor of the next mount
 * namespace that the caller has rights over, as its user has over those that it has made outside,
 * where nothing is hidden. Later kernels refuse that by themselves. The size of what they fill in,
 * above these bits, grows with the kernel's version. */
#define IOCTL_KIND_AND_NUMBER 0xffffu
static const unsigned next_namespaces[] = {0xb70b, 0xb70c};

static const int io_uring_calls[] = {
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)};

static bool is_allowed(unsigned family)
{
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		if ((unsigned)families[i] == family)
			return true;
	}
	return false;
}

/* Above the highest allowed family all is refused, with it any value of more than 32 bits, of which
 * the kernel would take the lower half. */
static int refuse_families(scmp_filter_ctx filter, int call)
{
	int r = seccomp_rule_add(
		filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));

	for (unsigned family = AF_UNSPEC; r == 0 && family <= AF_NETLINK; family++) {
		if (!is_allowed(family))
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1,
				SCMP_A0(SCMP_CMP_EQ, family));
	}
	return r;
}

static int refuse_terminal_input(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(terminal_input); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, terminal_input[i]));
	return r;
}

static int refuse_next_namespaces(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(next_namespaces); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, IOCTL_KIND_AND_NUMBER, next_namespaces[i]));
	return r;
}

/* What of other processes no rule of Landlock keeps apart. By its handle (kernel 6.18), which can
 * be guessed, a namespace is opened that the same user has made outside, and entered; and a limit
 * of a process is as good as a signal to it: who has used up its RLIMIT_CPU is killed. Of its own
 * limits a process speaks without naming itself (setrlimit(3)). */
static int refuse_others(scmp_filter_ctx filter)
{
	int r = refuse_next_namespaces(filter);

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(open_by_handle_at), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 2,
			SCMP_A0(SCMP_CMP_NE, 0), SCMP_A2(SCMP_CMP_NE, 0));
	return r;
}

static int fill(scmp_filter_ctx filter, bool deny_io_uring)
{
	/* Other architectures' calls have other numbers and are not looked at: refused. */
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));

	/* No penalty on the command's speed; a tree, since some calls are made often. */
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = refuse_families(filter, SCMP_SYS(socket));
	if (r == 0)
		r = refuse_families(filter, SCMP_SYS(socketpair));
	if (r == 0)
		r = refuse_terminal_input(filter);
	if (r == 0)
		r = refuse_others(filter);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(bpf), 0);
	/* For a key that is not there the kernel starts a program of root's, in no agent's cgroup,
	 * which looks names up that the caller chose (dns_resolver). Without the text for that
	 * program, which is the third argument, only keyrings are searched. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(request_key), 1,
			SCMP_A2(SCMP_CMP_NE, 0));
	for (size_t i = 0; r == 0 && deny_io_uring && i < ARRAY_SIZE(io_uring_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), io_uring_calls[i], 0);
	return r == 0 ? seccomp_load(filter) : r;
}

int confine_system_calls(bool deny_io_uring, struct error *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? fill(filter, deny_io_uring) : -ENOMEM;

	if (filter)
		seccomp_release(filter);
	return r < 0 ? error_set_errno(e, r, "the filter of system calls") : 0;
}
