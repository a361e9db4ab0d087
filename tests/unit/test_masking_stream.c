/* SPDX-License-Identifier: Apache-2.0
 *
 * Text that comes in pieces.
 */
#include "masking/stream.h"

#include "masking/terminal_text.h"
#include "masking_test.h"

#define CARD "4111 1111 1111 1111"
#define KEY                                                                                        \
	"-----BEGIN PRIVATE KEY-----\n"                                                            \
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n"                       \
	"OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n"                       \
	"-----END PRIVATE KEY-----"

static struct mask_stream stream;
static struct buffer out;

static void start(unsigned detectors, enum mask_strategy strategy)
{
	struct masker m = test_masker(detectors, strategy);
	struct mask_rules rules = {.detects = true};

	memcpy(rules.detectors, m.strategies, sizeof(rules.detectors));
	mask_stream_init(&stream, m.engine, m.hasher, &rules);
	buffer_init(&out, 64u << 20);
}

static void stop(void)
{
	mask_stream_done(&stream);
	buffer_done(&out);
}

static void give(struct slice bytes, bool all)
{
	cr_assert_eq(mask_stream_pass(&stream, bytes, all, &out), 0);
}

static void give_text(const char *text)
{
	give(slice_from_string(text), false);
}

static void end(void)
{
	give(SLICE_EMPTY, true);
	cr_expect_eq(mask_stream_kept(&stream), 0);
}

static void expect(const char *wanted)
{
	cr_expect(slice_equal_string(buffer_slice(&out), wanted), "wanted %s, got %.*s", wanted,
		SLICE_PRINT(buffer_slice(&out)));
}

/* However it is cut in two, and in single bytes, with nothing released before its end. */
static void expect_always(const char *text, const char *wanted)
{
	struct slice all = slice_from_string(text);

	for (size_t cut = 0; cut <= all.length; cut++) {
		start(ALL_DETECTORS, MASK_REDACT);
		give(slice_head(all, cut), false);
		give(slice_from(all, cut), false);
		end();
		expect(wanted);
		stop();
	}
	start(ALL_DETECTORS, MASK_REDACT);
	for (size_t i = 0; i < all.length; i++)
		give(slice_of(all.data + i, 1), false);
	end();
	expect(wanted);
	stop();
}

Test(masking_stream, a_cut_hides_nothing)
{
	expect_always("a " CARD " b\n", "a [masked] b\n");
	expect_always("cards: " CARD, "cards: [masked]");
	expect_always("to x.y@example.com, now\r\n", "to [masked], now\r\n");
	expect_always("password=hunter22 and on\n", "password=[masked] and on\n");
	expect_always("token = \"a b c d e\"\n", "token = \"[masked]\"\n");
	expect_always("<password>a b c d</password>\n", "<password>[masked]</password>\n");
	expect_always("call +1 (212) 555-0123 today\n", "call [masked] today\n");
	expect_always("GB82 WEST 1234 5698 7654 32\n", "[masked]\n");
	expect_always("postgres://u:secret99@db/x\n", "postgres://u:[masked]@db/x\n");
	expect_always(KEY "\n$ ", "[masked]\n$ ");
	expect_always("nothing to see\nat all", "nothing to see\nat all");
	expect_always("", "");
}

Test(masking_stream, colours_hide_nothing)
{
	expect_always("n: 4111\033[01;31m\033[K1111\033[m\033[K11111111.\n",
		"n: [masked]\033[01;31m\033[K\033[m\033[K.\n");
	expect_always("\033[1m" CARD "\033[0m\n", "\033[1m[masked]\033[0m\n");
	expect_always("x.y\033[31m@\033[0mexample.com\n", "[masked]\033[31m\033[0m\n");
	expect_always("\033(B4111\033[0;1m111111111111\n", "\033(B[masked]\033[0;1m\n");
	/* As manuals make letters bold, and as a shell corrects itself. */
	expect_always("4\b41\b11\b11\b1111111111111\n", "[masked]\n");
	expect_always("4111x\b111111111111\n", "[masked]\n");
	/* Shifts to other letters and back, with which some terminals end a colour, and bells. */
	expect_always("4111 1111 \033[m\0171111 1111\n", "[masked]\033[m\017\n");
	expect_always("4111 \0161111 \0171111 1111.\n", "[masked]\016\017.\n");
	expect_always("a \007x.y@exa\007mple.com b\n", "a \007[masked]\007 b\n");
	expect_always("ls \033[m\017", "ls \033[m\017");
	/* What ends records, and titles, ends what stands in them. */
	expect_always(
		"4111111111111111\033]0;5\0075500000000000004\n", "[masked]\033]0;5\007[masked]\n");
	expect_always("\033]0;\0164111111111111111\0075500\n", "\033]0;\016[masked]\0075500\n");
	/* In a title, which others read. */
	expect_always("\033]0;x.y@example.com\007$ ", "\033]0;[masked]\007$ ");
}

