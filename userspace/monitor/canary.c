/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/canary.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/privileges.h"
#include "base/text.h"
#include "capture/scratch.h"
#include "launcher/launcher.h"

#define NOBODY 65534
#define RUN_TIME (10 * NANOSECONDS_PER_SECOND)
#define FIRST (10 * NANOSECONDS_PER_SECOND) /* after the start */

/* --- the catchers */

static void set_address(struct canary_catcher *c, enum canary_way way)
{
	memset(&c->address, 0, sizeof(c->address));
	c->length = sizeof(c->address.v4);
	c->address.v4.sin_family = AF_INET;
	c->address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (way == CANARY_TCP6) {
		c->length = sizeof(c->address.v6);
		c->address.v6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	} else if (way == CANARY_ABSTRACT) {
		/* The kernel chooses a name (autobind). */
		c->length = sizeof(sa_family_t);
		c->address.any.sa_family = AF_UNIX;
	}
}

/* As it is dialled: by an IPv6 socket, to the IPv4 listener. */
static void map_address(struct canary_catcher *c)
{
	in_port_t port = c->address.v4.sin_port;

	c->address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
		.sin6_port = port,
		.sin6_addr.s6_addr = {[10] = 0xff, 0xff, 127, 0, 0, 1}};
	c->length = sizeof(c->address.v6);
}

