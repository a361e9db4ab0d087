/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_http2: any frames from one side of an HTTP/2 connection, with nghttp2 as the other side.
 * What leaves for that one must be legal HTTP/2; no request reaches a server that was not released
 * before, and none that a rule refuses. What a proxy connects to passes on what either side says.
 *
 * Input: who sends the frames (1 byte: bit 0 the server, else the agent; bit 1: fed byte by byte;
 * bit 2: the other side ends its half of a WebSocket), then frames: type, flags, stream and length
 * (1 byte each), and the payload. Type 255: the payload alone, so that frames can be broken too.
 * Type 254: that side's end.
 */
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "tests/harness/http2_peer.h"

#define POLICY                                                                                     \
	"config:\n"                                                                                \
	"  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"  reviewers: { dba: { local_users: [root] } }\n"                                          \
	"rules:\n"                                                                                 \
	"  - { name: read, operations: [read], objects: [\"/v1/**\"], allow: {} }\n"               \
	"  - { name: post, operations: [POST], objects: [\"/v1/**\"], allow: { mask: [{ detect: "  \
	"[email, secret], with: redact }] } }\n"                                                   \
	"  - { name: put, operations: [PUT], objects: [\"/v1/**\"], review: { by: dba } }\n"       \
	"  - { name: talk, operations: [websocket], objects: [\"/v1/**\"], allow: { record: "      \
	"rows, "                                                                                   \
	"mask: [{ detect: [email, secret], with: redact }] } }\n"                                  \
	"  - { name: beyond, operations: [connect], objects: [\"db.test:443\"], allow: {} }\n"     \
	"  - { name: no deletes, operations: [DELETE], deny: { message: no } }\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define EMPTY_SETTINGS "\0\0\0\4\0\0\0\0\0"
/* A server's, which takes WebSockets. */
#define OFFER "\0\0\6\4\0\0\0\0\0\0\x08\0\0\0\1"
/* What a client of a WebSocket says: "hello", masked, and a Close. */
#define SAID "\x81\x85\1\1\1\1idmmn\x88\x80\1\1\1\1"
enum { BROKEN = 255, END = 254 };

/* What one run saw, behind the callbacks. */
static struct seen {
	size_t released, arrived;
	bool ends; /* the peer ends its half of a WebSocket */
	bool last_connects; /* the last that arrived asks for a WebSocket, or a connection */
	bool last_extended; /* the former */
} seen;
static struct engine_bench bench;

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_http2: %s\n", what);
	abort();
}

static void on_decided(
	struct engine_watch *w, const struct protocol_action_event *event, bool released)
{
	(void)w;
	(void)event;
	seen.released += released;
}

static void on_field(struct http2_peer *p, struct slice name, struct slice value)
{
	(void)p;
	if (slice_equal_string(name, ":method")) {
		seen.arrived++;
		seen.last_connects = slice_equal_string(value, "CONNECT");
		seen.last_extended = false;
		check(!slice_equal_string(value, "DELETE"),
			"what a rule refuses reached the server");
	}
	seen.last_extended |= slice_equal_string(name, ":protocol");
	if (seen.last_connects && !seen.last_extended && slice_equal_string(name, ":authority"))
		check(text_equal_ignore_case(value, slice_from_string("db.test:443")),
			"a proxy was asked for what no rule allows");
	/* "/v1" without more is what the rules mean, too. */
	if (slice_equal_string(name, ":path"))
		check(slice_starts_with(value, slice_from_string("/v1")) &&
				(value.length == 3 || strchr("/?", value.data[3])),
			"a path that no rule allows reached the server");
}

static void feed(struct engine_run *run, enum side side, struct slice bytes, bool cut)
{
	size_t step = cut ? 1 : bytes.length;

	for (size_t i = 0; i < bytes.length; i += step)
		engine_run_feed(run, side, slice_head(slice_from(bytes, i), step));
}

static void feed_frame(struct engine_run *run, enum side side, const uint8_t head[4],
	struct slice payload, bool cut)
{
	uint8_t frame[9 + 255] = {
		0, 0, (uint8_t)payload.length, head[0], head[1], 0, 0, 0, head[2]};

	memcpy(frame + 9, payload.data, payload.length);
	feed(run, side, slice_of(frame, 9 + payload.length), cut);
}

/* What the other side does of its own: the agent asks, the server answers each request. */
static void begin_peer(struct http2_peer *p)
{
	const nghttp2_settings_entry offer = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};

	if (p->side == SIDE_SERVER) {
		p->field = on_field;
		nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, &offer, 1);
		return;
	}
	http2_peer_ask(p, "GET", "/v1/a", NULL, NULL, false);
	http2_peer_ask(p, "POST", "/v1/b", "content-type: text/plain\n", "hello", false);
	http2_peer_ask(p, "PUT", "/v1/c", NULL, "held", false);
	http2_peer_ask(p, "DELETE", "/v1/d", NULL, NULL, false);
	http2_peer_ask(p, "CONNECT", "/v1/e", ":protocol: websocket\n", SAID, !seen.ends);
	http2_peer_connect(p, "db.test:443", NULL);
	http2_peer_ask(p, "GET", "/v1/f", "content-type: application/grpc\n", "hello", true);
}

