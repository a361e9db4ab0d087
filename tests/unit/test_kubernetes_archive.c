/* SPDX-License-Identifier: Apache-2.0
 *
 * Archives that a program in a pod writes, as `kubectl cp` has it do: what is one, and that it is
 * never altered.
 */
#include "protocol/kubernetes/archive.h"
#include "tests/unit/http_frames.h"

#define POD(name) "prod/pods/" name
#define MASK(more) "allow: { mask: [{ detect: [email], with: redact" more " }] }\n"
static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - name: searched\n"
	"    operations: [exec]\n"
	"    objects: [" POD("searched") "]\n    " MASK(
		"") "  - name: passed\n"
		    "    operations: [exec]\n"
		    "    objects: [" POD("passed") "]\n    " MASK(
			    ", binary: pass") "  - name: refused\n"
					      "    operations: [exec]\n"
					      "    objects: [" POD("refused") "]\n    " MASK(
						      ", binary: refuse");

static void begin(void)
{
	http_run_begin_with(rules);
}

TestSuite(kubernetes_archive, .init = begin, .fini = http_run_end);

#define HEADER KUBERNETES_ARCHIVE_HEADER

/* A header as tar writes one (POSIX.1-2017, pax, "ustar Interchange Format"). */
static void put_header(char *to)
{
	unsigned sum = 0;

	memset(to, 0, HEADER);
	snprintf(to, 100, "etc/hosts");
	snprintf(to + 124, 12, "%011o", 20u);
	memset(to + 148, ' ', 8);
	memcpy(to + 257, "ustar  ", 8);
	for (size_t i = 0; i < HEADER; i++)
		sum += (uint8_t)to[i];
	snprintf(to + 148, 8, "%06o", sum);
}

/* With a file of that content. */
static struct slice archive_of(const char *content)
{
	static char room[4 * HEADER];

	memset(room, 0, sizeof(room));
	put_header(room);
	memcpy(room + HEADER, content, strlen(content));
	return slice_of(room, sizeof(room));
}

Test(kubernetes_archive, what_begins_as_one)
{
	struct slice archive = archive_of("hello\n");
	char *bytes = (char *)archive.data;

	cr_expect(kubernetes_begins_archive(archive));
	cr_expect(kubernetes_begins_archive(slice_head(archive, HEADER)));
	cr_expect_not(kubernetes_begins_archive(slice_head(archive, HEADER - 1)));
	cr_expect_not(kubernetes_begins_archive(SLICE_EMPTY));
	bytes[0]++;
	cr_expect_not(kubernetes_begins_archive(archive), "another sum");
	bytes[0]--;
	bytes[257]++;
	cr_expect_not(kubernetes_begins_archive(archive), "another magic");
}

