/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox_probe SANDBOX WHAT: enters a sandbox as user 65534 with an append-only file, then tries
 * one thing. Prints "allowed", or "refused: ERROR"; killed by SIGSYS where the system call filter
 * refuses it. SANDBOX: "worker", with a ring and a recording; "session", of SSH. Without WHAT it
 * prints what can be tried there. What is named unfiltered-… is tried before that filter is there:
 * Landlock alone refuses it. For tests/e2e/test_sandbox.py and test_ssh_sandbox.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors_filter.h"
#include "base/memory.h"
#include "recording/recorder.h"
#include "ring/ring.h"
#include "base/privileges.h"
#include "worker/sandbox.h"

#define NOBODY 65534

static int file; /* O_APPEND, write-only */
static struct ring ring;
static struct recorder *recorder;
static pid_t outside; /* a process of the same user that is not in the sandbox */

static long try_append(void)
{
	return write(file, "x", 1);
}

/* The end of a worker, while what it wrote is being synced. */
static long try_stop_recording(void)
{
	struct stream_head heads[RECORDER_HEADS_MOST];

	recorder_flush(recorder);
	recorder_tick(recorder, clock_monotonic());
	return recorder_stop(recorder, heads) >= STREAM_WORKER_COUNT ? 0 : -1;
}

static long try_truncate(void)
{
	return ftruncate(file, 0);
}

static long try_allocate(void)
{
	return fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096);
}

static long try_pwrite(void)
{
	return pwrite(file, "x", 1, 0);
}

static long try_pwritev2(void)
{
	return syscall(SYS_pwritev2, file, NULL, 0, 0, 0, 0);
}

static long try_set_flags(void)
{
	return fcntl(file, F_SETFL, 0);
}

static long try_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long try_read_link(void)
{
	char target[64];

	return readlink("/proc/self/exe", target, sizeof(target));
}

static long try_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static long try_fork(void)
{
	return fork();
}

static long try_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long try_read_memory(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&byte, 1};

	return process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static long try_kill(void)
{
	return kill(1, 0);
}

static long try_signal_thread(void)
{
	return syscall(SYS_tgkill, 1, 1, 0);
}

static long try_root(void)
{
	return setuid(0);
}

static long try_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long try_netlink_socket(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static long try_udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}

static long try_raw_socket(void)
{
	return socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
}

static long try_tcp_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

/* How much of a socket is unread, and another one of the same kind of call. */
static long try_unread(void)
{
	int count;

	return ioctl(socket(AF_INET, SOCK_STREAM, 0), FIONREAD, &count);
}

static long try_device(void)
{
	return ioctl(file, FIOCLEX);
}

static long try_connect(void)
{
	const struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(1)};

	return connect(STDIN_FILENO, (const struct sockaddr *)&there, sizeof(there));
}

static long try_listen(void)
{
	return listen(STDIN_FILENO, 1);
}

static long try_duplicate(void)
{
	return fcntl(file, F_DUPFD, 0);
}

static long try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long try_code(void)
{
	void *memory = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? -1 : 0;
}

static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_second_ring(void)
{
	struct io_uring_params parameters = {0};

	return syscall(SYS_io_uring_setup, 8, &parameters);
}

static long submit(uint8_t opcode, int fd, const void *address, uint8_t flags)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring.uring);
	struct io_uring_cqe *completion;
	long result;

	if (!entry)
		return -1;
	*entry = (struct io_uring_sqe){.opcode = opcode};
	entry->fd = fd;
	entry->addr = (uintptr_t)address;
	entry->flags = flags;
	if (io_uring_submit(&ring.uring) < 0 || io_uring_wait_cqe(&ring.uring, &completion) < 0)
		return -1;
	result = completion->res;
	if (result < 0)
		errno = (int)-result;
	return result < 0 ? -1 : result;
}

static long try_ring_open(void)
{
	return submit(IORING_OP_OPENAT, AT_FDCWD, "/etc/passwd", 0);
}

static long try_ring_write(void)
{
	return submit(IORING_OP_WRITE, file, "x", 0);
}

static long try_ring_truncate(void)
{
	return submit(IORING_OP_FALLOCATE, file, NULL, 0);
}

static long try_ring_socket(void)
{
	return submit(IORING_OP_SOCKET, AF_UNIX, NULL, 0);
}

static long try_ring_flags(void)
{
	return submit(IORING_OP_TIMEOUT, -1, NULL, IOSQE_IO_LINK);
}

/* --- what the filter would refuse, too */

static long try_create(void)
{
	return open("/tmp/sandbox-probe", O_CREAT | O_WRONLY, 0600);
}

/* A port of the kernel's choice. */
static long try_bind(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};

	return bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&any, sizeof(any));
}

/* Of the same user, so that nothing else is in the way. */
static long try_signal_outside(void)
{
	return kill(outside, 0);
}

