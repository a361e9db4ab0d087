/* SPDX-License-Identifier: Apache-2.0
 *
 * exec over WebSocket and over SPDY: which channels pass, what of them is masked and recorded, and
 * what came of the program.
 */
#include "tests/unit/http_frames.h"
#include "tests/unit/spdy_frames.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - { name: open, operations: [exec, attach, portforward], objects: [\"open/pods/*\"],\n"
	"      allow: {} }\n"
	"  - name: masked\n"
	"    operations: [exec, portforward]\n"
	"    objects: [\"prod/pods/*\"]\n"
	"    allow: { mask: [{ detect: [email, credit_card, private_key], with: redact }] }\n"
	"  - name: paths\n"
	"    operations: [exec]\n"
	"    objects: [\"paths/pods/*\"]\n"
	"    allow: { mask: [{ json: [\"$.a\"], with: redact }] }\n";

static struct spdy_writer writers[2];

static void begin(void)
{
	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, NULL);
	spdy_writer_init(&writers[SIDE_AGENT]);
	spdy_writer_init(&writers[SIDE_SERVER]);
}

static void end(void)
{
	spdy_writer_done(&writers[SIDE_AGENT]);
	spdy_writer_done(&writers[SIDE_SERVER]);
	http_run_end();
}

static void restart(void)
{
	end();
	begin();
}

TestSuite(kubernetes_streams, .init = begin, .fini = end);

