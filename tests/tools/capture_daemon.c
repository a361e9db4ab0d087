/* SPDX-License-Identifier: Apache-2.0
 *
 * capture_daemon: as much of a daemon as userspace/capture needs. A monitor that governs the agents
 * of its command line, and workers without privileges that accept, print each connection's origin
 * as a line of JSON, and echo what they get. For tests/capture.
 *
 *	capture_daemon INSTANCE [--port N] [--workers N] [--quota N] [--selftest] [--no-accept]
 *		[--agent ID:CGROUP:own|direct|egress:listen|deny] [--destination ADDRESS/BITS:PORT]
 *
 *	capture_daemon INSTANCE --teardown
 *
 * Lines on stdin: "accept" (after --no-accept), "counts ID", "prepare ID", "find PID", "agents
 *ID:…" (a reload), "quit".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "capture/capture.h"
#include "capture/origin.h"
#include "capture/prefix.h"
#include "capture/selftest.h"

#define AGENTS_MOST 64
#define DESTINATIONS_MOST 64
#define CONNECTIONS_MOST 20000

struct options {
	struct capture_options capture;
	unsigned workers;
	uint16_t port;
	bool selftest, no_accept, teardown;
	struct capture_agent agents[AGENTS_MOST];
	size_t agent_count;
	struct capture_destination destinations[DESTINATIONS_MOST];
	size_t destination_count;
	/* What "accept" needs. */
	const struct listener_set *listeners;
	int report;
};

static void die(const struct error *e)
{
	fprintf(stderr, "capture_daemon: %s\n", e->text);
	exit(1);
}

/* One line, one write: several processes share the pipe. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char line[2048];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		exit(1);
}

static void say_origin(const char *event, unsigned worker, const struct origin *o)
{
	char address[INET6_ADDRSTRLEN], name[2 * sizeof(o->command) + 1];

	inet_ntop(AF_INET6, o->address, address, sizeof(address));
	text_to_hex(slice_of(o->command, strnlen(o->command, sizeof(o->command))), name);
	say("{\"event\": \"%s\", \"worker\": %u, \"agent\": %u, \"address\": \"%s\", \"port\": %u, "
	    "\"family\": %u, \"local\": %u, \"interface\": %u, \"pid\": %u, \"uid\": %u, "
	    "\"cgroup\": %llu, \"start_time\": %llu, \"exe_inode\": %llu, \"exe_device\": %u, "
	    "\"socket\": %llu, \"network\": %llu, \"connect_time\": %llu, \"command\": \"%s\"}",
		event, worker, o->agent, address, o->port, o->family, o->local, o->interface,
		o->pid, o->uid, o->cgroup, o->start_time, o->exe_inode, o->exe_device, o->socket,
		o->network, o->connect_time, name);
}

static void take_connection(unsigned worker, int fd, int report)
{
	struct origin o;

	if (origin_get(fd, &o) < 0)
		say("{\"event\": \"no-origin\", \"worker\": %u}", worker);
	else if (o.agent == CAPTURE_SELFTEST_AGENT && write(report, &o, sizeof(o)) == sizeof(o))
		return;
	else
		say_origin("origin", worker, &o);
}

/* False where the connection has ended. */
static bool echo(int fd)
{
	char data[65536];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN;
	return n > 0 && send(fd, data, (size_t)n, MSG_NOSIGNAL) == n;
}