Test(kubernetes_archive, what_calls_for_one)
{
	static const char *const calls[] = {"tar cf - /etc", "tar cf - ", "tar cf -",
		"/bin/tar -czf - a b", "tar cfv - a", "sh -c tar cf - /etc | tail -c+1024",
		"sh -c cd /; tar  -cf  - ."};
	static const char *const others[] = {"", "tar", "tar ", "tar xmf - -C /tmp", "tar tf -",
		"tar cf a.tar b", "tar cf -x", "cat star", "tar -", "tar c - f"};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		cr_expect(kubernetes_writes_archive(slice_from_string(calls[i])), "%s", calls[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		cr_expect_not(
			kubernetes_writes_archive(slice_from_string(others[i])), "%s", others[i]);
}

static void exec(const char *pod, const char *command)
{
	char request[512];

	http_run_restart();
	snprintf(request, sizeof(request),
		"GET /api/v1/namespaces/prod/pods/%s/exec?%s&stdout=true HTTP/1.1\r\nHost: h\r\n"
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
		"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n",
		pod, command);
	agent_sends(request);
	server_sends("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		     "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n");
	buffer_clear(&run.sent[SIDE_SERVER]);
}

#define TAR "command=tar&command=cf&command=-&command=/etc"
#define OWN "command=/pack.sh"

static void open_exec(const char *pod, const char *command)
{
	exec(pod, command);
	cr_assert(slice_starts_with(
		buffer_slice(&run.sent[SIDE_AGENT]), slice_from_string("HTTP/1.1 101 ")));
	buffer_clear(&run.sent[SIDE_AGENT]);
}

static void writes(struct slice output, size_t step)
{
	struct buffer content;

	buffer_init(&content, 1u << 20);
	buffer_append_byte(&content, 1);
	buffer_append_slice(&content, output);
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, buffer_slice(&content), step);
	buffer_done(&content);
}

static void ends(void)
{
	sends_frame(SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), SIZE_MAX);
	buffer_clear(&run.sent[SIDE_AGENT]);
}

static bool recorded(struct slice output)
{
	return slice_equal(buffer_slice(&run.data[DATA_OUTPUT]), output);
}

#define STEP_MOST (2 * HEADER)
#define STEP 97u

/* However it is cut, one that holds nothing of what is masked arrives as it is. */
Test(kubernetes_archive, one_without_what_is_masked)
{
	struct slice archive = archive_of("hello\n");

	for (size_t step = 1; step < STEP_MOST; step += STEP) {
		open_exec("searched", OWN);
		writes(archive, step);
		ends();
		cr_expect(recorded(archive), "%zu", step);
		cr_expect_not(holds(&run.events, "archive"));
	}
}

Test(kubernetes_archive, one_with_what_is_masked_is_refused)
{
	static const char *const commands[] = {TAR, OWN};
	struct slice archive = archive_of("to ann@example.com\n");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		for (size_t step = 1; step < STEP_MOST; step += STEP) {
			open_exec("searched", commands[i]);
			writes(archive, step);
			cr_expect(run.closed, "%zu", step);
			cr_expect(holds(&run.sent[SIDE_AGENT], "the archive holds what is masked"));
			cr_expect_not(holds(&run.sent[SIDE_AGENT], "ann@"));
			cr_expect_not(holds(&run.sent[SIDE_AGENT], "[masked]"));
		}
	}
	/* The rest of one, as `kubectl cp --retries` asks for it, shows in its command alone. */
	open_exec("searched", "command=sh&command=-c&command=tar+cf+-+/etc+%7C+tail+-c%2B600");
	writes(slice_from(archive, 10), SIZE_MAX);
	cr_expect(run.closed);
	open_exec("searched", OWN);
	writes(slice_from(archive, 10), SIZE_MAX);
	cr_expect_not(run.closed, "text");
}

Test(kubernetes_archive, one_that_the_rule_lets_pass)
{
	static const char *const commands[] = {TAR, OWN};
	struct slice archive = archive_of("to ann@example.com\n");

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		for (size_t step = 1; step < STEP_MOST; step += STEP) {
			open_exec("passed", commands[i]);
			writes(archive, step);
			writes(archive, step);
			ends();
			cr_expect_eq(buffer_length(&run.data[DATA_OUTPUT]), 2 * archive.length);
			cr_expect(holds(&run.data[DATA_OUTPUT], "to ann@example.com\n"));
			cr_expect(holds(&run.events, "an archive is binary, and passes unmasked"));
		}
	}
	/* Nothing else passes so, nor does what it says of what went wrong. */
	open_exec("passed", OWN);
	writes(slice_from_string("to ann@example.com\n"), SIZE_MAX);
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, slice_from_string("\2ann@example.com\n"),
		SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01to [masked]\n|binary \\x02[masked]\n|");
}

Test(kubernetes_archive, one_that_the_rule_refuses)
{
	struct slice archive = archive_of("hello\n");

	exec("refused", TAR);
	AGENT_REFUSED("403");
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	for (size_t step = 1; step < STEP_MOST; step += STEP) {
		open_exec("refused", OWN);
		writes(archive, step);
		cr_expect(run.closed);
		cr_expect(holds(&run.sent[SIDE_AGENT], "an archive is binary"));
		cr_expect_not(holds(&run.sent[SIDE_AGENT], "ustar"));
	}
	open_exec("refused", OWN);
	writes(slice_from_string("hello\n"), SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01hello\n|");
}

/* Nobody waits for what may come: a message that is shorter than a header is none's. */
Test(kubernetes_archive, short_messages_are_not_waited_for)
{
	open_exec("searched", OWN);
	writes(slice_from_string("name: "), SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01name: |");
	/* What is one to nobody else is masked. */
	writes(archive_of("to ann@example.com\n"), SIZE_MAX);
	cr_expect_not(run.closed);
	cr_expect(holds(&run.sent[SIDE_AGENT], "to [masked]\n"));
}