static void switch_to(const char *request, const char *protocol, const char *more)
{
	char text[512];

	agent_sends(request);
	cr_assert(buffer_length(&run.sent[SIDE_SERVER]), "%.*s",
		SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	snprintf(text, sizeof(text),
		"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s\r\n", protocol,
		more);
	server_sends(text);
	buffer_clear(&run.sent[SIDE_AGENT]);
	buffer_clear(&run.sent[SIDE_SERVER]);
}

/* --- over WebSocket --- */

static void exec_by_messages(const char *namespace, const char *query, const char *form)
{
	char request[512], more[128];

	snprintf(request, sizeof(request),
		"GET /api/v1/namespaces/%s/pods/web/exec?command=sh%s HTTP/1.1\r\nHost: h\r\n"
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"
		"Sec-WebSocket-Protocol: %s\r\n\r\n",
		namespace, query, form);
	snprintf(more, sizeof(more), "Sec-WebSocket-Protocol: %s\r\n", form);
	switch_to(request, "websocket", more);
}

/* A message whose first byte is the channel. */
static void says(enum side from, uint8_t channel, const char *text, size_t step)
{
	struct buffer content;

	buffer_init(&content, 1u << 20);
	buffer_append_byte(&content, channel);
	buffer_append_string(&content, text);
	sends_frame(from, WEBSOCKET_BINARY, true, buffer_slice(&content), step);
	buffer_done(&content);
}

#define SUCCESS "{\"metadata\":{},\"status\":\"Success\"}"
#define FAILURE                                                                                    \
	"{\"metadata\":{},\"status\":\"Failure\",\"message\":\"for ann@example.com\","             \
	"\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\","        \
	"\"message\":\"3\"}]}}"

Test(kubernetes_streams, channels_of_messages)
{
	for (size_t step = 1; step < 40; step += 3) {
		restart();
		exec_by_messages("open", "&tty=true", "v5.channel.k8s.io");
		says(SIDE_SERVER, 1, "", step);
		says(SIDE_AGENT, 4, "{\"Width\":80,\"Height\":24}", step);
		says(SIDE_AGENT, 0, "ls\n", step);
		GOT_FRAMES(
			SIDE_SERVER, "binary \\x04{\"Width\":80,\"Height\":24}|binary \\x00ls\n|");
		says(SIDE_SERVER, 1, "a ann@example.com\n", step);
		says(SIDE_SERVER, 2, "warning\n", step);
		GOT_FRAMES(SIDE_AGENT,
			"binary \\x01|binary \\x01a ann@example.com\n|binary \\x02warning\n|");
		says(SIDE_AGENT, 255, "\1", step);
		GOT_FRAMES(SIDE_SERVER, "binary \\xff\\x01|");
		says(SIDE_SERVER, 3, FAILURE, step);
		cr_expect(strstr(got_frames(SIDE_AGENT), "ann@example.com"));
		RECORDED(DATA_INPUT, "ls\n");
		RECORDED(DATA_OUTPUT, "a ann@example.com\n");
		RECORDED(DATA_ERROR, "warning\n");
		RECORDED(DATA_WINDOW, "80x24 ");
		engine_run_end(&run, SIDE_SERVER);
		engine_run_end(&run, SIDE_AGENT);
		cr_expect(holds(&run.events, "\"exit 3\""), "%.*s",
			SLICE_PRINT(buffer_slice(&run.events)));
	}
}

Test(kubernetes_streams, channels_that_are_not_a_sides)
{
	static const struct {
		enum side from;
		uint8_t channel;
		const char *form;
	} cases[] = {
		{SIDE_AGENT, 1, "v4.channel.k8s.io"},
		{SIDE_AGENT, 3, "v4.channel.k8s.io"},
		{SIDE_AGENT, 5, "v4.channel.k8s.io"},
		{SIDE_AGENT, 255, "v4.channel.k8s.io"},
		{SIDE_SERVER, 0, "v4.channel.k8s.io"},
		{SIDE_SERVER, 4, "v4.channel.k8s.io"},
		{SIDE_SERVER, 255, "v5.channel.k8s.io"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		restart();
		exec_by_messages("open", "", cases[i].form);
		says(cases[i].from, cases[i].channel, "x", 1);
		cr_expect(run.closed, "%zu", i);
		cr_expect(holds(&run.events, "not this side's"), "%zu", i);
	}
}

/* A channel that is closed carries nothing. */
Test(kubernetes_streams, words_behind_a_close)
{
	for (size_t step = 1; step < 12; step++) {
		restart();
		exec_by_messages("open", "", "v5.channel.k8s.io");
		says(SIDE_AGENT, 255, "\1", step);
		says(SIDE_AGENT, 255, "", step);
		cr_expect_not(run.closed);
		GOT_FRAMES(SIDE_SERVER, "binary \\xff\\x01|binary \\xff|");
		says(SIDE_AGENT, 255, "\1more", step);
		cr_expect(run.closed);
		cr_expect(holds(&run.events, "words behind"));
		cr_expect_not(holds(&run.sent[SIDE_SERVER], "ore"));
	}
}

Test(kubernetes_streams, forms_that_nobody_reads)
{
	static const char *const forms[] = {
		"base64.channel.k8s.io", "v4.base64.channel.k8s.io", "v6.channel.k8s.io"};
	char answer[256];

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		restart();
		agent_sends("GET /api/v1/namespaces/open/pods/web/exec?command=sh "
			    "HTTP/1.1\r\nHost: h\r\n"
			    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
		snprintf(answer, sizeof(answer),
			"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Protocol: %s\r\n\r\n",
			forms[i]);
		server_sends(answer);
		AGENT_REFUSED("502");
	}
}

/* Wherever two messages part a value. */
Test(kubernetes_streams, masks_reach_across_messages)
{
	static const char text[] = "to ann@example.com\n4111 1111 1111 1111\nend";
	char first[sizeof(text)];

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		restart();
		exec_by_messages("prod", "", "v4.channel.k8s.io");
		snprintf(first, sizeof(first), "%.*s", (int)cut, text);
		says(SIDE_SERVER, 1, first, SIZE_MAX);
		says(SIDE_SERVER, 2, "bob@example.com\n", SIZE_MAX);
		says(SIDE_SERVER, 1, text + cut, cut % 5 + 1);
		says(SIDE_SERVER, 3, FAILURE, SIZE_MAX);
		RECORDED(DATA_OUTPUT, "to [masked]\n[masked]\nend");
		RECORDED(DATA_ERROR, "[masked]\n");
		cr_expect_not(holds(&run.sent[SIDE_AGENT], "ann@"));
		cr_expect(strstr(got_frames(SIDE_AGENT), "\"message\":\"for [masked]\""));
		engine_run_end(&run, SIDE_SERVER);
		cr_expect_not(run.closed);
		engine_run_end(&run, SIDE_AGENT);
		cr_expect(holds(&run.events, "\"exit 3\""));
	}
}

Test(kubernetes_streams, a_prompt_is_shown_and_a_key_of_many_lines_is_not)
{
	exec_by_messages("prod", "", "v4.channel.k8s.io");
	says(SIDE_SERVER, 1, "", SIZE_MAX);
	says(SIDE_SERVER, 1, "one\nname: ", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01|binary \\x01one\nname: |");
	says(SIDE_SERVER, 1, "tw", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "");
	says(SIDE_SERVER, 1, "o\n-----BEGIN PRIVATE KEY-----\n", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01two\n|");
	says(SIDE_SERVER, 1, "MIIEvQ\nabc\n", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "");
	says(SIDE_SERVER, 1, "-----END PRIVATE KEY-----\nbehind", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01[masked]\n|");
	/* What was kept back leaves before the end. */
	sends_frame(SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01behind|close \\x03\\xe8|");
}

/* Who types sees each letter; the rest of what could not be known to be a value is masked. */
Test(kubernetes_streams, a_terminal_shows_what_is_typed)
{
	exec_by_messages("prod", "&tty=1", "v4.channel.k8s.io");
	says(SIDE_SERVER, 1, "l", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01l|");
	says(SIDE_SERVER, 1, "s ann@exa", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01s ann@exa|");
	says(SIDE_SERVER, 1, "mple.com\r\n", SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary \\x01[masked]\\x0d\n|");
}

Test(kubernetes_streams, what_no_mask_reaches_is_refused)
{
	static const char *const requests[] = {
		"GET /api/v1/namespaces/paths/pods/web/exec?command=sh",
		"POST /api/v1/namespaces/prod/pods/web/portforward"};
	char request[512];

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		restart();
		snprintf(request, sizeof(request),
			"%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			requests[i], i ? "SPDY/3.1" : "websocket");
		agent_sends(request);
		cr_expect(holds(&run.sent[SIDE_AGENT], "can't be masked"), "%zu", i);
		AGENT_REFUSED("403");
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	}
}

/* A key is longer than what is kept of other text. */
Test(kubernetes_streams, a_key_that_a_terminal_shows_line_by_line)
{
	exec_by_messages("prod", "&tty=1", "v4.channel.k8s.io");
	says(SIDE_SERVER, 1, "-----BEGIN PRIVATE KEY-----\r\n", SIZE_MAX);
	for (unsigned i = 0; i < 30; i++)
		says(SIDE_SERVER, 1,
			"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\r\n",
			SIZE_MAX);
	says(SIDE_SERVER, 1, "-----END PRIVATE KEY-----\r\n$ ", SIZE_MAX);
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "MIIE"));
	cr_expect(holds(&run.sent[SIDE_AGENT], "$ "));
}

#define COLOURS (3 * 8192u)
#define PIECES 2000u

/* Colours that colour nothing, in one message and then in tiny ones, which are searched again with
 * each piece behind them; how many of those had something leave. */
static size_t show_colours(const char *query)
{
	char colours[COLOURS + 1] = "";
	size_t frames = 0;

	for (size_t i = 0; i < COLOURS; i += 3)
		memcpy(colours + i, "\033[m", 3);
	exec_by_messages("prod", query, "v4.channel.k8s.io");
	says(SIDE_SERVER, 1, "first words of what is kept ", SIZE_MAX);
	says(SIDE_SERVER, 1, colours, SIZE_MAX);
	for (size_t i = 0; i < PIECES; i++) {
		buffer_clear(&run.sent[SIDE_AGENT]);
		says(SIDE_SERVER, 1, "\033[m", SIZE_MAX);
		frames += buffer_length(&run.sent[SIDE_AGENT]) > 0;
	}
	buffer_clear(&run.sent[SIDE_AGENT]);
	return frames;
}

Test(kubernetes_streams, tiny_pieces_do_not_keep_a_worker)
{
	size_t frames = show_colours("");

	says(SIDE_SERVER, 3, SUCCESS, SIZE_MAX);
	cr_expect_eq(buffer_length(&run.data[DATA_OUTPUT]), 28 + COLOURS + 3 * PIECES);
	cr_expect(frames >= 10 && frames < PIECES / 8, "%zu", frames);
}

/* Nothing follows it before somebody has answered. */
Test(kubernetes_streams, a_prompt_behind_tiny_pieces_is_shown)
{
	show_colours("");
	says(SIDE_SERVER, 1, "name: ", SIZE_MAX);
	cr_expect(holds(&run.sent[SIDE_AGENT], "name: "));
	cr_expect_eq(buffer_length(&run.data[DATA_OUTPUT]), 28 + COLOURS + 3 * PIECES + 6);
}

Test(kubernetes_streams, a_terminal_shows_tiny_pieces)
{
	cr_expect_eq(show_colours("&tty=1"), PIECES);
	says(SIDE_SERVER, 1, "4111 1111 ", SIZE_MAX);
	says(SIDE_SERVER, 1, "1111 1111\r\n", SIZE_MAX);
	cr_expect(holds(&run.sent[SIDE_AGENT], "4111 1111 "));
	cr_expect(holds(&run.sent[SIDE_AGENT], "[masked]"));
}

/* Without a terminal so much of what a program writes is recorded whatever the rules say. */
Test(kubernetes_streams, what_is_recorded_has_an_end)
{
	static char block[100001];

	memset(block, 'x', sizeof(block) - 1);
	exec_by_messages("open", "", "v4.channel.k8s.io");
	for (size_t i = 0; i < 11; i++)
		says(SIDE_SERVER, 1, block, SIZE_MAX);
	says(SIDE_AGENT, 0, block, SIZE_MAX);
	cr_expect_eq(buffer_length(&run.data[DATA_OUTPUT]), 1u << 20);
	cr_expect_eq(buffer_length(&run.data[DATA_INPUT]), sizeof(block) - 1);
	cr_expect_gt(buffer_length(&run.sent[SIDE_AGENT]), 1100000);
}

/* --- over SPDY --- */

static void exec_by_spdy(const char *namespace, const char *query)
{
	char request[512];

	snprintf(request, sizeof(request),
		"POST /api/v1/namespaces/%s/pods/web/exec?command=sh%s HTTP/1.1\r\nHost: h\r\n"
		"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
		"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n",
		namespace, query);
	switch_to(request, "SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n");
}

static void sends_buffer(enum side from, struct buffer *b, size_t step)
{
	feed_in_steps(from, buffer_slice(b), step);
	buffer_done(b);
}

static void opens(uint32_t stream, const char *fields, size_t step)
{
	struct buffer b;

	buffer_init(&b, 1u << 20);
	spdy_put_headers(&writers[SIDE_AGENT], &b, SPDY_SYN_STREAM, 0, stream, fields);
	sends_buffer(SIDE_AGENT, &b, step);
	if (run.closed)
		return;
	buffer_init(&b, 1u << 20);
	spdy_put_headers(&writers[SIDE_SERVER], &b, SPDY_SYN_REPLY, 0, stream, "");
	sends_buffer(SIDE_SERVER, &b, step);
}

static void sends_data(
	enum side from, uint32_t stream, bool finishes, const char *text, size_t step)
{
	struct buffer b;

	buffer_init(&b, 1u << 24);
	spdy_append_data(&b, stream, finishes, slice_from_string(text));
	sends_buffer(from, &b, step);
}

static void resets(enum side from, uint32_t stream)
{
	struct buffer b;

	buffer_init(&b, 64);
	spdy_append_reset(&b, stream, SPDY_CANCEL);
	sends_buffer(from, &b, 1);
}

/* The content that left for a side, by stream: "5 hello|5!|", with "!" where it ends; RST "5~|". */
static const char *got_data(enum side to)
{
	static char said[8192];
	struct slice in = buffer_slice(&run.sent[to]);
	struct spdy_reader reader;
	size_t length = 0;

	spdy_reader_init(&reader);
	said[0] = '\0';
	while (in.length) {
		struct spdy_piece piece;
		size_t taken;
		int what = spdy_next(&reader, in, &taken, &piece);

		cr_assert_neq(what, SPDY_TAKEN_BAD, "%s", reader.problem);
		in = slice_from(in, taken);
		if (what == SPDY_TAKEN_DATA)
			length += (size_t)snprintf(said + length, sizeof(said) - length,
				"%u%s %.*s|", piece.stream, piece.finishes ? "!" : "",
				SLICE_PRINT(piece.body));
		else if (what == SPDY_TAKEN_CONTROL && piece.type == SPDY_RST_STREAM)
			length += (size_t)snprintf(
				said + length, sizeof(said) - length, "%u~|", piece.stream);
	}
	spdy_reader_done(&reader);
	buffer_clear(&run.sent[to]);
	return said;
}

#define GOT_DATA(to, expected)                                                                     \
	do {                                                                                       \
		const char *data_ = got_data(to);                                                  \
		cr_expect_str_eq(data_, expected, "got %s", data_);                                \
	} while (0)

static void open_all(size_t step)
{
	opens(1, "streamtype=error", step);
	opens(3, "streamtype=stdin", step);
	opens(5, "streamtype=stdout", step);
	opens(7, "streamtype=stderr", step);
	opens(9, "streamtype=resize", step);
	GOT_DATA(SIDE_AGENT, "");
	GOT_DATA(SIDE_SERVER, "");
}

Test(kubernetes_streams, channels_of_spdy)
{
	for (size_t step = 1; step < 60; step += 5) {
		restart();
		exec_by_spdy("open", "&tty=true");
		open_all(step);
		/* A client writes nothing there, and says so. */
		sends_data(SIDE_AGENT, 1, true, "", step);
		sends_data(SIDE_AGENT, 9, false,
			"{\"Width\":80,\"Height\":24}\n{\"Width\":100,\"Height\":30}\n{\"Wid",
			step);
		sends_data(SIDE_AGENT, 9, false, "th\":90,\"Height\":25}\n", step);
		buffer_clear(&run.sent[SIDE_SERVER]);
		sends_data(SIDE_AGENT, 3, false, "ls\n", SIZE_MAX);
		sends_data(SIDE_AGENT, 3, true, "", step);
		GOT_DATA(SIDE_SERVER, "3 ls\n|3! |");
		sends_data(SIDE_SERVER, 5, false, "a ann@example.com\n", SIZE_MAX);
		sends_data(SIDE_SERVER, 7, false, "warning\n", SIZE_MAX);
		sends_data(SIDE_SERVER, 1, false, SUCCESS, SIZE_MAX);
		GOT_DATA(SIDE_AGENT, "5 a ann@example.com\n|7 warning\n|1 " SUCCESS "|");
		resets(SIDE_SERVER, 5);
		resets(SIDE_SERVER, 1);
		GOT_DATA(SIDE_AGENT, "5~|1~|");
		RECORDED(DATA_INPUT, "ls\n");
		RECORDED(DATA_OUTPUT, "a ann@example.com\n");
		RECORDED(DATA_ERROR, "warning\n");
		cr_expect(holds(&run.data[DATA_WINDOW], "100x30 90x25 "));
		engine_run_end(&run, SIDE_SERVER);
		engine_run_end(&run, SIDE_AGENT);
		cr_expect(run.closed);
		cr_expect(holds(&run.events, "\"exit 0\""));
	}
}

Test(kubernetes_streams, masks_reach_across_frames_of_spdy)
{
	static const char text[] = "to ann@example.com\n4111 1111 1111 1111\nend";
	char first[sizeof(text)];

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		restart();
		exec_by_spdy("prod", "");
		open_all(SIZE_MAX);
		snprintf(first, sizeof(first), "%.*s", (int)cut, text);
		sends_data(SIDE_SERVER, 5, false, first, SIZE_MAX);
		sends_data(SIDE_SERVER, 5, cut % 2, text + cut, cut % 5 + 1);
		sends_data(SIDE_SERVER, 1, cut % 3 == 0, FAILURE, SIZE_MAX);
		if (cut % 3 == 1)
			resets(SIDE_SERVER, 1);
		if (cut % 3 == 2)
			engine_run_end(&run, SIDE_SERVER);
		RECORDED(DATA_OUTPUT, "to [masked]\n[masked]\nend");
		cr_expect_not(holds(&run.sent[SIDE_AGENT], "ann@"));
		cr_expect(holds(&run.sent[SIDE_AGENT], "for [masked]"));
		engine_run_end(&run, SIDE_SERVER);
		engine_run_end(&run, SIDE_AGENT);
		cr_expect(holds(&run.events, "\"exit 3\""));
	}
}

Test(kubernetes_streams, spdy_that_is_refused)
{
	struct buffer b;

	for (unsigned i = 0; i < 9; i++) {
		restart();
		exec_by_spdy("open", "");
		opens(5, "streamtype=stdout", SIZE_MAX);
		buffer_init(&b, 1u << 20);
		switch (i) {
		case 0:
			opens(7, "streamtype=stdout", SIZE_MAX);
			break;
		case 1:
			opens(7, "streamtype=data", SIZE_MAX);
			break;
		case 2:
			opens(6, "streamtype=stdin", SIZE_MAX);
			break;
		case 3:
			opens(3, "streamtype=stdin", SIZE_MAX);
			break;
		case 4:
			spdy_put_headers(&writers[SIDE_SERVER], &b, SPDY_SYN_STREAM, 0, 2,
				"streamtype=stdin");
			sends_buffer(SIDE_SERVER, &b, 1);
			break;
		case 5:
			sends_data(SIDE_AGENT, 7, false, "x", 1);
			break;
		case 6:
			sends_data(SIDE_AGENT, 5, false, "x", 1);
			break;
		case 7:
			sends_data(SIDE_SERVER, 5, true, "x", 1);
			sends_data(SIDE_SERVER, 5, true, "x", 1);
			break;
		default:
			spdy_put_control(&b, SPDY_HEADERS, 0, slice_of("\0\0\0\5garbage", 11));
			sends_buffer(SIDE_SERVER, &b, 1);
		}
		cr_expect(run.closed, "%u", i);
		buffer_done(&b);
	}
}

/* As the API server would word it, where kubectl reads it. */
Test(kubernetes_streams, the_end_of_a_session_is_a_status)
{
	exec_by_spdy("open", "");
	open_all(SIZE_MAX);
	engine_run_abort(&run, REASON_KILLED);
	cr_expect(holds(&run.sent[SIDE_AGENT], "\"kind\": \"Status\""));
	cr_expect(holds(&run.sent[SIDE_AGENT], "wayleave: "));
}

/* Who was reset may not have heard of it. */
Test(kubernetes_streams, data_behind_a_reset_goes_nowhere)
{
	exec_by_spdy("open", "");
	open_all(SIZE_MAX);
	resets(SIDE_AGENT, 5);
	sends_data(SIDE_SERVER, 5, false, "late", 1);
	cr_expect_not(run.closed);
	GOT_DATA(SIDE_AGENT, "");
}
