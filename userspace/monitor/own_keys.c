/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/own_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/descriptors_filter.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/privileges.h"
#include "base/ssh_wire.h"
#include "monitor/keyring.h"
#include "monitor/sshkey.h"
#include "ssh/messages.h"

#define LIST_TIME (10 * NANOSECONDS_PER_SECOND) /* for an ssh-agent's list; nobody is asked */
#define SIGN_TIME (45 * NANOSECONDS_PER_SECOND) /* it may ask a person */

/* The names that ssh(1) tries by itself. */
static const char *const files[] = {"id_ed25519", "id_ecdsa", "id_rsa"};

struct own {
	int signer; /* the session's */
	int agent; /* the ssh-agent's; -1: none */
	int files[ARRAY_SIZE(files)]; /* -1: none */
	struct owner owner;
	struct keyring keys;
	struct buffer problem; /* why there is no key */
	uint64_t agent_time; /* that it has for an answer */
};

/* --- bytes of sockets that others may keep waiting --- */

/* 0, or -ETIMEDOUT, -EPIPE, others. */
static int transfer(int fd, uint8_t *bytes, size_t length, bool send_them, uint64_t deadline)
{
	while (length) {
		struct pollfd p = {.fd = fd, .events = send_them ? POLLOUT : POLLIN};
		uint64_t now = clock_monotonic();
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline - now) / NANOSECONDS_PER_MILLISECOND) + 1) <= 0)
			continue;
		n = send_them ? send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
			      : recv(fd, bytes, length, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int send_string(int fd, struct slice text, uint64_t deadline)
{
	struct buffer out;
	int r;

	buffer_init(&out, KEYRING_ANSWER_MOST + 4);
	r = ssh_wire_append_string(&out, text);
	if (r == 0)
		r = transfer(fd, out.data, buffer_length(&out), true, deadline);
	buffer_done(&out);
	return r;
}

static int receive_string(int fd, struct buffer *ret, size_t most, uint64_t deadline)
{
	uint8_t head[4], *space;
	uint32_t length;
	int r = transfer(fd, head, sizeof(head), false, deadline);

	if (r < 0)
		return r;
	length = bytes_get_u32(head);
	if (length == 0 || length > most)
		return -EBADMSG;
	r = buffer_reserve(ret, length, &space);
	if (r == 0)
		r = transfer(fd, space, length, false, deadline);
	if (r == 0)
		buffer_commit(ret, length);
	return r;
}

static int ask_agent(void *context, struct slice request, struct buffer *ret)
{
	struct own *o = context;
	uint64_t deadline = clock_monotonic() + o->agent_time;
	int r = send_string(o->agent, request, deadline);

	return r < 0 ? r : receive_string(o->agent, ret, KEYRING_ANSWER_MOST, deadline);
}

/* --- what is opened, as the owner --- */

static void add_problem(struct own *o, const char *place, const char *why)
{
	buffer_append_format(
		&o->problem, "%s%.120s: %s", buffer_length(&o->problem) ? "; " : "", place, why);
}

/* By a descriptor, as a name has too little room and another root. */
static int connect_to(int place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static void open_agent(struct own *o)
{
	const char *path = o->owner.socket;
	int place;

	if (!path)
		return;
	place = owner_open(&o->owner, path, O_PATH);
	o->agent = place < 0 ? place : connect_to(place);
	if (o->agent < 0)
		add_problem(o, path, strerror(-o->agent));
	if (place >= 0)
		close(place);
}

/* What is no file may wait for somebody, or begin something. */
static int open_file(const struct own *o, const char *path)
{
	int fd = owner_open(&o->owner, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat s;

	if (fd < 0)
		return fd;
	if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode))
		return fd;
	close(fd);
	return -EPERM;
}

static char *path_of(const struct own *o, size_t file)
{
	return memory_format("%s/.ssh/%s", o->owner.home, files[file]);
}

static void open_files(struct own *o)
{
	for (size_t i = 0; o->owner.home && i < ARRAY_SIZE(files); i++) {
		char *path = path_of(o, i);

		o->files[i] = open_file(o, path);
		if (o->files[i] < 0 && o->files[i] != -ENOENT)
			add_problem(o, path, strerror(-o->files[i]));
		free(path);
	}
}

/* --- what is read, with nothing but descriptors left --- */

static void read_agent(struct own *o)
{
	int r;

	if (o->agent < 0)
		return;
	o->keys.ask = ask_agent;
	o->keys.context = o;
	o->agent_time = LIST_TIME;
	r = keyring_add_from_agent(&o->keys);
	o->agent_time = SIGN_TIME;
	if (r == 0 && o->keys.count == 0)
		add_problem(o, o->owner.socket, "the ssh-agent has no key");
	else if (r < 0)
		add_problem(o, o->owner.socket,
			r == -EBADMSG || r == -E2BIG ? "it does not answer as an ssh-agent"
						     : strerror(-r));
}

static int read_key(struct own *o, int fd, struct error *e)
{
	struct buffer text;
	EVP_PKEY *key;
	int r;

	buffer_init(&text, SSHKEY_TEXT_MOST);
	r = file_read_descriptor(fd, &text);
	if (r < 0)
		error_set_errno(e, r, "not read");
	else
		r = sshkey_read(buffer_slice(&text), &key, e);
	buffer_wipe(&text);
	if (r == 0)
		r = keyring_add(&o->keys, key, SLICE_EMPTY);
	return r;
}

static void read_files(struct own *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct error e = {"it can't be used"};
		char *path;

		if (o->files[i] < 0)
			continue;
		path = path_of(o, i);
		if (read_key(o, o->files[i], &e) < 0)
			add_problem(o, path, e.text);
		free(path);
	}
}

