/* SPDX-License-Identifier: Apache-2.0
 *
 * requests: what a worker may ask. It is not trusted: one row per type, with the least and most
 * bytes it may have, and what it is about is checked again here, where possible with the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/host_path.h"
#include "capture/origin.h"
#include "monitor/monitor.h"
#include "monitor/process.h"
#include "monitor/unix_servers.h"
#include "protocol/dns.h"

#define CANCEL_KEY_MOST 260
#define CANCEL_MESSAGE_MOST 512

/* Every request begins with its id; its reply too. */
void requests_reply(struct monitor_worker *w, enum message_type type, uint64_t id, int status,
	struct slice answer, int fd)
{
	struct control_header header = {
		.type = (uint32_t)type | MESSAGE_REPLY_BIT, .status = status};
	struct buffer payload;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	if (buffer_append(&payload, &id, sizeof(id)) == 0 &&
		buffer_append_slice(&payload, answer) == 0)
		control_send(w->channel, &header, buffer_slice(&payload), &fd, fd >= 0);
	buffer_wipe(&payload);
}

/* As requests_reply(), to who sent `request`. */
static void reply(struct monitor_worker *w, enum message_type type, struct slice request,
	int status, struct slice answer, int fd)
{
	uint64_t id;

	memcpy(&id, request.data, sizeof(id));
	requests_reply(w, type, id, status, answer, fd);
}

static void on_ready(struct monitor_worker *w, struct slice request, int fd)
{
	(void)request;
	(void)fd;
	w->ready = true;
}

static void on_process(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_process process;
	char path[256];
	int r;

	(void)fd;
	memcpy(&process, request.data, sizeof(process));
	r = process_program(&process, path, sizeof(path));
	reply(w, MESSAGE_PROCESS, request, r, r < 0 ? SLICE_EMPTY : slice_from_string(path), -1);
}

/* The agent says how far up its parents are its own. */
static void on_inspect(struct monitor_worker *w, struct slice request, int fd)
{
	const struct config *c = w->monitor->config;
	struct inspector_request r = {.worker = w->index, .incarnation = w->incarnation};

	(void)fd;
	memcpy(&r.asked, request.data, sizeof(r.asked));
	for (size_t i = 0; i < c->agent_count; i++) {
		if (c->agents[i].id == r.asked.agent && c->agents[i].cgroup.text)
			snprintf(r.cgroup, sizeof(r.cgroup), "%s", c->agents[i].cgroup.text);
	}
	inspector_process_ask(&w->monitor->inspector, &r);
}

static void on_certificate(struct monitor_worker *w, struct slice request, int fd)
{
	struct slice name = slice_from(request, sizeof(struct message_certificate));
	struct error e = {""};
	struct buffer pem;
	int r;

	(void)fd;
	buffer_init(&pem, 65536);
	r = authority_mint(w->monitor->authority, name, &pem, &e);
	if (r < 0)
		log_warning("worker %u asked for a certificate: %s", w->index, e.text);
	reply(w, MESSAGE_CERTIFICATE, request, r,
		r < 0 ? slice_from_string(e.text) : buffer_slice(&pem), -1);
	buffer_wipe(&pem);
}

/* To what the path leads to without others' links (policy/unix_server.h). */
static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int place, r = host_path_open(path, &place, NULL);

	if (r < 0)
		return r;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
	r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	close(place);
	return r;
}

/* Connects as that user, for the server's peer authentication. Raw system calls: glibc's would
 * change the user of all threads. Nothing here blocks: a Unix socket connects at once or not at
 * all. */
static int connect_as(const char *path, uid_t uid, gid_t gid)
{
	const gid_t no_groups[1] = {gid}, own_groups[1] = {getegid()};
	int fd, r = 0;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_setgroups, 1, no_groups) < 0 || syscall(SYS_setresgid, -1, gid, -1) < 0 ||
		syscall(SYS_setresuid, -1, uid, -1) < 0)
		r = -errno;
	if (r == 0)
		r = connect_to(fd, path);
	/* Back; a monitor that can't be root again must not go on. */
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 || syscall(SYS_setresgid, -1, 0, -1) < 0 ||
		syscall(SYS_setgroups, 1, own_groups) < 0)
		abort();
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* `fd` is the agent's connection: whose it is, the kernel says. */
static int connect_for(struct monitor *m, const struct message_connect_unix *request, int fd)
{
	const struct config_upstream *upstream;
	struct passwd *user;
	struct origin origin;
	int server, r;

	if (fd == REQUESTS_LOST_DESCRIPTOR)
		return fd;
	if (fd < 0 || origin_get(fd, &origin) < 0)
		return -EPERM;
	/* Its user is nobody's of this host. */
	if (origin.way != ORIGIN_DIALLED)
		return -EPERM;
	if (request->generation != m->generation || request->resource >= m->config->resource_count)
		return -ESTALE;
	upstream = m->config->resources[request->resource].upstream;
	if (!upstream || !upstream->unix_path.text)
		return -EINVAL;
	user = getpwuid(origin.uid);
	server = connect_as(upstream->unix_path.text, origin.uid, user ? user->pw_gid : origin.uid);
	r = server < 0 ? server : unix_servers_check(m->capture, server, origin.uid);
	if (r == 0)
		return server;
	if (server >= 0)
		close(server);
	return r;
}

