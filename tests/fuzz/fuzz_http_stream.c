/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_http_stream: any bytes from either side of what a 101 made of a connection: a WebSocket, and
 * exec over WebSocket, of what writes an archive too, and over SPDY, masked or not, port-forward
 * over each of its forms. Whatever leaves for a side is whole frames that it may get, up to the one
 * that is under way.
 *
 * Input: which of them (1 byte), then pieces: a byte with the side (bit 7) and the length (127: all
 * of the rest; 126: that side breaks off; 0: it ends), and the piece.
 */
#include <stdio.h>

#include "base/memory.h"
#include "protocol/spdy/frames.h"
#include "protocol/websocket/frames.h"
#include "tests/harness/engine_run.h"

#define BREAKS 126 /* in place of a length */

#define AGENTS "  agents: [{ name: demo, cgroup: fuzz.slice/demo }]\n"
#define MASK "mask: [{ detect: [email, credit_card, private_key], with: redact }]"
#define EXEC "/api/v1/namespaces/prod/pods/%s/exec?command=sh&tty=true HTTP/1.1\r\nHost: h\r\n"
#define ARCHIVE "/api/v1/namespaces/prod/pods/%s/exec?command=tar&command=cf&command=-&command=/etc"
#define FORWARD "/api/v1/namespaces/prod/pods/%s/portforward HTTP/1.1\r\nHost: h\r\n"
#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define SPDY "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"

static const char *const policies[] = {
	"config:\n" AGENTS "  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - { name: open, operations: [websocket], objects: [\"/open\"], allow: {} }\n"
	"  - { name: masked, operations: [websocket], objects: [\"/masked\"],\n"
	"      allow: { record: rows, " MASK " } }\n",
	"config:\n" AGENTS
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - { name: open, operations: [exec], objects: [\"prod/pods/open\"], allow: {} }\n"
	"  - { name: masked, operations: [exec], objects: [\"prod/pods/masked\"],\n"
	"      allow: { " MASK " } }\n"
	"  - { name: forward, operations: [portforward], allow: {} }\n",
};
static struct engine_bench benches[ARRAY_SIZE(policies)];

static const struct {
	unsigned policy;
	bool messages; /* a WebSocket's, else frames of SPDY */
	const char *request, *response;
} forms[] = {
	{0, true, "GET /%s HTTP/1.1\r\nHost: h\r\n" WEBSOCKET "\r\n", WEBSOCKET},
	{1, true, "GET " EXEC WEBSOCKET "\r\n",
		WEBSOCKET "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n"},
	{1, false, "POST " EXEC SPDY "\r\n", SPDY},
	{1, false, "POST " FORWARD SPDY "\r\n", SPDY},
	{1, true, "GET " FORWARD WEBSOCKET "\r\n",
		WEBSOCKET "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n"},
	{1, true, "GET " FORWARD WEBSOCKET "\r\n",
		WEBSOCKET "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"},
	{1, true, "GET " ARCHIVE " HTTP/1.1\r\nHost: h\r\n" WEBSOCKET "\r\n",
		WEBSOCKET "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n"},
};

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_http_stream: %s\n", what);
	abort();
}

static void check_websocket(struct slice in, enum side to)
{
	static struct websocket_reader reader;
	struct websocket_piece piece;
	size_t taken;

	websocket_reader_init(&reader, to == SIDE_SERVER);
	while (in.length) {
		enum websocket_taken what = websocket_next(&reader, in, &taken, &piece);

		/* What a text says may turn out to be none within a frame that is under way. */
		check(what != WEBSOCKET_BAD || strstr(reader.problem, "UTF-8") ||
				strstr(reader.problem, "within a character"),
			reader.problem ? reader.problem : "");
		if (what == WEBSOCKET_BAD)
			return;
		in = slice_from(in, taken);
	}
}

static void check_spdy(struct slice in)
{
	struct spdy_reader reader;
	struct spdy_piece piece;
	size_t taken;

	spdy_reader_init(&reader);
	while (in.length) {
		check(spdy_next(&reader, in, &taken, &piece) != SPDY_TAKEN_BAD, "a bad frame");
		in = slice_from(in, taken);
	}
	spdy_reader_done(&reader);
}

static void begin(struct engine_run *run, unsigned form, bool masked)
{
	char text[512];

	snprintf(text, sizeof(text), forms[form].request, masked ? "masked" : "open");
	engine_run_feed(run, SIDE_AGENT, slice_from_string(text));
	snprintf(text, sizeof(text), "HTTP/1.1 101 Switching\r\n%s\r\n", forms[form].response);
	engine_run_feed(run, SIDE_SERVER, slice_from_string(text));
	check(!run->closed, "the stream did not begin");
	buffer_clear(&run->sent[SIDE_AGENT]);
	buffer_clear(&run->sent[SIDE_SERVER]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine_run run;
	struct slice in;
	unsigned form;

	if (!benches[0].scope) {
		for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
			engine_bench_init(&benches[i], policies[i]);
	}
	if (size < 2)
		return 0;
	form = (data[0] >> 1) % ARRAY_SIZE(forms);
	in = slice_of(data + 1, size - 1);
	engine_run_init(&run, &benches[forms[form].policy], NULL);
	begin(&run, form, data[0] & 1);
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
			engine_run_feed(&run, side, piece);
		else
			engine_run_end(&run, side);
	}
	for (enum side to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		if (forms[form].messages)
			check_websocket(buffer_slice(&run.sent[to]), to);
		else
			check_spdy(buffer_slice(&run.sent[to]));
	}
	engine_run_done(&run);
	return 0;
}
