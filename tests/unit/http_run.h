/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the HTTP engine share: rules, and a session whose bytes are texts.
 */
#ifndef WAYLEAVE_TESTS_HTTP_RUN_H
#define WAYLEAVE_TESTS_HTTP_RUN_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "tests/harness/engine_run.h"

__attribute__((unused)) static const char http_run_rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read], objects: [\"/v1/**\"], allow: {} }\n"
	"  - { name: post, operations: [POST, websocket], objects: [\"/v1/**\"], allow: {} }\n"
	"  - { name: put, operations: [PUT], review: { by: dba } }\n"
	"  - { name: no deletes, operations: [DELETE], deny: { message: never } }\n"
	"  - { name: secret, objects: [\"/v1/secret/**\"], deny: {} }\n";

static struct engine_bench bench;
static struct engine_run run;

static inline void http_run_begin_with(const char *rules)
{
	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, NULL);
}

static inline void http_run_begin(void)
{
	http_run_begin_with(http_run_rules);
}

static inline void http_run_end(void)
{
	engine_run_done(&run);
	engine_bench_done(&bench);
}

static inline void http_run_restart(void)
{
	engine_run_done(&run);
	engine_run_init(&run, &bench, NULL);
}

static inline void agent_sends(const char *text)
{
	engine_run_feed(&run, SIDE_AGENT, slice_from_string(text));
}

static inline void server_sends(const char *text)
{
	engine_run_feed(&run, SIDE_SERVER, slice_from_string(text));
}

static inline bool holds(const struct buffer *b, const char *text)
{
	struct slice s = buffer_slice(b);

	return s.length && memmem(s.data, s.length, text, strlen(text));
}

/* What left for a side since the last look is exactly this. */
#define LEFT(to, text)                                                                             \
	do {                                                                                       \
		struct buffer *sent_ = &run.sent[to];                                              \
		cr_assert(slice_equal_string(buffer_slice(sent_), text), "sent: %.*s",             \
			SLICE_PRINT(buffer_slice(sent_)));                                         \
		buffer_clear(sent_);                                                               \
	} while (0)

#define AGENT_GOT(text) LEFT(SIDE_AGENT, text)
#define SERVER_GOT(text) LEFT(SIDE_SERVER, text)
/* The agent got a response of ours with this status. */
#define AGENT_REFUSED(status)                                                                      \
	do {                                                                                       \
		struct buffer *sent_ = &run.sent[SIDE_AGENT];                                      \
		cr_assert(slice_starts_with(                                                       \
				  buffer_slice(sent_), slice_from_string("HTTP/1.1 " status " ")), \
			"sent: %.*s", SLICE_PRINT(buffer_slice(sent_)));                           \
		cr_assert(holds(sent_, "Content-Type: application/json\r\n"));                     \
		buffer_clear(sent_);                                                               \
	} while (0)

#endif
