/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/corpus/http: requests that two readers could read differently (each is refused with its
 * status, ends the connection, and nothing of it reaches the server), and bodies in chunks and
 * responses; however their bytes are cut.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
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

/* Hands each line of a file that is no comment to `take`, and says how many there were. */
static unsigned each_line(const char *path, void (*take)(char *line, unsigned number))
{
	FILE *file = fopen(path, "re");
	char line[2048];
	unsigned number = 0, taken = 0;

	cr_assert(file, "run from the top of the repository");
	while (fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || !line[0])
			continue;
		take(line, number);
		taken++;
	}
	fclose(file);
	return taken;
}

static void refused(char *line, unsigned number)
{
	struct slice request = slice_of(line + 4, unescape(line + 4));

	line[3] = '\0';
	check(request, line, number, request.length);
	check(request, line, number, 1);
	check(request, line, number, 7);
}

Test(http_requests, corpus)
{
	cr_assert_gt(each_line("tests/corpus/http/requests", refused), 160);
}

#define CHUNKED "POST /v1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What is in the chunks of a whole body, and behind the last of them what follows it. */
static void join_chunks(struct slice body, struct buffer *ret)
{
	const uint8_t *end;
	size_t size = 1;

	while (size && (end = body.length ? memchr(body.data, '\n', body.length) : NULL)) {
		size = strtoul((const char *)body.data, NULL, 16);
		body = slice_from(body, (size_t)(end - body.data) + 1);
		cr_assert_geq(body.length, size + 2);
		buffer_append_slice(ret, slice_head(body, size));
		cr_assert_eq(memcmp(body.data + size, size ? "\r\n" : "", size ? 2 : 0), 0);
		body = slice_from(body, size ? size + 2 : 0);
	}
	cr_assert_eq(size, 0, "no last chunk");
	buffer_append_string(ret, "|");
	buffer_append_slice(ret, body);
}

/* The same, in pieces of whatever size. */
static bool joins_to(struct slice sent, struct slice wanted)
{
	struct buffer a, b;
	bool same;

	buffer_init(&a, LIMIT_HTTP_HEAD);
	buffer_init(&b, LIMIT_HTTP_HEAD);
	join_chunks(sent, &a);
	join_chunks(wanted, &b);
	same = slice_equal(buffer_slice(&a), buffer_slice(&b));
	buffer_done(&a);
	buffer_done(&b);
	return same;
}

/* Once the head is released, a bad chunk ends the connection within the request. */
static void check_chunks(struct slice body, struct slice wanted, unsigned number, size_t step)
{
	struct slice sent;

	http_run_restart();
	agent_sends(CHUNKED);
	for (size_t i = 0; i < body.length; i += step)
		engine_run_feed(&run, SIDE_AGENT, slice_head(slice_from(body, i), step));
	sent = slice_from(buffer_slice(&run.sent[SIDE_SERVER]), strlen(CHUNKED));
	if (!slice_equal_string(wanted, "-")) {
		cr_assert_not(run.closed, "line %u, step %zu", number, step);
		/* In pieces as they came. */
		cr_assert(step == 1 ? joins_to(sent, wanted) : slice_equal(sent, wanted),
			"line %u, step %zu: %.*s", number, step, SLICE_PRINT(sent));
		return;
	}
	cr_assert(run.closed, "line %u, step %zu", number, step);
	cr_assert_not(sent.length && memmem(sent.data, sent.length, "0\r\n", 3), "line %u", number);
	AGENT_REFUSED("400");
}

static void chunks(char *line, unsigned number)
{
	char *tab = strchr(line, '\t');
	struct slice body, wanted;

	cr_assert(tab, "line %u", number);
	*tab++ = '\0';
	body = slice_of(tab, unescape(tab));
	wanted = slice_of(line, unescape(line));
	check_chunks(body, wanted, number, body.length);
	check_chunks(body, wanted, number, 1);
}

Test(http_requests, chunks)
{
	cr_assert_gt(each_line("tests/corpus/http/chunks", chunks), 50);
}

/* Responses that two readers could read differently never reach the agent. */
static void check_response(struct slice response, unsigned number, size_t step)
{
	http_run_restart();
	agent_sends("GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n");
	for (size_t i = 0; i < response.length && !run.closed; i += step)
		engine_run_feed(&run, SIDE_SERVER, slice_head(slice_from(response, i), step));
	cr_assert(run.closed, "line %u, step %zu: %.*s", number, step,
		SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	AGENT_REFUSED("502");
}

static void response(char *line, unsigned number)
{
	struct slice text = slice_of(line, unescape(line));

	check_response(text, number, text.length);
	check_response(text, number, 1);
}

Test(http_requests, responses)
{
	cr_assert_gt(each_line("tests/corpus/http/responses", response), 50);
}

/* Each by itself is legal, and none of them is an answer. */
Test(http_requests, interim_responses_without_end)
{
	agent_sends("GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n");
	for (unsigned i = 0; i < LIMIT_HTTP_INTERIM; i++)
		server_sends("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
	cr_assert(run.closed);
	cr_assert(holds(&run.sent[SIDE_AGENT], "HTTP/1.1 502 "));
}

Test(http_requests, some_interim_responses)
{
	for (unsigned round = 0; round < 2; round++) {
		agent_sends("GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n");
		for (unsigned i = 0; i < LIMIT_HTTP_INTERIM; i++)
			server_sends("HTTP/1.1 103 Early Hints\r\n\r\n");
		server_sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		cr_assert_not(run.closed, "%u", round);
	}
}