Test(masking_stream, what_moves_the_cursor_is_no_part_of_a_word)
{
	expect_always("4111\033[5;1H111111111111\n", "4111\033[5;1H111111111111\n");
	expect_always("4111\033[C1111\033[C1111\033[C1111\n", "[masked]\033[C\033[C\033[C\n");
}

Test(masking_stream, any_bytes_pass)
{
	uint8_t bytes[1024];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	start(ALL_DETECTORS, MASK_REDACT);
	for (size_t i = 0; i < sizeof(bytes); i += 8)
		give(slice_of(bytes + i, 8), false);
	end();
	cr_expect(slice_equal(buffer_slice(&out), slice_of(bytes, sizeof(bytes))));
	stop();
	expect_always("\033", "\033");
	expect_always("\033[1;", "\033[1;");
	expect_always("\033[\033[\033\033]\033", "\033[\033[\033\033]\033");
	expect_always("grüße 日本 \xff\xfe\x80\n", "grüße 日本 \xff\xfe\x80\n");
}

/* As in the environment of a process. */
Test(masking_stream, a_nul_ends_a_value)
{
	static const uint8_t records[] = "A=4111111111111111\0"
					 "5500000000000004\0B=x.y@b.com\0C=1";

	start(ALL_DETECTORS, MASK_REDACT);
	give(slice_of(records, sizeof(records)), false);
	end();
	cr_expect(slice_equal(
		buffer_slice(&out), slice_of("A=[masked]\0[masked]\0B=[masked]\0C=1", 35)));
	stop();
}

static void expect_kept(const char *text, size_t kept)
{
	start(ALL_DETECTORS, MASK_REDACT);
	give_text(text);
	cr_expect_eq(mask_stream_kept(&stream), kept, "%s: %zu", text, mask_stream_kept(&stream));
	stop();
}

/* An archive, an image: what passes is what came, but for what is text in it. */
Test(masking_stream, chance_makes_no_address)
{
	static const char address[] = "\0ann@example.com\0",
			  within[] = "\1was written to a@b.co today\1";
	static uint8_t bytes[1u << 20];
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(state >> 24);
	}
	start(ALL_DETECTORS, MASK_REDACT);
	for (size_t at = 0; at < sizeof(bytes); at += 8192)
		give(slice_of(bytes + at, 8192), false);
	end();
	cr_expect(slice_equal(buffer_slice(&out), slice_of(bytes, sizeof(bytes))));
	buffer_clear(&out);
	give(slice_of(address, sizeof(address) - 1), false);
	give(slice_of(within, sizeof(within) - 1), false);
	give(slice_of("\1a@b.co\1", 8), false);
	end();
	cr_expect(slice_equal(buffer_slice(&out),
		slice_of("\0[masked]\0\1was written to [masked] today\1\1a@b.co\1", 49)));
	stop();
}

Test(masking_stream, only_what_may_become_one_is_kept)
{
	expect_kept("one line\n", 0);
	expect_kept("user:/root# ", 0);
	expect_kept("Password: ", 0);
	expect_kept("loading 45% ", 0);
	expect_kept("a word", 4);
	expect_kept("a\nword", 4);
	expect_kept("is 4111 1111 11", 12);
	expect_kept("is 4111 1111 ", 10);
	expect_kept("red \033[31", 4);
	expect_kept("root# \033[m\017", 0);
	expect_kept("c82b5c7c1f6f1a5f8c0e7a6b1b6a5c7d\n", 0);
	expect_kept("TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFk\n", 57);
}

/* What was kept was shown when it had waited, and then the rest came. */
Test(masking_stream, the_rest_of_what_was_shown_is_masked)
{
	start(ALL_DETECTORS, MASK_PARTIAL);
	give_text("it is 4111 1111 ");
	end();
	expect("it is 4111 1111 ");
	give_text("1111 1111\n");
	expect("it is 4111 1111 [masked]\n");
	give_text("5500-0000-0000-0004\n");
	expect("it is 4111 1111 [masked]\n***************0004\n");
	stop();
}

Test(masking_stream, a_key_without_its_end_takes_no_more_than_its_lines)
{
	start(ALL_DETECTORS, MASK_REDACT);
	give(slice_head(slice_from_string(KEY), sizeof(KEY) - 30), false);
	cr_expect_eq(buffer_length(&out), 0);
	give_text("\nroot@box:~# ");
	expect("[masked]\nroot@box:~# ");
	give_text("cat c\r\n" CARD "\r\n");
	expect("[masked]\nroot@box:~# cat c\r\n[masked]\r\n");
	end();
	stop();
	start(ALL_DETECTORS, MASK_REDACT);
	give_text("password=\"un closed\nand some more\n" CARD "\n");
	end();
	expect("password=\"[masked]\nand some more\n[masked]\n");
	stop();
}

