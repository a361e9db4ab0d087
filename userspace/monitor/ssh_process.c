/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/ssh_process.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/control.h"
#include "monitor/sshkey.h"
#include "monitor/sshkey_file.h"

#define PROGRAM "wayleave-ssh"
#define RSA_BITS 3072u
#define CHANNEL_BYTES (4 << 20) /* sessions that begin at once */
#define PAUSE NANOSECONDS_PER_SECOND /* before another is started */

void ssh_process_init(struct ssh_process *p)
{
	*p = (struct ssh_process){.channel = -1};
	for (size_t i = 0; i < SSH_HOST_KEYS; i++)
		buffer_init(&p->keys[i], SSH_TEXT_MOST);
	buffer_init(&p->lines, SSH_TEXT_MOST);
}

/* --- host keys: of each kind one, so that every client finds one that it likes --- */

static EVP_PKEY *make_ed25519(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static EVP_PKEY *make_ecdsa(void)
{
	return EVP_EC_gen("P-256");
}

static EVP_PKEY *make_rsa(void)
{
	return EVP_RSA_gen(RSA_BITS);
}

static const struct {
	const char *file;
	EVP_PKEY *(*make)(void);
} kinds[SSH_HOST_KEYS] = {
	{"ssh_host_ed25519.key", make_ed25519},
	{"ssh_host_ecdsa.key", make_ecdsa},
	{"ssh_host_rsa.key", make_rsa},
};

static int append_pem(EVP_PKEY *key, struct buffer *ret)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *data;
	long length;
	int r = -EIO;

	if (bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
		length = BIO_get_mem_data(bio, &data);
		r = length > 0 ? buffer_append(ret, data, (size_t)length) : -EIO;
	}
	BIO_free(bio);
	return r;
}

static int make_key(size_t kind, const char *path, struct buffer *ret, struct error *e)
{
	EVP_PKEY *key = kinds[kind].make();
	int r = -EIO;

	if (key)
		r = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? sshkey_file_append(key, ret)
								  : append_pem(key, ret);

	EVP_PKEY_free(key);
	if (r < 0)
		return error_set_errno(e, r, "making %s", path);
	return file_write(path, buffer_slice(ret), 0600, e);
}

static int add_line(struct ssh_process *p, size_t kind, const char *path, struct error *e)
{
	EVP_PKEY *key = NULL;
	struct error why = {""};
	int r = sshkey_read(buffer_slice(&p->keys[kind]), &key, &why);

	if (r < 0)
		return error_set(e, r, "%s: %s", path, why.text);
	r = sshkey_append_line(key, &p->lines);
	if (r == 0)
		r = buffer_append_byte(&p->lines, '\n');
	EVP_PKEY_free(key);
	return r < 0 ? error_set_errno(e, r, "%s", path) : 0;
}

int ssh_process_open(struct ssh_process *p, const char *state_dir, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < SSH_HOST_KEYS; i++) {
		char *path = memory_format("%s/keys/%s", state_dir, kinds[i].file);

		r = access(path, F_OK) == 0 ? file_read(path, &p->keys[i], e)
					    : make_key(i, path, &p->keys[i], e);
		if (r == 0)
			r = add_line(p, i, path, e);
		free(path);
	}
	return r;
}

/* --- the process --- */

static int start_descriptor(const struct ssh_process *p, int channel, uid_t uid, gid_t gid)
{
	struct ssh_start start = {.channel = channel, .uid = uid, .gid = gid};
	int fd = memfd_create("wayleave-ssh", 0), r = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < SSH_HOST_KEYS; i++)
		start.lengths[i] = (uint32_t)buffer_length(&p->keys[i]);
	if (r == 0)
		r = file_write_all(fd, slice_of(&start, sizeof(start)));
	for (size_t i = 0; r == 0 && i < SSH_HOST_KEYS; i++)
		r = file_write_all(fd, buffer_slice(&p->keys[i]));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : fd;
}

/* In the child. */
static void become_ssh(
	const struct ssh_process *p, int channel, const char *program, uid_t uid, gid_t gid)
{
	char argument[16];
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (p->limits)
		worker_limits_enter(p->limits, PROGRAM);
	fd = start_descriptor(p, channel, uid, gid);
	if (fd < 0 || fcntl(channel, F_SETFD, 0) < 0)
		_exit(EXIT_FAILURE);
	snprintf(argument, sizeof(argument), "%d", fd);
	execl(program, PROGRAM, argument, (char *)NULL);
	_exit(EXIT_FAILURE);
}

static int start(struct ssh_process *p, uid_t uid, gid_t gid, struct error *e)
{
	char *program = file_find_program(PROGRAM);
	int pair[2], size = CHANNEL_BYTES;

	p->started = clock_monotonic();
	if (!program)
		return error_set(e, -ENOENT, "%s is not installed", PROGRAM);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(program);
		return error_set_errno(e, -errno, "socketpair");
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	p->pid = fork();
	if (p->pid == 0)
		become_ssh(p, pair[1], program, uid, gid);
	free(program);
	close(pair[1]);
	p->channel = pair[0];
	if (p->pid < 0) {
		p->pid = 0;
		close(pair[0]);
		p->channel = -1;
		return error_set_errno(e, -errno, "fork");
	}
	return 0;
}

void ssh_process_tick(struct ssh_process *p, uint64_t now, uid_t uid, gid_t gid)
{
	struct error e;

	if (!p->wanted || p->pid || (p->started && now < p->started + PAUSE))
		return;
	if (start(p, uid, gid, &e) < 0)
		log_error("SSH sessions can't be begun: %s", e.text);
}

static void stop(struct ssh_process *p)
{
	if (p->channel >= 0)
		close(p->channel);
	p->channel = -1;
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

void ssh_process_want(struct ssh_process *p, bool wanted, uid_t uid, gid_t gid)
{
	p->wanted = wanted;
	if (wanted)
		ssh_process_tick(p, clock_monotonic(), uid, gid);
	else
		stop(p);
}

bool ssh_process_on_exit(struct ssh_process *p, pid_t pid, int status)
{
	if (pid != p->pid)
		return false;
	p->pid = 0;
	stop(p);
	log_error("wayleave-ssh ended (%s %d)", WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return true;
}

void ssh_process_close(struct ssh_process *p)
{
	stop(p);
	for (size_t i = 0; i < SSH_HOST_KEYS; i++)
		buffer_wipe(&p->keys[i]);
	buffer_done(&p->lines);
}

int ssh_process_session(struct ssh_process *p, const struct slice *texts, const int *fds)
{
	const struct control_header header = {.type = SSH_MESSAGE_SESSION};
	struct ssh_opening opening = {};
	int present[SSH_DESCRIPTOR_COUNT], r;
	struct buffer payload;
	size_t count = 0;

	if (p->channel < 0)
		return -EPIPE;
	for (size_t i = 0; i < SSH_TEXT_COUNT; i++)
		opening.lengths[i] = (uint32_t)texts[i].length;
	for (size_t i = 0; i < SSH_DESCRIPTOR_COUNT; i++) {
		opening.present[i] = fds[i] >= 0;
		if (fds[i] >= 0)
			present[count++] = fds[i];
	}
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = buffer_append(&payload, &opening, sizeof(opening));
	for (size_t i = 0; r == 0 && i < SSH_TEXT_COUNT; i++)
		r = buffer_append_slice(&payload, texts[i]);
	if (r == 0)
		r = control_send(p->channel, &header, buffer_slice(&payload), present, count);
	buffer_wipe(&payload);
	return r;
}