static void on_connect_unix(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_connect_unix message;
	int r;

	memcpy(&message, request.data, sizeof(message));
	r = connect_for(w->monitor, &message, fd);
	reply(w, MESSAGE_CONNECT_UNIX, request, r < 0 ? r : 0, SLICE_EMPTY, r);
	if (r >= 0)
		close(r);
}

/* With an error, what follows the id is a sentence. */
static void on_delegate(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_delegate message;
	struct error e = {""};
	int r, made = -1;

	memcpy(&message, request.data, sizeof(message));
	r = ssh_delegate(w->monitor, &message, fd, &made, &e);
	reply(w, MESSAGE_DELEGATE, request, r, slice_from_string(e.text), made);
	if (made >= 0)
		close(made);
}

/* The session that is meant may be any worker's. */
static void on_cancel(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_cancelled answers = {};
	struct message_cancel head;
	struct buffer message;

	(void)fd;
	memcpy(&head, request.data, sizeof(head));
	if (head.key_length > CANCEL_KEY_MOST || head.message_length > CANCEL_MESSAGE_MOST ||
		sizeof(head) + head.key_length + head.message_length != request.length)
		return;
	head.worker = w->index;
	buffer_init(&message, sizeof(head) + CANCEL_KEY_MOST + CANCEL_MESSAGE_MOST);
	if (buffer_append(&message, &head, sizeof(head)) == 0 &&
		buffer_append_slice(&message, slice_from(request, sizeof(head))) == 0) {
		answers.more = workers_tell_all(w->monitor, MESSAGE_CANCEL, buffer_slice(&message));
		answers.session = head.session;
		workers_tell(w, MESSAGE_CANCELLED, slice_of(&answers, sizeof(answers)), -1);
	}
	buffer_done(&message);
}

static void on_cancelled(struct monitor_worker *w, struct slice request, int fd)
{
	struct monitor *m = w->monitor;
	struct message_cancelled answer;

	(void)fd;
	memcpy(&answer, request.data, sizeof(answer));
	if (answer.worker >= m->worker_count)
		return;
	answer.more = -1;
	workers_tell(&m->workers[answer.worker], MESSAGE_CANCELLED,
		slice_of(&answer, sizeof(answer)), -1);
}

static void on_segment(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_segment segment;
	int r;

	(void)fd;
	memcpy(&segment, request.data, sizeof(segment));
	if (segment.kind >= STREAM_WORKER_COUNT)
		return;
	r = store_new_segment(w->monitor->store, &w->incarnation, (enum stream_kind)segment.kind,
		&segment.number);
	if (r < 0 && r != -EAGAIN)
		log_error("no new file for the %s of worker %u: %s",
			segment.kind == STREAM_AUDIT ? "audit log" : "recordings", w->index,
			strerror(-r));
	if (r >= 0 && segment.number > 1)
		housekeeping_soon(w->monitor);
	segment.bytes_most = housekeeping_segment_bytes(w->monitor);
	/* Also without a descriptor: so it asks again. */
	workers_tell(w, MESSAGE_SEGMENT, slice_of(&segment, sizeof(segment)), r);
	if (r >= 0)
		close(r);
}

static void on_heads(struct monitor_worker *w, struct slice request, int fd)
{
	struct stream_head heads[32];
	size_t count = request.length / sizeof(*heads);

	(void)fd;
	if (request.length % sizeof(*heads) || count > ARRAY_SIZE(heads))
		return;
	memcpy(heads, request.data, request.length);
	if (store_report_heads(w->monitor->store, &w->incarnation, heads, count) < 0)
		log_error("worker %u reported records that can't be there", w->index);
}

static void on_selftest(struct monitor_worker *w, struct slice request, int fd)
{
	struct monitor *m = w->monitor;
	struct origin origin;
	struct error e;

	(void)fd;
	memcpy(&origin, request.data, sizeof(origin));
	if (m->selftest_running && selftest_on_origin(&m->selftest, &origin, &e) < 0)
		log_error("self-test: %s", e.text);
}