/* Many begin, none ends: what is searched again and again is bounded. */
Test(masking_stream, what_never_ends_is_masked_rather_than_searched)
{
	struct slice begin = slice_from_string("-----BEGIN PRIVATE KEY-----\n! \n");

	start(ALL_DETECTORS, MASK_REDACT);
	for (size_t i = 0; i < 2000; i++)
		give(begin, false);
	end();
	cr_expect(buffer_length(&out) < 2000 * begin.length);
	cr_expect_null(memmem(buffer_slice(&out).data, buffer_length(&out), "BEGIN", 5));
	stop();
}

Test(masking_stream, a_long_line_passes_and_is_masked)
{
	size_t length = 300000;
	char *line = memory_new(length + 64);

	memset(line, 'x', length);
	for (size_t i = 80; i < length; i += 80)
		line[i] = ',';
	memcpy(line + length, "," CARD "\n", sizeof(CARD) + 2);
	start(1u << DETECTOR_CREDIT_CARD, MASK_REDACT);
	for (size_t i = 0; i < length; i += 30000) {
		give(slice_of(line + i, 30000), false);
		cr_assert_leq(mask_stream_kept(&stream), MASK_STREAM_KEPT_MOST);
	}
	give_text(line + length);
	end();
	cr_expect_eq(buffer_length(&out), length + 1 + sizeof("[masked]"));
	cr_expect(memcmp(buffer_slice(&out).data, line, length) == 0);
	stop();
	free(line);
}

static void give_often(const char *piece, size_t times)
{
	for (size_t i = 0; i < times; i++)
		give_text(piece);
}

/* As what turns while one waits, or colours nothing, for as long as it likes. */
Test(masking_stream, what_is_no_text_is_neither_kept_nor_searched_for_ever)
{
	static const struct {
		const char *piece;
		size_t length;
	} rows[] = {{"|\b/\b-\b", 6}, {"a\b", 2}, {"\033[m", 3}, {"a\033[31m\b", 7}, {"\b", 1},
		{"", 0}};
	size_t most = 2 * MASK_STREAM_INPUT_KEPT_MOST + 4096, length;
	struct buffer piece;

	for (size_t i = 0; rows[i].length; i++) {
		start(ALL_DETECTORS, MASK_REDACT);
		buffer_init(&piece, 8192);
		while (buffer_length(&piece) < 4096)
			buffer_append(&piece, rows[i].piece, rows[i].length);
		length = buffer_length(&piece);
		for (size_t n = 0; n < 400; n++) {
			give(buffer_slice(&piece), n % 64 == 0);
			cr_assert_leq(buffer_length(&stream.held), most, "%zu", i);
		}
		end();
		cr_expect_eq(buffer_length(&out), 400 * length);
		buffer_done(&piece);
		stop();
	}
}

Test(masking_stream, what_is_no_text_hides_nothing)
{
	start(ALL_DETECTORS, MASK_REDACT);
	give_text("n 4111 1111 ");
	give_often("\033[1m\033[m", 1000);
	give_text("1111 1111\n");
	end();
	cr_expect(slice_starts_with(buffer_slice(&out), slice_from_string("n [masked]\033[1m")));
	cr_expect_null(memmem(buffer_slice(&out).data, buffer_length(&out), "1111", 4));
	stop();
	/* However much of it was shown. */
	start(ALL_DETECTORS, MASK_REDACT);
	give_text("password=\"");
	give_often("x\033[1m", 4000);
	give(SLICE_EMPTY, true);
	give_often("x\033[1m", 8000);
	give(SLICE_EMPTY, true);
	give_text("y");
	cr_expect_eq(mask_stream_kept(&stream), 1);
	stop();
}

Test(masking_stream, what_was_shown_is_read_on)
{
	start(ALL_DETECTORS, MASK_REDACT);
	cr_assert_eq(mask_stream_show(&stream, slice_from_string("4111 1111 ")), 0);
	give_text("1111 1111\n");
	expect("[masked]\n");
	for (size_t i = 0; i < 100000; i++)
		cr_assert_eq(mask_stream_show(&stream, slice_from_string("k")), 0);
	cr_expect_leq(buffer_length(&stream.held), 2 * MASK_STREAM_KEPT_MOST);
	stop();
}

Test(masking_terminal_text, each_byte_has_its_place)
{
	struct terminal_text t;

	cr_assert_eq(terminal_text_init(&t, slice_from_string("a\033[1mb\303\244\bc\033[")), 0);
	cr_expect(slice_equal_string(t.text, "abc"), "%.*s", SLICE_PRINT(t.text));
	cr_expect_eq(t.whole, 10);
	cr_expect_eq(terminal_text_place(&t, 1), 1);
	cr_expect_eq(terminal_text_place(&t, 2), 6);
	cr_expect_eq(terminal_text_place(&t, 3), 10);
	cr_expect_eq(terminal_text_count(&t, 5), 1);
	cr_expect_eq(terminal_text_count(&t, 6), 2);
	cr_expect_eq(terminal_text_count(&t, 12), 3);
	terminal_text_done(&t);
}
