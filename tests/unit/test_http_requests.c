/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/corpus/http/requests: requests that two readers could read differently. Each is refused
 * with its status, ends the connection, and nothing of it reaches the server, however its bytes are
 * cut.
 */
#include <stdio.h>

#include "tests/unit/http_run.h"

TestSuite(http_requests, .init = http_run_begin, .fini = http_run_end);

/* C's escapes, in place; returns the length. */
static size_t unescape(char *text)
{
	char *out = text;

	for (char *in = text; *in; in++) {
		unsigned value;

		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		in++;
		if (*in == 'x' && sscanf(in + 1, "%2x", &value) == 1) {
			*out++ = (char)value;
			in += 2;
		} else {
			*out++ = *in == 'r' ? '\r' : *in == 'n' ? '\n' : *in == 't' ? '\t' : *in;
		}
	}
	return (size_t)(out - text);
}

static void check(struct slice request, const char *status, unsigned number, size_t step)
{
	char wanted[32];

	http_run_restart();
	snprintf(wanted, sizeof(wanted), "HTTP/1.1 %s ", status);
	for (size_t i = 0; i < request.length; i += step)
		engine_run_feed(&run, SIDE_AGENT, slice_head(slice_from(request, i), step));
	cr_assert(slice_starts_with(buffer_slice(&run.sent[SIDE_AGENT]), slice_from_string(wanted)),
		"line %u, step %zu: %.*s", number, step,
		SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	cr_assert(run.closed, "line %u, step %zu", number, step);
	cr_assert_eq(buffer_length(&run.sent[SIDE_SERVER]), 0, "line %u", number);
	cr_assert_eq(run.actions, 0, "line %u", number);
}

Test(http_requests, corpus)
{
	FILE *file = fopen("tests/corpus/http/requests", "re");
	char line[2048];
	unsigned number = 0, checked = 0;

	cr_assert(file, "run from the top of the repository");
	while (fgets(line, sizeof(line), file)) {
		struct slice request;

		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] < '1' || line[0] > '9')
			continue;
		line[3] = '\0';
		request = slice_of(line + 4, unescape(line + 4));
		check(request, line, number, request.length);
		check(request, line, number, 1);
		check(request, line, number, 7);
		checked++;
	}
	fclose(file);
	cr_assert_gt(checked, 60);
}

/* Once the head is released, a bad chunk ends the connection within the request. */
Test(http_requests, bad_chunks)
{
	static const char *const bodies[] = {"g\r\n", "\r\n", "-1\r\n", "0x1\r\na\r\n",
		"1 \r\na\r\n", "1\na\n", "1\r\nab\r\n", "1\r\na\n0\r\n\r\n", "ffffffffffffffff\r\n",
		"1;a=\x01\r\na\r\n", "1\r\na\r\n0\r\n bad: x\r\n\r\n", "0\r\nno colon\r\n\r\n",
		"0\r\na: b\n\r\n", "0\r\na\r\n\r\n", "10000000000000000\r\n"};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		http_run_restart();
		agent_sends("POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
		agent_sends(bodies[i]);
		cr_assert(run.closed, "%zu", i);
		cr_assert_not(holds(&run.sent[SIDE_SERVER], "0\r\n"), "%zu", i);
		AGENT_REFUSED("400");
	}
}

/* Responses that two readers could read differently never reach the agent. */
Test(http_requests, bad_responses)
{
	static const char *const responses[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\n\na", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
		"SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"};

	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		http_run_restart();
		agent_sends("GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n");
		server_sends(responses[i]);
		cr_assert(run.closed, "%zu", i);
		AGENT_REFUSED("502");
	}
}
