/* SPDX-License-Identifier: Apache-2.0
 *
 * port-forward over SPDY, over SPDY in a WebSocket, and over a WebSocket's channels: which
 * connections there were, where to, and how much they carried; everything passes as it came.
 */
#include "protocol/kubernetes/channels.h"
#include "tests/unit/http_frames.h"
#include "tests/unit/spdy_frames.h"

#define CONFIG(mode)                                                                               \
	"config:\n"                                                                                \
	"  mode: " mode "\n"                                                                       \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"                 \
	"rules:\n"                                                                                 \
	"  - { name: all, operations: [\"*\"], allow: {} }\n"

static struct spdy_writer writers[2];

static void begin_with(const char *rules)
{
	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, NULL);
	spdy_writer_init(&writers[SIDE_AGENT]);
	spdy_writer_init(&writers[SIDE_SERVER]);
}

static void begin(void)
{
	begin_with(CONFIG("enforce"));
}

static void end(void)
{
	spdy_writer_done(&writers[SIDE_AGENT]);
	spdy_writer_done(&writers[SIDE_SERVER]);
	http_run_end();
}

static void restart(const char *rules)
{
	end();
	begin_with(rules);
}

TestSuite(kubernetes_forward, .init = begin, .fini = end);

enum carrier { DIRECT, TUNNEL, CHANNELS, EXEC_SPDY, EXEC_MESSAGES };

static const struct {
	const char *path, *upgrade, *form;
} transports[] = {
	[DIRECT] = {"portforward", "SPDY/3.1", "X-Stream-Protocol-Version: portforward.k8s.io\r\n"},
	[TUNNEL] = {"portforward", "websocket",
		"Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"},
	[CHANNELS] = {"portforward?ports=8080", "websocket",
		"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"},
	[EXEC_SPDY] = {"exec?command=sh", "SPDY/3.1", ""},
	[EXEC_MESSAGES] = {"exec?command=sh", "websocket",
		"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"},
};

static void upgrade(enum carrier t)
{
	char text[512];

	snprintf(text, sizeof(text),
		"GET /api/v1/namespaces/prod/pods/web/%s HTTP/1.1\r\nHost: h\r\n"
		"Connection: Upgrade\r\nUpgrade: %s\r\n%s\r\n",
		transports[t].path, transports[t].upgrade, transports[t].form);
	agent_sends(text);
	snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n",
		transports[t].upgrade, transports[t].form);
	server_sends(text);
	cr_assert_not(run.closed);
	buffer_clear(&run.sent[SIDE_AGENT]);
	buffer_clear(&run.sent[SIDE_SERVER]);
}

/* SPDY's bytes, as they are or in messages of so many; and they are what leaves. */
static void says(enum carrier t, enum side from, struct buffer *frames, size_t step)
{
	struct buffer wrapped;
	struct slice rest = buffer_slice(frames);

	buffer_init(&wrapped, 1u << 24);
	while (t != DIRECT && rest.length) {
		websocket_append(&wrapped, WEBSOCKET_BINARY, true,
			from == SIDE_AGENT ? frames_key : NULL, slice_head(rest, step));
		rest = slice_from(rest, step);
	}
	if (t == DIRECT)
		buffer_append_slice(&wrapped, rest);
	feed_in_steps(from, buffer_slice(&wrapped), step);
	if (!run.closed)
		cr_expect(slice_equal(
			buffer_slice(&run.sent[side_other(from)]), buffer_slice(&wrapped)));
	buffer_clear(&run.sent[side_other(from)]);
	buffer_done(&wrapped);
	buffer_done(frames);
	buffer_init(frames, 1u << 24);
}

static void put_data(struct buffer *out, uint32_t stream, bool finishes, const char *text)
{
	spdy_append_data(out, stream, finishes, slice_from_string(text));
}

static void put_opening(struct buffer *out, uint32_t stream, const char *fields)
{
	spdy_put_headers(&writers[SIDE_AGENT], out, SPDY_SYN_STREAM, 0, stream, fields);
}

static void put_reply(struct buffer *out, uint32_t stream)
{
	spdy_put_headers(&writers[SIDE_SERVER], out, SPDY_SYN_REPLY, 0, stream, "");
}

