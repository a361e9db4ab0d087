/* SPDX-License-Identifier: Apache-2.0
 *
 * The question to the monitor, and acting as the caller meanwhile.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/launcher.h"
#include "monitor/control.h"

/* Groups first: only root may change them. */
int caller_become(const struct caller *c, struct error *e)
{
	if (setegid(c->gid) < 0 || seteuid(c->uid) < 0)
		return error_set_errno(e, -errno, "acting as the caller");
	return 0;
}

int caller_leave(struct error *e)
{
	if (seteuid(0) < 0 || setegid(0) < 0)
		return error_set_errno(e, -errno, "being root again");
	return 0;
}

/* The path is the caller's: behind it may stand anything that the caller runs, and its answer is
 * carried out by root. */
static int check_peer(int fd, struct error *e)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return error_set_errno(e, -errno, "the daemon's socket");
	if (peer.uid != 0)
		return error_set(
			e, -EPERM, "the socket is not a daemon's: user %u has it", peer.uid);
	return 0;
}

/* The monitor sees the credentials of connect(2). */
static int open_as_caller(
	const struct caller *c, const char *socket, struct control_client *ret, struct error *e)
{
	int r = caller_become(c, e), left;

	if (r < 0)
		return r;
	r = control_open(ret, socket, e);
	left = caller_leave(r < 0 ? NULL : e);
	return r < 0 ? r : left;
}

static int exchange(struct control_client *client, enum control_request type,
	const struct run_request *request, struct arena *memory, struct run_plan *ret,
	struct error *e)
{
	struct buffer question, answer;
	int r;

	buffer_init(&question, CONTROL_PAYLOAD_MOST);
	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	r = run_request_encode(request, &question);
	if (r < 0)
		error_set_errno(e, r, "the names of agent and user");
	else
		r = control_call(client, type, buffer_slice(&question), &answer, NULL, NULL, e);
	if (r == 0) {
		r = run_plan_decode(buffer_slice(&answer), memory, ret);
		if (r < 0)
			error_set_errno(e, r, "the daemon's answer");
	}
	buffer_done(&question);
	buffer_done(&answer);
	return r;
}

int ask(const struct caller *c, const char *socket, enum control_request type,
	const struct run_request *request, struct arena *memory, struct run_plan *ret,
	struct error *e)
{
	struct control_client client;
	struct run_plan plan;
	int r = open_as_caller(c, socket, &client, e);

	if (r < 0)
		return r;
	r = check_peer(client.fd, e);
	if (r == 0)
		r = exchange(&client, type, request, memory, &plan, e);
	control_close(&client);
	if (r < 0)
		return r;
	/* Whatever the daemon says, this program gives nobody another user's rights. */
	if (c->uid != 0 && !(plan.flags & RUN_PLAN_KEEP_USER))
		return error_set(e, -EPERM, "only root may run as another user");
	*ret = plan;
	return 0;
}