static void accept_all(
	struct pollfd *fds, nfds_t *count, unsigned worker, struct listener_pair pair, int report)
{
	for (int i = 0; i < 2; i++) {
		int listener = i ? pair.v6 : pair.v4, fd;

		while (listener >= 0 && (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			struct origin o;

			take_connection(worker, fd, report);
			/* What has no origin is refused. */
			if (*count == CONNECTIONS_MOST || origin_get(fd, &o) < 0)
				close(fd);
			else
				fds[(*count)++] = (struct pollfd){fd, POLLIN, 0};
		}
	}
}

static void work(unsigned worker, struct listener_pair pair, int report)
{
	struct pollfd *fds = memory_new_array(CONNECTIONS_MOST, sizeof(*fds));
	struct passwd *nobody = getpwnam("nobody");
	nfds_t count = 2;

	if (setgid(nobody->pw_gid) < 0 || setuid(nobody->pw_uid) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		exit(1);
	fds[0] = (struct pollfd){pair.v4, POLLIN, 0};
	fds[1] = (struct pollfd){pair.v6, POLLIN, 0};
	while (poll(fds, count, -1) >= 0) {
		for (nfds_t i = count; i-- > 2;) {
			if (fds[i].revents && !echo(fds[i].fd)) {
				close(fds[i].fd);
				fds[i] = fds[--count];
			}
		}
		if (fds[0].revents || fds[1].revents)
			accept_all(fds, &count, worker, pair, report);
	}
	exit(1);
}

static void start_workers(struct capture *c, const struct options *o)
{
	const struct listener_set *set = o->listeners;

	for (unsigned i = 0; i < o->workers; i++) {
		if (fork() != 0)
			continue;
		/* The others' sockets, and the lock, are not the child's. */
		capture_close(c);
		for (unsigned j = 0; j < set->count; j++) {
			if (j != i) {
				close(set->pairs[j].v4);
				close(set->pairs[j].v6);
			}
		}
		work(i, set->pairs[i], o->report);
	}
}

static bool take_agent(char *text, struct capture_agent *ret)
{
	static const char *const modes[] = {"own", "direct", "egress"};
	char *save, *id = strtok_r(text, ":", &save), *cgroup = strtok_r(NULL, ":", &save);
	char *mode = strtok_r(NULL, ":", &save), *listen = strtok_r(NULL, ":", &save);

	if (!listen)
		return false;
	*ret = (struct capture_agent){.id = (uint32_t)strtoul(id, NULL, 0),
		.name = id,
		.cgroup = cgroup,
		.listen = strcmp(listen, "listen") == 0};
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(mode, modes[i]) == 0)
			ret->loopback = i;
	}
	return true;
}

static bool take_destination(char *text, struct capture_destination *ret)
{
	char *slash = strchr(text, '/'), *colon = strrchr(text, ':');
	uint8_t address[16];
	int family;

	if (!slash || !colon || colon < slash)
		return false;
	*slash = *colon = '\0';
	family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, address) != 1)
		return false;
	prefix_map_address(family, address, ret->address);
	ret->bits = (unsigned)atoi(slash + 1) + (family == AF_INET ? 96 : 0);
	ret->port = (uint16_t)atoi(colon + 1);
	return true;
}

static bool take_option(struct options *o, const char *name, char *value)
{
	if (strcmp(name, "--port") == 0)
		o->port = (uint16_t)atoi(value);
	else if (strcmp(name, "--workers") == 0)
		o->workers = (unsigned)atoi(value);
	else if (strcmp(name, "--quota") == 0)
		o->capture.quota = (uint32_t)atoi(value);
	else if (strcmp(name, "--agent") == 0)
		return take_agent(value, &o->agents[o->agent_count++]);
	else if (strcmp(name, "--destination") == 0)
		return take_destination(value, &o->destinations[o->destination_count++]);
	else
		return false;
	return true;
}

static void take_options(struct options *o, int argc, char **argv)
{
	if (argc < 2)
		exit(2);
	o->capture.instance = argv[1];
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--selftest") == 0)
			o->selftest = true;
		else if (strcmp(argv[i], "--no-accept") == 0)
			o->no_accept = true;
		else if (strcmp(argv[i], "--teardown") == 0)
			o->teardown = true;
		else if (i + 1 >= argc || !take_option(o, argv[i], argv[i + 1]))
			exit(2);
		else
			i++;
	}
}

static int apply(struct capture *c, const struct options *o, struct error *e)
{
	struct capture_setup setup = {
		o->agents, o->agent_count, o->destinations, o->destination_count};

	return capture_apply(c, &setup, e);
}

static void say_result(const char *event, int r, struct error *e)
{
	if (r == 0)
		e->text[0] = '\0';
	for (char *c = e->text; *c; c++)
		*c = *c == '"' || *c == '\\' || *c == '\n' ? '\'' : *c;
	say("{\"event\": \"%s\", \"error\": %d, \"text\": \"%s\"}", event, r, e->text);
}

static void do_counts(struct capture *c, struct options *o, char *argument)
{
	struct steer_agent counts;
	char text[1024];
	size_t length = 0;

	(void)o;
	if (capture_get_counts(c, (uint32_t)strtoul(argument, NULL, 0), &counts) < 0) {
		say("{\"event\": \"counts\", \"pending\": null}");
		return;
	}
	text[0] = '\0';
	for (int i = 0; i < STEER_COUNT_COUNT; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, ", \"%s\": %llu",
			capture_count_text(i)->metric, counts.counts[i]);
	say("{\"event\": \"counts\", \"pending\": %lld%s}", counts.pending, text);
}

