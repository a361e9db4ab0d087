/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "ssh/relay.h"

/* Servers that ask PAM ask in this way alone: every question is for the password. */
static int answer_questions(struct relay *r, const char *password)
{
	int rc = ssh_userauth_kbdint(r->server, NULL, NULL);

	for (unsigned round = 0; rc == SSH_AUTH_INFO && round < 10; round++) {
		int count = ssh_userauth_kbdint_getnprompts(r->server);

		for (int i = 0; i < count; i++)
			ssh_userauth_kbdint_setanswer(r->server, (unsigned)i, password);
		rc = ssh_userauth_kbdint(r->server, NULL, NULL);
	}
	return rc;
}

/* Whether there are keys; `ret` is why not, with room for SSH_SIGNER_PROBLEM_MOST and a NUL. */
static bool signer_has_keys(int fd, char *ret)
{
	uint8_t head[4];
	uint32_t length;

	snprintf(ret, SSH_SIGNER_PROBLEM_MOST, "the keys to log in with can't be read");
	if (recv(fd, head, sizeof(head), MSG_WAITALL) != (ssize_t)sizeof(head))
		return false;
	length = bytes_get_u32(head);
	if (length == 0)
		return true;
	if (length <= SSH_SIGNER_PROBLEM_MOST &&
		recv(fd, ret, length, MSG_WAITALL) == (ssize_t)length)
		ret[length] = '\0';
	return false;
}

/* `problem`: why there are none; what was tried counts up. */
static int try_keys(struct relay *r, int fd, char *problem, unsigned *tried)
{
	if (fd < 0 || !signer_has_keys(fd, problem))
		return SSH_AUTH_DENIED;
	++*tried;
	if (ssh_set_agent_socket(r->server, fd) != SSH_OK)
		return SSH_AUTH_ERROR;
	return ssh_userauth_agent(r->server, NULL);
}

static int try_password(struct relay *r, char *password)
{
	int methods = ssh_userauth_list(r->server, NULL), rc = SSH_AUTH_DENIED;

	/* The server says which ways there are when one is refused. */
	if (!methods) {
		rc = ssh_userauth_none(r->server, NULL);
		methods = rc == SSH_AUTH_DENIED ? ssh_userauth_list(r->server, NULL) : 0;
	}
	if (methods & SSH_AUTH_METHOD_PASSWORD)
		rc = ssh_userauth_password(r->server, NULL, password);
	if (rc == SSH_AUTH_DENIED && methods & SSH_AUTH_METHOD_INTERACTIVE)
		rc = answer_questions(r, password);
	return rc;
}

int ways_try(struct relay *r, const struct opening *o, char *problem, unsigned *tried)
{
	int keys = o->fds[SSH_DESCRIPTOR_SIGNER], own = o->fds[SSH_DESCRIPTOR_OWN_KEYS];
	char *password = o->texts[SSH_TEXT_PASSWORD];
	int rc = try_keys(r, keys, problem, tried);

	if (rc != SSH_AUTH_SUCCESS && password[0] && ssh_is_connected(r->server)) {
		rc = try_password(r, password);
		++*tried;
	}
	memory_wipe(password, strlen(password));
	if (own < 0)
		return rc;
	if (rc == SSH_AUTH_SUCCESS || !ssh_is_connected(r->server)) {
		close(own);
		return rc;
	}
	/* The library has one socket of an agent, which it closes at the end. */
	if (keys >= 0)
		close(keys);
	return try_keys(r, own, problem, tried);
}