static void on_statistics(struct monitor_worker *w, struct slice request, int fd)
{
	(void)fd;
	memcpy(&w->statistics, request.data, sizeof(w->statistics));
}

/* With an error, what follows the id is a sentence for the agent. */
static void on_review(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_review message;
	struct buffer answer;
	int r;

	memcpy(&message, request.data, sizeof(message));
	buffer_init(&answer, CONTROL_PAYLOAD_MOST / 2);
	r = reviews_ask(w, &message, fd, &answer);
	reply(w, MESSAGE_REVIEW, request, r, buffer_slice(&answer), -1);
	buffer_done(&answer);
	reviews_asked(w, &message);
}

static void on_leave(struct monitor_worker *w, struct slice request, int fd)
{
	struct message_leave message;

	(void)fd;
	memcpy(&message, request.data, sizeof(message));
	reviews_leave(w, &message);
}

static void on_pin(struct monitor_worker *w, struct slice request, int fd)
{
	struct slice addresses;
	struct message_pin pin;

	(void)fd;
	memcpy(&pin, request.data, sizeof(pin));
	addresses = slice_from(request, sizeof(pin));
	if (pin.address_count <= DNS_ADDRESSES_MOST &&
		pin.address_count * sizeof(struct message_pin_address) < addresses.length) {
		size_t length = pin.address_count * sizeof(struct message_pin_address);

		pinning_take(w->monitor, &pin, slice_of(addresses.data, length),
			slice_from(addresses, length));
	}
	reply(w, MESSAGE_PIN, request, 0, SLICE_EMPTY, -1);
}

static void on_proof(struct monitor_worker *w, struct slice request, int fd)
{
	credentials_ask(w, request, fd);
}

static const struct row {
	void (*handle)(struct monitor_worker *w, struct slice request, int fd);
	size_t least, most;
} rows[] = {
	[MESSAGE_READY] = {on_ready, 0, 0},
	[MESSAGE_PROCESS] = {on_process, sizeof(struct message_process),
		sizeof(struct message_process)},
	[MESSAGE_INSPECT] = {on_inspect, sizeof(struct message_inspect),
		sizeof(struct message_inspect)},
	[MESSAGE_CERTIFICATE] = {on_certificate, sizeof(struct message_certificate) + 1,
		sizeof(struct message_certificate) + 253},
	[MESSAGE_CONNECT_UNIX] = {on_connect_unix, sizeof(struct message_connect_unix),
		sizeof(struct message_connect_unix)},
	[MESSAGE_DELEGATE] = {on_delegate, sizeof(struct message_delegate),
		sizeof(struct message_delegate)},
	[MESSAGE_CANCEL] = {on_cancel, sizeof(struct message_cancel) + 1,
		sizeof(struct message_cancel) + CANCEL_KEY_MOST + CANCEL_MESSAGE_MOST},
	[MESSAGE_CANCELLED] = {on_cancelled, sizeof(struct message_cancelled),
		sizeof(struct message_cancelled)},
	[MESSAGE_SEGMENT] = {on_segment, sizeof(struct message_segment),
		sizeof(struct message_segment)},
	[MESSAGE_HEADS] = {on_heads, 0, 32 * sizeof(struct stream_head)},
	[MESSAGE_SELFTEST] = {on_selftest, sizeof(struct origin), sizeof(struct origin)},
	[MESSAGE_REVIEW] = {on_review, sizeof(struct message_review),
		sizeof(struct message_review)},
	[MESSAGE_LEAVE] = {on_leave, sizeof(struct message_leave), sizeof(struct message_leave)},
	[MESSAGE_PROOF] = {on_proof, sizeof(struct message_proof),
		sizeof(struct message_proof) + MESSAGE_PROOF_MOST},
	[MESSAGE_PIN] = {on_pin, sizeof(struct message_pin) + 1,
		sizeof(struct message_pin) +
			DNS_ADDRESSES_MOST * sizeof(struct message_pin_address) + HOST_NAME_MOST},
	[MESSAGE_STATISTICS] = {on_statistics, sizeof(struct message_statistics),
		sizeof(struct message_statistics)},
};

void requests_handle(struct monitor_worker *w, uint32_t type, struct slice payload, int fd)
{
	if (type >= ARRAY_SIZE(rows) || !rows[type].handle || payload.length < rows[type].least ||
		payload.length > rows[type].most) {
		log_error("worker %u sent something that is no request (type %u, %zu bytes)",
			w->index, type, payload.length);
		return;
	}
	rows[type].handle(w, payload, fd);
}