/* --- the process --- */

static int read_start(int fd, struct own_keys_start *ret)
{
	struct buffer all;
	int r;

	buffer_init(&all, sizeof(*ret));
	r = file_read_descriptor(fd, &all);
	if (r == 0 && buffer_length(&all) != sizeof(*ret))
		r = -EINVAL;
	if (r == 0)
		memcpy(ret, all.data, sizeof(*ret));
	buffer_done(&all);
	return r;
}

static int find_keys(struct own *o, const struct own_keys_start *start, struct error *e)
{
	int r = owner_read(start, &o->owner, e);

	if (r == 0)
		r = privileges_become(
			o->owner.uid, o->owner.gid, o->owner.groups, o->owner.group_count, e);
	if (r < 0)
		return r;
	open_agent(o);
	open_files(o);
	r = descriptors_filter(e);
	if (r < 0)
		return r;
	read_agent(o);
	read_files(o);
	if (o->keys.count)
		return 0;
	if (buffer_length(&o->problem) == 0)
		buffer_append_string(&o->problem, "no SSH_AUTH_SOCK and no key in ~/.ssh");
	return error_set(e, -ENOKEY, "the agent's process has no key to log in with: %.*s",
		SLICE_PRINT(buffer_slice(&o->problem)));
}

/* Until the session has what it wants, which closes its end. */
static void serve(struct own *o)
{
	uint64_t deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	struct buffer request, answer;
	int r = 0;

	buffer_init(&request, KEYRING_REQUEST_MOST);
	buffer_init(&answer, KEYRING_ANSWER_MOST);
	while (r == 0) {
		buffer_clear(&request);
		buffer_clear(&answer);
		r = receive_string(o->signer, &request, KEYRING_REQUEST_MOST, deadline);
		if (r == 0)
			r = keyring_answer(&o->keys, buffer_slice(&request), &answer);
		if (r == 0)
			r = send_string(o->signer, buffer_slice(&answer), deadline);
	}
	buffer_done(&request);
	buffer_done(&answer);
}

int own_keys_main(int fd)
{
	struct own o = {.agent = -1, .files = {-1, -1, -1}, .owner = {.root = -1}};
	struct own_keys_start start;
	struct error e = {""};
	struct slice problem;

	log_set_name("own-keys");
	signal(SIGPIPE, SIG_IGN);
	/* The files and sockets of an agent can stand still for ever. */
	alarm(LIMIT_STARTUP_TIME / 1000);
	/* It reads its configuration now, while nobody else chooses which. */
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (read_start(fd, &start) < 0)
		return EXIT_FAILURE;
	close(fd);
	o.signer = start.signer;
	keyring_init(&o.keys, start.user);
	buffer_init(&o.problem, SSH_SIGNER_PROBLEM_MOST);
	if (find_keys(&o, &start, &e) < 0) {
		problem = slice_head(slice_from_string(e.text), SSH_SIGNER_PROBLEM_MOST);
		send_string(o.signer, problem, clock_monotonic() + LIST_TIME);
	} else if (send_string(o.signer, SLICE_EMPTY, clock_monotonic() + LIST_TIME) == 0) {
		serve(&o);
	}
	keyring_done(&o.keys);
	owner_done(&o.owner);
	buffer_done(&o.problem);
	_exit(EXIT_SUCCESS);
}