static void answer(struct http2_peer *p, int32_t id)
{
	if (!seen.last_connects) {
		http2_peer_answer(p, id, "200", "content-type: text/plain\n", "ann@example.com",
			"x-end: 1\n");
		return;
	}
	http2_peer_agree(p, id, NULL);
	http2_peer_speak(p);
	http2_peer_more(p, id,
		slice_from_string("\x81\x0f"
				  "ann@example.com"),
		!seen.ends);
}

static void talk(struct http2_peer *p, size_t *answered)
{
	do {
		for (; p->side == SIDE_SERVER && *answered < seen.arrived; (*answered)++)
			answer(p, (int32_t)*answered * 2 + 1);
		http2_peer_speak(p);
		engine_run_tunnels_relay(p->run);
	} while (http2_peer_listen(p));
	check(p->failed == 0, "what was sent is no HTTP/2");
	check(seen.arrived <= seen.released, "a request arrived that was not released");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_watch watch = {.decided = on_decided};
	struct slice in = slice_of(data, size);
	enum side raw = size && data[0] & 1 ? SIDE_SERVER : SIDE_AGENT;
	bool cut = size && data[0] & 2;
	struct http2_peer peer;
	struct engine_run run;
	size_t answered = 0;

	if (!bench.scope)
		engine_bench_init(&bench, POLICY);
	seen = (struct seen){.ends = size && data[0] & 4};
	engine_run_init(&run, &bench, &watch);
	http2_peer_init(&peer, &run, raw == SIDE_AGENT ? SIDE_SERVER : SIDE_AGENT);
	begin_peer(&peer);
	if (raw == SIDE_AGENT)
		engine_run_feed(&run, raw, slice_from_string(PREFACE));
	else
		talk(&peer, &answered);
	if (raw == SIDE_SERVER)
		engine_run_feed(&run, raw, slice_of(OFFER, sizeof(OFFER) - 1));
	else
		engine_run_feed(&run, raw, slice_of(EMPTY_SETTINGS, sizeof(EMPTY_SETTINGS) - 1));
	for (in = slice_from(in, 1); in.length >= 4; talk(&peer, &answered)) {
		const uint8_t *head = in.data;
		struct slice payload = slice_head(slice_from(in, 4), head[3]);

		in = slice_from(in, 4 + payload.length);
		if (head[0] == END)
			engine_run_end(&run, raw);
		else if (head[0] == BROKEN)
			feed(&run, raw, payload, cut);
		else
			feed_frame(&run, raw, head, payload, cut);
		buffer_clear(&run.sent[raw]);
	}
	http2_peer_done(&peer);
	engine_run_done(&run);
	return 0;
}