static void check_connections(enum carrier t, size_t step)
{
	struct buffer b;

	buffer_init(&b, 1u << 24);
	upgrade(t);
	put_opening(&b, 1, "streamtype=error port=5432 requestid=0");
	put_data(&b, 1, true, "");
	put_opening(&b, 3, "streamtype=data port=5432 requestid=0");
	put_data(&b, 3, false, "hello");
	put_opening(&b, 5, "streamtype=error port=80 requestid=1");
	put_opening(&b, 7, "streamtype=data port=80 requestid=1");
	put_data(&b, 7, true, "GET /");
	says(t, SIDE_AGENT, &b, step);
	put_reply(&b, 1);
	put_reply(&b, 3);
	put_data(&b, 3, false, "wor");
	put_data(&b, 3, true, "ld!");
	put_data(&b, 1, true, "");
	put_reply(&b, 7);
	put_data(&b, 7, false, "page");
	says(t, SIDE_SERVER, &b, step);
	cr_expect(holds(&run.events, "port-forward 1: to port 5432"));
	cr_expect(holds(&run.events, "port-forward 2: to port 80"));
	cr_expect_not(holds(&run.events, "bytes to port"));
	put_data(&b, 3, true, "more");
	says(t, SIDE_AGENT, &b, step);
	cr_expect(holds(&run.events, "port-forward 1: 9 bytes to port 5432, 6 from it"));
	spdy_append_reset(&b, 7, SPDY_CANCEL);
	says(t, SIDE_AGENT, &b, step);
	cr_expect(holds(&run.events, "port-forward 2: 5 bytes to port 80, 4 from it"));
	/* The server may not have heard of it. */
	put_data(&b, 7, false, "late");
	says(t, SIDE_SERVER, &b, step);
	cr_expect_not(run.closed);
	put_opening(&b, 9, "streamtype=data port=81");
	says(t, SIDE_AGENT, &b, step);
	engine_run_end(&run, SIDE_AGENT);
	cr_expect_not(holds(&run.events, "port 81, "));
	engine_run_end(&run, SIDE_SERVER);
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "port-forward 3: 0 bytes to port 81, 0 from it"));
	cr_expect(holds(&run.events, "! result 1"));
	buffer_done(&b);
}

Test(kubernetes_forward, connections)
{
	static const size_t steps[] = {1, 2, 7, 30, 64, SIZE_MAX};

	for (enum carrier t = DIRECT; t <= TUNNEL; t++) {
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			restart(CONFIG("enforce"));
			check_connections(t, steps[i]);
		}
	}
}

static void says_message(enum side from, const char *content, size_t length, size_t step)
{
	sends_frame(from, WEBSOCKET_BINARY, true, slice_of(content, length), step);
}

Test(kubernetes_forward, channels)
{
	for (size_t step = 1; step < 20; step += 2) {
		restart(CONFIG("enforce"));
		upgrade(CHANNELS);
		says_message(SIDE_SERVER, "\0\x38\x15", 3, step);
		says_message(SIDE_SERVER, "\1\x38\x15", 3, step);
		cr_expect(holds(&run.events, "port-forward 1: to port 5432"));
		says_message(SIDE_AGENT, "\0hello", 6, step);
		says_message(SIDE_SERVER, "\0world!", 7, step);
		says_message(SIDE_AGENT, "\2x", 2, step);
		says_message(SIDE_SERVER, "\2\x50", 2, step);
		says_message(SIDE_SERVER, "\2\0y", 3, step);
		cr_expect(holds(&run.events, "port-forward 2: to port 80"));
		GOT_FRAMES(SIDE_SERVER, "binary \\x00hello|binary \\x02x|");
		sends_frame(SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), step);
		sends_frame(SIDE_AGENT, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), step);
		cr_expect(holds(&run.events,
			"port-forward 1: 5 bytes to port 5432, 6 from it; "
			"port-forward 2: 1 bytes to port 80, 1 from it"));
	}
	restart(CONFIG("enforce"));
	upgrade(CHANNELS);
	says_message(SIDE_AGENT, "\1x", 2, 1);
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "not this side's"));
}

Test(kubernetes_forward, what_is_none)
{
	static const char *const openings[] = {"streamtype=data", "streamtype=data port=0",
		"streamtype=data port=65536", "streamtype=stdin port=80", "port=80"};
	struct buffer b;

	buffer_init(&b, 1u << 20);
	for (enum carrier t = DIRECT; t <= TUNNEL; t++) {
		for (unsigned i = 0; i < ARRAY_SIZE(openings) + 5; i++) {
			enum side from = i == ARRAY_SIZE(openings) + 1 ? SIDE_SERVER : SIDE_AGENT;

			restart(CONFIG("enforce"));
			upgrade(t);
			switch ((int)(i - ARRAY_SIZE(openings))) {
			case 0: /* an even number */
				put_opening(&b, 2, "streamtype=data port=80");
				break;
			case 1: /* the wrong side */
				spdy_put_headers(&writers[SIDE_SERVER], &b, SPDY_SYN_STREAM, 0, 2,
					"streamtype=data port=80");
				break;
			case 2: /* a number once more */
				put_opening(&b, 3, "streamtype=data port=80");
				put_opening(&b, 3, "streamtype=data port=80");
				break;
			case 3:
				put_data(&b, 5, false, "x");
				break;
			case 4: /* behind its end */
				put_opening(&b, 3, "streamtype=data port=80");
				put_data(&b, 3, true, "");
				put_data(&b, 3, false, "x");
				break;
			default:
				put_opening(&b, 1, openings[i]);
			}
			says(t, from, &b, SIZE_MAX);
			cr_expect(run.closed, "%u", i);
		}
	}
	buffer_done(&b);
}