static long try_dial(void)
{
	const struct sockaddr_in here = {.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect(fd, (const struct sockaddr *)&here, sizeof(here));

	return r < 0 && (errno == EINPROGRESS || errno == ECONNREFUSED) ? 0 : r;
}

enum sandbox { WORKER = 1, SESSION = 2 };

static const struct attempt {
	const char *name;
	long (*try)(void);
	unsigned in;
	bool unfiltered;
} attempts[] = {
	{"unfiltered-dial", try_dial, WORKER, true},
	{"unfiltered-open", try_open, WORKER, true},
	{"unfiltered-create", try_create, WORKER, true},
	{"unfiltered-exec", try_exec, WORKER, true},
	{"unfiltered-bind", try_bind, WORKER, true},
	{"unfiltered-signal", try_signal_outside, WORKER, true},
	{"append", try_append, WORKER | SESSION},
	{"tcp-socket", try_tcp_socket, WORKER | SESSION},
	{"stop-recording", try_stop_recording, WORKER},
	{"unread", try_unread, WORKER},
	{"device", try_device, WORKER},
	{"truncate", try_truncate, WORKER | SESSION},
	{"allocate", try_allocate, WORKER | SESSION},
	{"pwrite", try_pwrite, WORKER | SESSION},
	{"pwritev2", try_pwritev2, WORKER | SESSION},
	{"set-flags", try_set_flags, WORKER | SESSION},
	{"open", try_open, WORKER | SESSION},
	{"exec", try_exec, WORKER | SESSION},
	{"fork", try_fork, WORKER | SESSION},
	{"ptrace", try_ptrace, WORKER | SESSION},
	{"kill", try_kill, WORKER | SESSION},
	{"signal-thread", try_signal_thread, WORKER | SESSION},
	{"root", try_root, WORKER | SESSION},
	{"unix-socket", try_unix_socket, WORKER | SESSION},
	{"netlink-socket", try_netlink_socket, WORKER | SESSION},
	{"udp-socket", try_udp_socket, WORKER | SESSION},
	{"raw-socket", try_raw_socket, WORKER | SESSION},
	{"code", try_code, WORKER | SESSION},
	{"bpf", try_bpf, WORKER | SESSION},
	{"second-ring", try_second_ring, WORKER | SESSION},
	{"ring-open", try_ring_open, WORKER},
	{"ring-write", try_ring_write, WORKER},
	{"ring-truncate", try_ring_truncate, WORKER},
	{"ring-socket", try_ring_socket, WORKER},
	{"ring-flags", try_ring_flags, WORKER},
	{"read-link", try_read_link, SESSION},
	{"duplicate", try_duplicate, SESSION},
	{"read-memory", try_read_memory, SESSION},
	{"namespace", try_namespace, SESSION},
	{"connect", try_connect, SESSION},
	{"listen", try_listen, SESSION},
};

static void start_recording(void)
{
	struct recorder_options options = {.incarnation = {"w-0123456789ABCDEF"}};

	if (recorder_new(&recorder, &options) < 0)
		exit(EXIT_FAILURE);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		recorder_give_segment(
			recorder, (enum stream_kind)kind, memfd_create("segment", MFD_CLOEXEC), 1);
}

/* Ends with this process, which holds the pipe's other end: a signal at its death would be one from
 * inside of the sandbox. */
static void start_outside(void)
{
	struct error e;
	int ends[2];
	char none;

	if (pipe(ends) < 0)
		exit(EXIT_FAILURE);
	outside = fork();
	if (outside > 0)
		return;
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	close(ends[1]);
	if (outside < 0 || privileges_drop(NOBODY, NOBODY, &e) < 0 || read(ends[0], &none, 1) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

static int enter_worker(bool unfiltered, struct error *e)
{
	int r;

	if (unfiltered)
		start_outside();
	r = privileges_drop(NOBODY, NOBODY, e);
	if (r == 0)
		r = sandbox_shut(e);
	if (r == 0)
		r = ring_init(&ring, 8, e);
	start_recording();
	return r == 0 && !unfiltered ? sandbox_filter(e) : r;
}

static int enter_session(struct error *e)
{
	int r = privileges_drop(NOBODY, NOBODY, e);

	return r == 0 ? descriptors_filter(e) : r;
}

static void enter(enum sandbox sandbox, bool unfiltered)
{
	char path[] = "/tmp/sandbox-probe.XXXXXX";
	struct error e = {""};
	int made = mkstemp(path);

	if (made < 0)
		exit(EXIT_FAILURE);
	file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	close(made);
	unlink(path);
	if (file < 0 ||
		(sandbox == WORKER ? enter_worker(unfiltered, &e) : enter_session(&e)) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(EXIT_FAILURE);
	}
}

/* By write(2) alone: stdio asks what its file is. */
static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(EXIT_FAILURE);
}

static void attempt(enum sandbox sandbox, const struct attempt *a)
{
	enter(sandbox, a->unfiltered);
	if (a->try() < 0) {
		say("refused: ");
		say(strerrorname_np(errno));
	} else {
		say("allowed");
	}
	_exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	enum sandbox sandbox = argc > 1 && strcmp(argv[1], "session") == 0 ? SESSION : WORKER;

	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (!(attempts[i].in & sandbox))
			continue;
		if (argc < 3)
			puts(attempts[i].name);
		else if (strcmp(argv[2], attempts[i].name) == 0)
			attempt(sandbox, &attempts[i]);
	}
	return 2;
}
