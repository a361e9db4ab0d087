/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/filter.h"

#define DEADLY (-1)
#define FINE 0

static pid_t parent;

/* 0, or an errno. */
static int result(long r)
{
	return r < 0 ? errno : FINE;
}

static int signal_itself(void)
{
	return result(syscall(SYS_tgkill, getpid(), gettid(), 0));
}

static int signal_another(void)
{
	return result(syscall(SYS_tgkill, parent, parent, 0));
}

static int pair_of(int type)
{
	int pair[2];

	return result(socketpair(AF_UNIX, type, 0, pair));
}

static int pair_to_be_woken_by(void)
{
	return pair_of(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int pair_of_datagrams(void)
{
	return pair_of(SOCK_DGRAM);
}

static int pair_with_descriptors_to_pass(void)
{
	return pair_of(SOCK_SEQPACKET);
}

static int internet_socket(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int unix_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int packet_socket(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int read_a_file(void)
{
	return result(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
}

static int write_a_file(void)
{
	return result(syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY));
}

static int run_a_program(void)
{
	return result(execl("/bin/true", "true", (char *)NULL));
}

static int run(int (*call)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct error e;

		_exit(filter_load(&e) < 0 ? 255 : call());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	cr_assert_eq(WTERMSIG(status), SIGSYS);
	return DEADLY;
}

Test(broker_filter, what_it_may_do_and_what_not)
{
	static const struct {
		const char *name;
		int (*call)(void);
		int expected;
	} rows[] = {
		{"signal itself", signal_itself, FINE},
		{"signal another process", signal_another, DEADLY},
		{"a pair of streams", pair_to_be_woken_by, FINE},
		{"a pair of datagram sockets", pair_of_datagrams, DEADLY},
		{"a pair of packet sockets", pair_with_descriptors_to_pass, DEADLY},
		{"a socket of the Internet", internet_socket, FINE},
		{"a Unix socket", unix_socket, EAFNOSUPPORT},
		{"a packet socket", packet_socket, DEADLY},
		{"read a file", read_a_file, FINE},
		{"write a file", write_a_file, DEADLY},
		{"run a program", run_a_program, DEADLY},
	};

	parent = getpid();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(run(rows[i].call), rows[i].expected, "%s", rows[i].name);
}