/* However many there are, they work, and are told of. */
Test(kubernetes_forward, more_than_are_told_apart)
{
	char fields[64];
	struct buffer b;

	buffer_init(&b, 1u << 24);
	upgrade(TUNNEL);
	for (uint32_t i = 0; i < 300; i++) {
		snprintf(fields, sizeof(fields), "streamtype=data port=%u", 1000 + i);
		put_opening(&b, 2 * i + 1, fields);
	}
	says(TUNNEL, SIDE_AGENT, &b, 16000);
	cr_expect(holds(&run.events, "port-forward 1: to port 1000"));
	cr_expect(holds(&run.events, " more"));
	put_data(&b, 1, false, "x");
	put_data(&b, 599, true, "yz");
	says(TUNNEL, SIDE_AGENT, &b, 1000);
	put_data(&b, 599, true, "");
	says(TUNNEL, SIDE_SERVER, &b, 1000);
	cr_expect(holds(&run.events, "port-forward 300: 2 bytes to port 1299, 0 from it"));
	cr_expect_not(run.closed);
	buffer_done(&b);
}

/* Any other form is a WebSocket like others. */
Test(kubernetes_forward, a_form_that_nobody_knows)
{
	agent_sends("GET /api/v1/namespaces/prod/pods/web/portforward HTTP/1.1\r\nHost: h\r\n"
		    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	server_sends("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		     "Sec-WebSocket-Protocol: v4.base64.channel.k8s.io\r\n\r\n");
	buffer_clear(&run.sent[SIDE_SERVER]);
	sends_text(SIDE_AGENT, "0aGVsbG8=");
	GOT_FRAMES(SIDE_SERVER, "text 0aGVsbG8=|");
	agent_sends("hello");
	cr_expect(run.closed);
}

/* Observing, nothing is lost of a frame that is refused, nor of what the other side has begun to
 * say: the rest is relayed behind it. */
Test(kubernetes_forward, observing_loses_nothing)
{
	struct buffer b;

	for (enum carrier t = DIRECT; t <= EXEC_MESSAGES; t++) {
		for (size_t step = 1; step < 40; step += t == TUNNEL ? 64 : 3) {
			bool messages = t == CHANNELS || t == EXEC_MESSAGES;
			bool spdy = t == DIRECT || t == EXEC_SPDY;
			struct slice begun = slice_from_string(spdy ? "\x80\3" : "\x82\x7e");
			struct slice all, told;
			size_t left, fed = 0;

			restart(CONFIG("observe"));
			upgrade(t);
			engine_run_feed(&run, SIDE_SERVER, begun);
			buffer_init(&b, 1u << 20);
			if (messages)
				websocket_append(&b, WEBSOCKET_BINARY, true, frames_key,
					slice_from_string("\3what is said there"));
			else if (t == TUNNEL)
				websocket_append(&b, WEBSOCKET_BINARY, true, frames_key,
					slice_of("\0\0\0\5\0\0\0\2ab", 10));
			else
				put_data(&b, 5, false, "said where nobody listens");
			all = buffer_slice(&b);
			while (!run.closed && fed < all.length) {
				engine_run_feed(
					&run, SIDE_AGENT, slice_head(slice_from(all, fed), step));
				fed += step < all.length - fed ? step : all.length - fed;
			}
			cr_assert(holds(&run.events, "! violation agent"), "%u", t);
			left = fed - buffer_length(&run.partial[SIDE_AGENT]);
			cr_expect(slice_starts_with(
				buffer_slice(&run.sent[SIDE_SERVER]), slice_head(all, left)));
			told = buffer_slice(&run.sent[SIDE_AGENT]);
			cr_expect(slice_starts_with(told, begun), "%u", t);
			/* The harness ends the session, of which both are told. */
			told = slice_from(told, begun.length);
			cr_expect(told.length == 0 || (!spdy && told.data[0] == 0x88), "%u", t);
			buffer_done(&b);
		}
	}
}

/* Nobody broke the protocol. */
Test(kubernetes_forward, observing_relays_what_is_beyond_a_limit)
{
	static char status[KUBERNETES_STATUS_MOST + 1000];
	struct buffer frame;

	memset(status, ' ', sizeof(status));
	status[0] = '\3';
	restart(CONFIG("observe"));
	upgrade(EXEC_MESSAGES);
	agent_sends("\x82");
	buffer_init(&frame, 1u << 20);
	websocket_append(&frame, WEBSOCKET_BINARY, true, NULL, slice_of(status, sizeof(status)));
	websocket_append(&frame, WEBSOCKET_BINARY, true, NULL, slice_from_string("\1behind"));
	feed_in_steps(SIDE_SERVER, buffer_slice(&frame), 1000);
	cr_expect(slice_equal(buffer_slice(&run.sent[SIDE_AGENT]), buffer_slice(&frame)));
	SERVER_GOT("\x82");
	cr_expect(holds(&run.events, "a message of a Kubernetes stream is too long"));
	cr_expect(holds(&run.events, "relayed unread from here on"));
	cr_expect_not(holds(&run.events, "! violation"));
	agent_sends("whatever");
	SERVER_GOT("whatever");
	buffer_done(&frame);
	/* The rules hold from now on. */
	run.host.observes = false;
	agent_sends("later");
	SERVER_GOT("");
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "! result 1"));
}