static void do_prepare(struct capture *c, struct options *o, char *argument)
{
	struct capture_place place;
	struct error e;
	int r = capture_prepare(c, (uint32_t)strtoul(argument, NULL, 0), &place, &e);

	(void)o;
	if (r < 0)
		say_result("result", r, &e);
	else
		say("{\"event\": \"place\", \"path\": \"%s\", \"cgroup\": %lu}", place.path,
			place.cgroup);
}

static void do_find(struct capture *c, struct options *o, char *argument)
{
	uint32_t agent = 0;
	int r = capture_find_agent(c, atoi(argument), &agent);

	(void)o;
	say("{\"event\": \"found\", \"error\": %d, \"agent\": %u}", r, agent);
}

static void do_agents(struct capture *c, struct options *o, char *argument)
{
	struct error e;
	char *save;
	int r;

	o->agent_count = 0;
	for (char *word = strtok_r(argument, " \n", &save); word;
		word = strtok_r(NULL, " \n", &save))
		take_agent(word, &o->agents[o->agent_count++]);
	r = apply(c, o, &e);
	say_result("result", r, &e);
}

static void do_accept(struct capture *c, struct options *o, char *argument)
{
	(void)argument;
	start_workers(c, o);
}

static void do_quit(struct capture *c, struct options *o, char *argument)
{
	(void)o;
	(void)argument;
	capture_close(c);
	exit(0);
}

static void on_command(struct capture *c, struct options *o)
{
	static const struct {
		const char *name;
		void (*call)(struct capture *c, struct options *o, char *argument);
	} commands[] = {
		{"counts", do_counts},
		{"prepare", do_prepare},
		{"find", do_find},
		{"agents", do_agents},
		{"accept", do_accept},
		{"quit", do_quit},
	};
	static char line[8192];
	char *argument;

	if (!fgets(line, sizeof(line), stdin))
		do_quit(c, o, NULL);
	line[strcspn(line, "\n")] = '\0';
	argument = line + strcspn(line, " ");
	if (*argument)
		*argument++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(line, commands[i].name) == 0)
			commands[i].call(c, o, argument);
	}
}

static void on_steer(void *context, const struct steer_event *event)
{
	(void)context;
	say_origin(capture_count_text(event->count)->metric, 0, &event->origin);
}

/* Until it is done or 5 seconds have passed. */
static void test_self(struct capture *c, const struct listener_set *set, int reports)
{
	struct selftest t;
	struct error e;
	int r = selftest_start(c, set, &t, &e);

	if (r < 0)
		die(&e);
	while (r == 0 && !selftest_is_done(&t)) {
		struct pollfd fds[] = {{selftest_descriptor(&t), POLLIN, 0}, {reports, POLLIN, 0}};
		struct origin o;

		if (poll(fds, 2, 5000) <= 0) {
			error_set(&e, r = -ETIMEDOUT, "self-test: timed out");
			break;
		}
		if (fds[0].revents)
			r = selftest_on_result(&t, &e);
		if (r == 0 && fds[1].revents && read(reports, &o, sizeof(o)) == sizeof(o))
			r = selftest_on_origin(&t, &o, &e);
	}
	selftest_finish(&t);
	say_result("selftest", r, &e);
}

int main(int argc, char **argv)
{
	struct options options = {.workers = 1};
	struct listener_set set;
	struct capture *c;
	struct error e;
	int reports[2];

	take_options(&options, argc, argv);
	if (options.teardown) {
		if (capture_teardown(options.capture.instance, &e) < 0)
			die(&e);
		return 0;
	}
	setvbuf(stdin, NULL, _IONBF, 0);
	if (pipe(reports) < 0 || capture_open(&options.capture, &c, &e) < 0 ||
		capture_listen(c, options.workers, options.port, &set, &e) < 0 ||
		apply(c, &options, &e) < 0)
		die(&e);
	options.listeners = &set;
	options.report = reports[1];
	if (!options.no_accept)
		start_workers(c, &options);
	if (options.selftest)
		test_self(c, &set, reports[0]);
	say("{\"event\": \"ready\", \"port\": %u, \"spread\": %s, \"v6\": %s}", set.port,
		set.spread ? "true" : "false", set.pairs[0].v6 >= 0 ? "true" : "false");
	for (;;) {
		struct pollfd fds[] = {{capture_descriptor(c), POLLIN, 0}, {0, POLLIN, 0}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			exit(1);
		if (fds[0].revents && capture_process(c, on_steer, NULL, &e) < 0)
			fprintf(stderr, "capture_daemon: %s\n", e.text);
		if (fds[1].revents)
			on_command(c, &options);
	}
}
