/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_http: any bytes from either side of an HTTP connection. What leaves for the server must be
 * well-formed requests, each released just before, unless we only observe; the same must be judged
 * and reported however the agent's bytes are cut (the server's may come before or after the agent's
 * next request); paths and ClientHellos are read on the way.
 *
 * Input: which rules (1 byte; bit 7: the first connection is one that another session left), then
 * pieces: a byte with the side (bit 7) and the length (127: all of the rest; 126: that side breaks
 * off; 0: it ends), and the piece.
 */
#include <stdio.h>

#include "base/memory.h"
#include "protocol/http2/http2.h"
#include "protocol/tls_hello.h"
#include "tests/harness/http_guard.h"

#define BREAKS 126 /* in place of a length */

#define ENDS                                                                                       \
	"  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"  reviewers: { dba: { local_users: [root] } }\n"
#define RULES                                                                                      \
	"rules:\n"                                                                                 \
	"  - { name: read, operations: [read, websocket], objects: [\"/v1/**\"], allow: {} }\n"    \
	"  - { name: post, operations: [POST], objects: [\"/v1/**\"], allow: { mask: [{ detect: "  \
	"[email, secret], with: redact }] } }\n"                                                   \
	"  - { name: put, operations: [PUT], review: { by: dba } }\n"                              \
	"  - { name: no deletes, operations: [DELETE], deny: { message: no } }\n"

static const char *const policies[] = {
	"config:\n" ENDS RULES,
	"config:\n" ENDS "rules: [{ name: all, operations: [\"*\"], allow: {} }]\n",
	"config:\n  mode: observe\n" ENDS RULES,
};
static struct engine_bench benches[ARRAY_SIZE(policies)];

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_http: %s\n", what);
	abort();
}

static void feed(struct engine_run *run, enum side side, struct slice piece, size_t step)
{
	for (size_t i = 0; i < piece.length; i += step)
		engine_run_feed(run, side, slice_head(slice_from(piece, i), step));
}

/* False: it became HTTP/2, which fuzz_http2 is about. */
static bool play(const struct engine_bench *bench, bool keeps, struct slice in, size_t step,
	struct buffer *ret)
{
	bool is_http_1;
	struct http_guard guard;
	struct engine_run run;

	http_guard_init(&guard);
	engine_run_init(&run, bench, &guard.watch);
	run.keeps = run.host.keeps = keeps;
	while (in.length) {
		enum side side = in.data[0] >> 7 ? SIDE_SERVER : SIDE_AGENT;
		size_t length = in.data[0] & 127;
		struct slice piece;

		in = slice_from(in, 1);
		piece = length == 127 ? in : slice_head(in, length % BREAKS);
		in = slice_from(in, piece.length);
		if (length == BREAKS)
			engine_run_break(&run, side);
		else if (length)
			feed(&run, side, piece, side == SIDE_AGENT ? step : piece.length + 1);
		else
			engine_run_end(&run, side);
	}
	is_http_1 = run.engine->protocol != &protocol_http2;
	check(!guard.broken || !is_http_1 || run.host.observes, guard.broken);
	buffer_append_slice(ret, buffer_slice(&run.events));
	engine_run_done(&run);
	http_guard_done(&guard);
	return is_http_1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine_bench *bench;
	struct buffer whole, cut;
	struct tls_hello hello;
	struct slice in;

	if (!benches[0].scope) {
		for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
			engine_bench_init(&benches[i], policies[i]);
	}
	if (size < 2)
		return 0;
	bench = &benches[data[0] % ARRAY_SIZE(policies)];
	in = slice_of(data + 1, size - 1);
	if (tls_hello_read(in, &hello) == TLS_HELLO_MORE)
		check(tls_hello_needs(in) > 0, "a ClientHello that waits for nothing");
	buffer_init(&whole, 1u << 30);
	buffer_init(&cut, 1u << 30);
	if (play(bench, data[0] >> 7, in, size, &whole) && play(bench, data[0] >> 7, in, 1, &cut))
		check(slice_equal(buffer_slice(&whole), buffer_slice(&cut)),
			"what is judged depends on how the bytes are cut");
	buffer_done(&whole);
	buffer_done(&cut);
	return 0;
}
