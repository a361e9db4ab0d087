/* SPDX-License-Identifier: Apache-2.0
 *
 * Running nft's text, each time in a child: libnftables reads all rules of the host first, and of
 * those with a target of xtables, which Docker and firewalls have many of, it never frees all.
 */
#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privileges.h"
#include "capture/guard_internal.h"

#define RUN_TRIES 20
#define RUN_SECONDS 30
#define TRY_REFUSALS 3 /* until a statement is one that the kernel does not have */

/* What the child says; behind it what nft printed. */
struct outcome {
	int error; /* of errno, negative */
	struct error why;
	size_t printed; /* bytes */
};

/* nft says why, but not which errno. */
static void run(struct nft_ctx *nft, const char *text, struct outcome *ret)
{
	const char *why;

	/* What stands in maps is asked of the kernel (guard_elements.h). */
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE);
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	if (nft_run_cmd_from_buffer(nft, text) == 0)
		return;
	why = nft_ctx_get_error_buffer(nft);
	ret->error = why && strstr(why, strerrordesc_np(EINTR)) ? -EINTR : -EIO;
	error_set(&ret->why, ret->error, "nftables: %s", why ? why : "refused");
}

static bool send_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		length -= (size_t)n;
	}
	return true;
}

/* What libxtables has to say of others' rules is not ours to log. */
static void be_quiet(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDERR_FILENO);
}

_Noreturn static void be_child(pid_t parent, int fd, const char *text, bool prints)
{
	struct outcome outcome = {.error = 0};
	const char *printed = NULL;
	struct nft_ctx *nft;
	bool sent;

	/* It has the instance's lock, too, and what it is to load is nobody's any more. */
	if (privileges_end_with(parent) < 0)
		_exit(1);
	prctl(PR_SET_NAME, "wayleaved: nft");
	alarm(RUN_SECONDS); /* the caller waits */
	be_quiet();
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft)
		run(nft, text, &outcome);
	else
		outcome.error = error_set(&outcome.why, -ENOMEM, "nftables can't be reached");
	if (nft && prints && outcome.error == 0)
		printed = nft_ctx_get_output_buffer(nft);
	outcome.printed = printed ? strlen(printed) : 0;
	sent = send_all(fd, &outcome, sizeof(outcome)) && send_all(fd, printed, outcome.printed);
	_exit(sent ? 0 : 1);
}

/* Not until its end: another thread's child may have inherited the other end of the pipe. */
static int receive(int fd, void *data, size_t length)
{
	char *at = data;

	while (length) {
		ssize_t n = read(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static int take_outcome(int fd, struct buffer *ret, struct error *e)
{
	struct outcome outcome;
	uint8_t *room;
	int r = receive(fd, &outcome, sizeof(outcome));

	if (r == 0 && outcome.error)
		return error_set(e, outcome.error, "%s", outcome.why.text);
	if (r == 0 && ret) {
		r = buffer_reserve(ret, outcome.printed, &room);
		if (r == 0)
			r = receive(fd, room, outcome.printed);
		if (r == 0)
			buffer_commit(ret, outcome.printed);
	}
	return r < 0 ? error_set_errno(e, r, "nftables") : 0;
}

static int run_once(const char *text, struct buffer *ret, struct error *e)
{
	pid_t child, parent = getpid();
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(e, -errno, "nftables");
	child = fork();
	if (child == 0)
		be_child(parent, ends[1], text, ret != NULL);
	r = child < 0 ? error_set_errno(e, -errno, "nftables") : 0;
	close(ends[1]);
	if (r == 0)
		r = take_outcome(ends[0], ret, e);
	close(ends[0]); /* a child that has more to say is not waited for */
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* The kernel looks at the rule, and keeps nothing. */
static int try_once(const char *statement, struct error *e)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	struct outcome outcome = {.error = 0};
	char text[256];

	if (!nft)
		return error_set(e, -ENOMEM, "nftables can't be reached");
	snprintf(text, sizeof(text),
		"add table inet wayleave_try\n"
		"add chain inet wayleave_try c\n"
		"add rule inet wayleave_try c %s\n",
		statement);
	nft_ctx_set_dry_run(nft, true);
	run(nft, text, &outcome);
	nft_ctx_free(nft);
	return outcome.error ? error_set(e, outcome.error, "%s", outcome.why.text) : 0;
}

/* A failure says nothing of the statement where others changed rules meanwhile, or where one that
 * every kernel has fails too; and may have been over when that one was tried. */
int guard_try(const char *statement, struct error *e)
{
	unsigned refused = 0;
	int r = -EINTR;

	for (unsigned tries = 0; tries < RUN_TRIES; tries++) {
		r = try_once(statement, e);
		if (r == 0)
			return 1;
		if (r != -EINTR && try_once("counter", e) == 0 && ++refused == TRY_REFUSALS)
			return 0;
	}
	return r;
}

int guard_can_limit(struct error *e)
{
	return guard_try("limit rate over 1000 bytes/second counter drop", e);
}

/* Whoever changes rules anywhere on the host meanwhile interrupts what reads ours. */
int guard_run(const char *text, struct buffer *ret, struct error *e)
{
	int r = -EINTR;

	for (unsigned tries = 0; r == -EINTR && tries < RUN_TRIES; tries++)
		r = run_once(text, ret, e);
	return r;
}