static void catcher_open(struct canary_catcher *c, enum canary_way way)
{
	set_address(c, way);
	c->fd = socket(c->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return;
	if (bind(c->fd, &c->address.any, c->length) < 0 || listen(c->fd, 1) < 0) {
		close(c->fd);
		c->fd = -1;
		return;
	}
	c->length = sizeof(c->address);
	getsockname(c->fd, &c->address.any, &c->length);
	if (way == CANARY_MAPPED)
		map_address(c);
}

static bool catcher_caught(const struct canary_catcher *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* --- the child */

static void enter(pid_t parent, int cgroup_fd)
{
	struct error e;

	if (privileges_end_with(parent) < 0 || cgroup_enter(cgroup_fd) < 0 ||
		privileges_drop(NOBODY, NOBODY, &e) < 0 ||
		confine_landlock(landlock_version(), &e) < 0 || confine_system_calls(false, &e) < 0)
		_exit(1);
}

static void live(const struct canary *c, pid_t parent, int cgroup_fd, int out)
{
	enter(parent, cgroup_fd);
	for (int way = 0; way < CANARY_WAY_COUNT; way++) {
		const struct canary_catcher *catcher =
			way < CANARY_CAUGHT ? &c->catchers[way] : NULL;
		struct canary_result result = {.way = way};

		if (catcher && catcher->fd < 0)
			continue;
		result.error = canary_try((enum canary_way)way, catcher, c->cgroup_root);
		if (write(out, &result, sizeof(result)) != (ssize_t)sizeof(result))
			_exit(1);
	}
	_exit(0);
}

static int start_child(struct canary *c, int cgroup_fd)
{
	pid_t parent = getpid();
	int channel[2], r;

	if (pipe2(channel, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	c->child = fork();
	if (c->child == 0)
		live(c, parent, cgroup_fd, channel[1]);
	r = c->child < 0 ? -errno : 0;
	close(channel[1]);
	if (r < 0) {
		c->child = 0;
		close(channel[0]);
		return r;
	}
	c->source.fd = channel[0];
	return 0;
}

/* --- a run */

static void judge(struct canary *c)
{
	bool good = true;

	for (int way = 0; way < CANARY_WAY_COUNT; way++) {
		bool caught = way < CANARY_CAUGHT;

		c->errors[way] = c->results[way].error;
		c->open[way] = c->tried[way] &&
			(caught ? catcher_caught(&c->catchers[way]) : !c->errors[way]);
		if (!c->tried[way] && !(caught && c->catchers[way].fd < 0) && !c->problem[0])
			snprintf(c->problem, sizeof(c->problem),
				"the canary ended before it had tried %s",
				canary_way_text((enum canary_way)way)->text);
		if (c->open[way])
			log_error("canary: an agent has a way out: %s",
				canary_way_text((enum canary_way)way)->text);
		good &= !c->open[way];
	}
	if (c->problem[0])
		log_error("canary: %s", c->problem);
	c->passed += good && !c->problem[0];
}

static void finish(struct canary *c)
{
	if (c->source.fd >= 0) {
		int fd = c->source.fd;

		loop_remove(c->loop, &c->source);
		close(fd);
	}
	if (!c->reaped && c->child > 0) {
		kill(c->child, SIGKILL);
		waitpid(c->child, NULL, 0);
	}
	c->child = 0;
	judge(c);
	for (int i = 0; i < CANARY_CAUGHT; i++) {
		if (c->catchers[i].fd >= 0)
			close(c->catchers[i].fd);
	}
	scratch_close(c->capture);
	c->runs++;
	c->at = clock_wall();
}

static void on_result(struct loop_source *source)
{
	struct canary *c = source->context;
	struct canary_result result;
	ssize_t n;

	while ((n = read(source->fd, &result, sizeof(result))) == (ssize_t)sizeof(result)) {
		if (result.way < 0 || result.way >= CANARY_WAY_COUNT)
			continue;
		c->results[result.way] = result;
		c->tried[result.way] = true;
	}
	if (n == 0)
		finish(c);
}

void canary_init(struct canary *c, struct capture *capture, struct loop *loop)
{
	memset(c, 0, sizeof(*c));
	c->capture = capture;
	c->loop = loop;
	c->source.fd = -1;
	c->next = clock_monotonic() + FIRST;
}

void canary_start(struct canary *c)
{
	struct error e = {""};
	uint64_t cgroup;
	int fd = -1, r;

	if (c->child)
		return;
	memset(c->tried, 0, sizeof(c->tried));
	memset(c->results, 0, sizeof(c->results));
	c->problem[0] = '\0';
	c->reaped = false;
	for (int i = 0; i < CANARY_CAUGHT; i++)
		catcher_open(&c->catchers[i], (enum canary_way)i);
	/* Without Landlock's scopes agents reach each other there; the threat model says so. */
	if (landlock_version() < LANDLOCK_VERSION_SCOPES && c->catchers[CANARY_ABSTRACT].fd >= 0) {
		close(c->catchers[CANARY_ABSTRACT].fd);
		c->catchers[CANARY_ABSTRACT].fd = -1;
	}
	c->cgroup_root = capture_cgroup_root(c->capture);
	r = capture_verify(c->capture, &e);
	if (r < 0)
		snprintf(c->problem, sizeof(c->problem), "%s", e.text);
	r = scratch_open(c->capture, &fd, &cgroup, &e);
	if (r == 0) {
		r = start_child(c, fd);
		close(fd);
	}
	if (r == 0)
		r = loop_add(c->loop, &c->source, c->source.fd, on_result, c);
	c->deadline = clock_monotonic() + RUN_TIME;
	if (r < 0) {
		if (!c->problem[0])
			snprintf(c->problem, sizeof(c->problem), "the canary did not start: %.400s",
				e.text[0] ? e.text : strerror(-r));
		finish(c);
	}
}

void canary_tick(struct canary *c, uint64_t now, uint64_t period)
{
	if (c->child && now >= c->deadline)
		finish(c);
	if (period < NANOSECONDS_PER_SECOND)
		period = NANOSECONDS_PER_SECOND;
	if (c->next > now + period)
		c->next = now + period;
	if (now < c->next)
		return;
	c->next = now + period;
	canary_start(c);
}

bool canary_on_exit(struct canary *c, pid_t pid)
{
	if (!c->child || pid != c->child)
		return false;
	c->reaped = true;
	return true;
}

void canary_done(struct canary *c)
{
	if (c->child)
		finish(c);
}

bool canary_is_good(const struct canary *c)
{
	for (int way = 0; way < CANARY_WAY_COUNT; way++) {
		if (c->open[way])
			return false;
	}
	return !c->problem[0];
}

/* --- for people and programs */

static const char *stopped_by(const struct canary *c, int way)
{
	if (c->open[way])
		return "";
	if (!c->tried[way])
		return "not tried: this kernel has none, or can't stop it";
	if (c->errors[way])
		return strerrorname_np(c->errors[way]);
	return "led to a worker";
}

void canary_describe(const struct canary *c, struct cJSON *ret)
{
	cJSON *ways;
	char at[32];

	cJSON_AddStringToObject(ret, "state",
		!c->runs                    ? "unknown"
			: canary_is_good(c) ? "ok"
					    : "failed");
	cJSON_AddNumberToObject(ret, "runs", (double)c->runs);
	cJSON_AddNumberToObject(ret, "passed", (double)c->passed);
	if (!c->runs)
		return;
	text_from_time(c->at, at);
	cJSON_AddStringToObject(ret, "at", at);
	if (c->problem[0])
		cJSON_AddStringToObject(ret, "problem", c->problem);
	ways = cJSON_AddArrayToObject(ret, "ways");
	for (int way = 0; way < CANARY_WAY_COUNT; way++) {
		const struct canary_way_text *text = canary_way_text((enum canary_way)way);
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", text->name);
		cJSON_AddStringToObject(item, "text", text->text);
		cJSON_AddBoolToObject(item, "stopped", !c->open[way]);
		cJSON_AddStringToObject(item, "by", stopped_by(c, way));
		cJSON_AddItemToArray(ways, item);
	}
}
