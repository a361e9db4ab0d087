/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave-broker: the unprivileged process through which the monitor talks to Slack, and another
 * one for the issuers of tokens. A program of its own, so that the monitor need not load the
 * libraries that do. Started by the monitor alone:
 *
 *   wayleave-broker FD [slack | openid]
 *                      a descriptor of struct broker_start and its texts (broker/messages.h)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/privileges.h"
#include "base/text.h"
#include "broker/filter.h"
#include "broker/openid.h"
#include "broker/service.h"

static void fail(const char *what, const struct error *e)
{
	log_error("%s: %s", what, e->text);
	exit(EXIT_FAILURE);
}

/* The texts get a NUL each, and live as long as the process. */
static int read_start(int fd, struct broker_start *ret, const char *texts[BROKER_TEXT_COUNT])
{
	struct buffer all;
	struct slice rest;
	int r;

	buffer_init(&all, sizeof(*ret) + BROKER_TEXT_COUNT * (size_t)BROKER_TEXT_MOST);
	r = file_read_descriptor(fd, &all);
	rest = buffer_slice(&all);
	if (r == 0 && rest.length >= sizeof(*ret)) {
		memcpy(ret, rest.data, sizeof(*ret));
		rest = slice_from(rest, sizeof(*ret));
		for (size_t i = 0; i < BROKER_TEXT_COUNT; i++) {
			texts[i] = memory_copy_text(
				rest.data, slice_head(rest, ret->lengths[i]).length);
			rest = slice_from(rest, ret->lengths[i]);
		}
	} else {
		r = -1;
	}
	buffer_wipe(&all);
	return r;
}

static int begin_slack(
	const struct broker_start *start, const char *const texts[], void **ret, struct error *e)
{
	static struct service service; /* as long as the process */

	*ret = &service;
	return service_init(&service, start, texts, e);
}

static int turn_slack(void *service)
{
	return service_turn(service);
}

static int begin_openid(
	const struct broker_start *start, const char *const texts[], void **ret, struct error *e)
{
	static struct openid openid; /* as long as the process */

	*ret = &openid;
	return openid_init(&openid, start->channel, texts[BROKER_OPENID], e);
}

static int turn_openid(void *openid)
{
	return openid_turn(openid);
}

static const struct role {
	int (*begin)(const struct broker_start *start, const char *const texts[], void **ret,
		struct error *e);
	int (*turn)(void *work);
} roles[] = {
	[BROKER_ROLE_SLACK] = {begin_slack, turn_slack},
	[BROKER_ROLE_OPENID] = {begin_openid, turn_openid},
};

/* ARRAY_SIZE(roles): there is no such. */
static size_t find_role(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(roles) && strcmp(name, broker_role_name((enum broker_role)i)) != 0)
		i++;
	return i;
}

int main(int argc, char **argv)
{
	const char *texts[BROKER_TEXT_COUNT];
	struct broker_start start;
	struct error e = {""};
	void *work = NULL;
	size_t role = argc > 2 ? find_role(argv[2]) : BROKER_ROLE_SLACK;
	uint64_t fd;
	int r = 0;

	if (argc < 2 || argc > 3 || role >= ARRAY_SIZE(roles) ||
		text_to_number(slice_from_string(argv[1]), 1 << 20, &fd) < 0 ||
		read_start((int)fd, &start, texts) < 0) {
		fputs("wayleave-broker: started by wayleaved alone\n", stderr);
		return EXIT_FAILURE;
	}
	close((int)fd);
	log_set_name(role == BROKER_ROLE_SLACK ? "broker" : "openid");
	signal(SIGPIPE, SIG_IGN);
	if (privileges_drop(start.uid, start.gid, &e) < 0)
		fail("privileges", &e);
	/* Without the monitor nobody decides. Behind the change of user, which clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (roles[role].begin(&start, texts, &work, &e) < 0)
		fail("start", &e);
	if (filter_load(&e) < 0)
		fail("sandbox", &e);
	while (r == 0)
		r = roles[role].turn(work);
	/* The monitor is gone: at once, with all that a peer may have left in memory. */
	_exit(EXIT_SUCCESS);
}
