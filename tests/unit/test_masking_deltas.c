/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that events carry in pieces.
 */
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "masking/json_deltas.h"
#include "masking_deltas_test.h"

TestSuite(masking_deltas, .init = start, .fini = stop);

static void take(const char *json)
{
	struct slice text = slice_from_string(json);

	cr_assert_eq(mask_deltas_take(deltas, text, text, &out), 0);
}

static void end(void)
{
	cr_assert_eq(mask_deltas_end(deltas, &out), 0);
	cr_expect_eq(mask_deltas_held(deltas), 0);
}

/* What left since the last look. */
#define LEFT(text)                                                                                 \
	do {                                                                                       \
		cr_expect(slice_equal_string(buffer_slice(&out), text), "left: %.*s",              \
			SLICE_PRINT(buffer_slice(&out)));                                          \
		buffer_clear(&out);                                                                \
	} while (0)

Test(masking_deltas, a_value_over_several_events)
{
	take("{\"delta\":\"my mail is a\"}");
	LEFT("");
	take("{\"delta\":\"nn@ac\"}");
	take("{\"delta\":\"me.com\"}");
	LEFT("");
	take("{\"delta\":\" and yours\"}");
	LEFT("{\"delta\":\"my mail is [masked]\"}{\"delta\":\"\"}{\"delta\":\"\"}");
	take("{\"delta\":\"?\\n\"}");
	LEFT("{\"delta\":\" and yours\"}{\"delta\":\"?\\n\"}");
	end();
	LEFT("");
}

/* To the byte, and with whatever stands between. */
Test(masking_deltas, what_has_nothing_passes_as_it_came)
{
	static const char *const events[] = {
		"{\"id\":1, \"delta\" : {\"text\":\"It\\u0027s \\\"one\\\"\"}}",
		"{\"delta\":{\"text\":\"\\/two\\n\"}, \"x\":[ ]}", "{\"type\":\"ping\"}", "no json",
		"{\"delta\":{\"text\":\"\"}}", "{\"delta\":{\"text\":\"three \"}}", "[DONE]"};
	struct buffer wanted;

	buffer_init(&wanted, 1 << 16);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		take(events[i]);
		buffer_append_string(&wanted, events[i]);
	}
	end();
	cr_expect(slice_equal(buffer_slice(&out), buffer_slice(&wanted)), "%.*s",
		SLICE_PRINT(buffer_slice(&out)));
	buffer_done(&wanted);
}

/* Only a last word that could go on waits, and for no more than the next one. */
Test(masking_deltas, nothing_waits_that_need_not)
{
	take("{\"delta\":\"one two \"}");
	LEFT("{\"delta\":\"one two \"}");
	take("{\"delta\":\"three\"}");
	LEFT("");
	take("{\"delta\":\" four\"}");
	LEFT("{\"delta\":\"three\"}");
	take("{\"delta\":\"\\n\"}");
	LEFT("{\"delta\":\" four\"}{\"delta\":\"\\n\"}");
	take("{\"type\":\"ping\"}");
	LEFT("{\"type\":\"ping\"}");
	/* A language without blanks. */
	take("{\"delta\":\"\xe6\x97\xa5\xe6\x9c\xac\"}");
	LEFT("{\"delta\":\"\xe6\x97\xa5\xe6\x9c\xac\"}");
}

Test(masking_deltas, a_text_that_does_not_go_on)
{
	take("{\"delta\":\"check\"}");
	for (unsigned i = 0; i + 1 < DELTAS_WAIT_MOST; i++)
		take("{}");
	LEFT("");
	take("{}");
	LEFT("{\"delta\":\"check\"}{}{}{}{}{}{}{}{}");
	/* What it was is known all the same. */
	take("{\"delta\":\" password=hun\"}");
	for (unsigned i = 0; i < DELTAS_WAIT_MOST; i++)
		take("{}");
	take("{\"delta\":\"ter2 \"}");
	end();
	LEFT("{\"delta\":\" password=[masked]\"}{}{}{}{}{}{}{}{}{\"delta\":\"[masked] \"}");
}

/* The same place, but for what tells them apart. */
Test(masking_deltas, texts_side_by_side)
{
	take("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ann@ac\"}}]}");
	take("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"bob@ac\"}}]}");
	take("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"me.com \"}}]}");
	take("{\"choices\":[{\"delta\":{\"content\":\"me.org \"},\"index\":1}]}");
	end();
	LEFT("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"[masked]\"}}]}"
	     "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"[masked]\"}}]}"
	     "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\" \"}}]}"
	     "{\"choices\":[{\"delta\":{\"content\":\" \"},\"index\":1}]}");
	take("{\"index\":0,\"delta\":{\"text\":\"ann@ac\"}}");
	take("{\"index\":1,\"delta\":{\"text\":\"me.com \"}}");
	end();
	LEFT("{\"index\":0,\"delta\":{\"text\":\"ann@ac\"}}{\"index\":1,\"delta\":{\"text\":\"me."
	     "com \"}}");
}

/* Each with a value in two pieces, which is masked in all of them. */
Test(masking_deltas, where_texts_stand)
{
	static const char *const formats[] = {
		"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]"
		"}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"%s\"}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
		"\"arguments\":\"%s\"}}]}}]}",
		"{\"choices\":[{\"text\":\"%s\",\"index\":0}]}",
		"{\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,"
		"\"content_index\":0,\"delta\":\"%s\"}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
		"\"text\":\"%s\"}}",
		"{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_"
		"delta\",\"partial_json\":\"%s\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_"
		"delta\",\"thinking\":\"%s\"}}",
		"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s\"}],\"role\":\"model\"},"
		"\"index\":0}]}",
		"{\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{"
		"\"text\":\"%s\"}}}}",
		"{\"type\":\"text-delta\",\"id\":\"0\",\"delta\":\"%s\"}",
		"{\"model\":\"m\",\"response\":\"%s\",\"done\":false}",
		"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"done\":"
		"false}",
		"{\"content\":\"%s\",\"stop\":false}",
		"{\"token\":{\"id\":5,\"text\":\"%s\",\"special\":false}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char text[256];

		snprintf(text, sizeof(text), formats[i], "I am a");
		take(text);
		snprintf(text, sizeof(text), formats[i], "nn@acme.com.");
		take(text);
		end();
		cr_expect(memmem(buffer_slice(&out).data, buffer_length(&out), "I am [masked]", 13),
			"%s", formats[i]);
		cr_expect_not(memmem(buffer_slice(&out).data, buffer_length(&out), "acme", 4), "%s",
			formats[i]);
		buffer_clear(&out);
	}
}

/* Each of two events in full, whatever else tells them apart: they are one text's. */
static void assert_one_text(const char *first, const char *second)
{
	take(first);
	take(second);
	end();
	cr_expect(memmem(buffer_slice(&out).data, buffer_length(&out), "[masked]", 8), "%s", first);
	cr_expect_not(
		memmem(buffer_slice(&out).data, buffer_length(&out), "me.com", 6), "%s", second);
	buffer_clear(&out);
}

/* What is not the text's own may change from one piece to the next. */
Test(masking_deltas, what_tells_no_text_from_others)
{
	/* An item's name, beside its index. */
	assert_one_text("{\"item_id\":\"x\",\"output_index\":0,\"delta\":\"to ann@ac\"}",
		"{\"item_id\":\"y\",\"output_index\":0,\"delta\":\"me.com.\"}");
	/* Others' indices. */
	assert_one_text("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"to ann@ac\"}}]}",
		"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"me.com.\",\"tool_calls\":[{"
		"\"index\":3,\"function\":{\"arguments\":\"{\"}}]}}]}");
	/* Where it stands among others, as one before it has ended. */
	assert_one_text(
		"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"one\"}]},\"index\":0},{"
		"\"content\":{\"parts\":[{\"text\":\"to ann@ac\"}]},\"index\":1}]}",
		"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"me.com.\"}]},\"index\":1}]"
		"}");
}

/* Their event's index counts them. */
Test(masking_deltas, pieces_that_are_counted)
{
	static const char *const pieces[] = {" to", " ann", "@ac", "me.com", " or"};
	char text[128];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "{\"index\":%u,\"token\":{\"id\":7,\"text\":\"%s\"}}",
			i + 1, pieces[i % ARRAY_SIZE(pieces)]);
		take(text);
	}
	end();
	for (unsigned i = 0; i < 300; i++) {
		static const char *const left[] = {" to", " [masked]", "", "", " or"};

		snprintf(text, sizeof(text), "{\"index\":%u,\"token\":{\"id\":7,\"text\":\"%s\"}}",
			i + 1, left[i % ARRAY_SIZE(left)]);
		cr_assert(slice_starts_with(buffer_slice(&out), slice_from_string(text)),
			"%u: %.200s", i, buffer_slice(&out).data);
		buffer_consume(&out, strlen(text));
	}
}

/* Text is never cut within a character, nor an escape. */
Test(masking_deltas, what_stands_around_a_value)
{
	take("{\"delta\":\"\xc3\xa4\xc3\xa9\\\\ ann@ac\"}");
	take("{\"delta\":\"me.com \xc3\xa9\xc3\xa4\\\" \"}");
	end();
	LEFT("{\"delta\":\"\xc3\xa4\xc3\xa9\\\\ [masked]\"}{\"delta\":\" \xc3\xa9\xc3\xa4\\\" \"}");
	take("{\"delta\":\"{\\\"mail\\\": \\\"ann@ac\"}");
	take("{\"delta\":\"me.com\\\", \\\"n\\\": 1}\\u001f\\n\"}");
	end();
	LEFT("{\"delta\":\"{\\\"mail\\\": \\\"[masked]\"}{\"delta\":\"\\\", \\\"n\\\": "
	     "1}\\u001f\\u000a\"}");
}

/* What events repeat, and what is no event of a stream, is not waited for. */
Test(masking_deltas, what_is_no_text)
{
	static const char *const events[] = {
		"{\"delta\":{\"type\":\"text_delta\",\"role\":\"assistant\"}}",
		"{\"message\":{\"content\":\"a\"}}", "{\"response\":\"a\",\"done\":true}",
		"{\"text\":\"a\"}", "[\"delta\",\"a\"]", "{\"delta\":[\"a\"]}", "{\"delta\":1}",
		"{\"delta\":\"\"}", "{\"delta\":\"a\"", "{\"delta\":\"a\"}}",
		"{\"d\\u0065lta\":\"a\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		take(events[i]);
		LEFT(events[i]);
	}
}

/* Whatever comes, no more is kept back than limits say. */
Test(masking_deltas, a_word_without_end)
{
	size_t most = 0;

	for (unsigned i = 0; i < 20000; i++) {
		take("{\"delta\":\"abcdefghij\"}");
		most = mask_deltas_held(deltas) > most ? mask_deltas_held(deltas) : most;
	}
	cr_expect_leq(most, DELTAS_HELD_MOST + (64u << 10)); /* and the text's own */
	end();
	cr_expect_eq(buffer_length(&out), 20000 * strlen("{\"delta\":\"abcdefghij\"}"));
}

/* An event whose 16 pieces are `one`, and then the other 15 times. */
static const char *sixteen(const char *one, const char *others)
{
	static char text[1024];
	char *to = text + sprintf(text, "{\"delta\":{\"text\":\"%s\"", one);

	for (unsigned i = 1; i < 16; i++)
		to += sprintf(to, ",\"%s\":\"%s\"", one == others ? "text" : "content", others);
	strcpy(to, "}}");
	return text;
}

/* Bytes of memory, without what left; AddressSanitizer's allocator says none. */
static size_t memory_used(void)
{
	size_t used = mallinfo2().uordblks;

	return used > out.capacity ? used - out.capacity : 0;
}

/* Pieces need much more memory than bytes. */
Test(masking_deltas, memory_of_what_waits)
{
	static const char *const words[] = {"a", "\\u0061", "\xc3\xa4"};

	for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
		size_t before = memory_used(), most = 0, used = 0;

		for (unsigned i = 0; i < 3000; i++) {
			size_t now, held;

			take(sixteen(words[w], words[w]));
			buffer_clear(&out);
			now = memory_used();
			now = now > before ? now - before : 0;
			held = mask_deltas_held(deltas);
			used = now > used ? now : used;
			most = held > most ? held : most;
			/* And the allocator's own: what was freed and is kept counts as used. */
			cr_assert_leq(now, held + held / 4 + (64u << 10), "%zu of %zu", now, held);
		}
		cr_expect_leq(most, DELTAS_HELD_MOST + (64u << 10));
		cr_expect_leq(used, 1u << 20, "%zu", used);
		end();
		buffer_clear(&out);
	}
}

static double seconds_of(const char *event)
{
	clock_t begin = clock();

	for (unsigned i = 0; i < 3000; i++) {
		take(event);
		buffer_clear(&out);
	}
	end();
	buffer_clear(&out);
	return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

/* A piece costs the same however many others wait. */
Test(masking_deltas, time_of_what_waits)
{
	double passing = seconds_of(sixteen("a\\n", "b\\n"));
	double waiting = seconds_of(sixteen("a", "b\\n"));

	cr_expect_lt(waiting, 5 * passing, "%f of %f s", waiting, passing);
}

/* Every text has each of the pieces, one after the other. */
static void take_turns(unsigned texts, const char *const *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (unsigned t = 0; t < texts; t++) {
			char text[128];

			snprintf(text, sizeof(text),
				"{\"choices\":[{\"index\":%u,\"delta\":{\"content\":\"%s\"}}]}", t,
				pieces[i]);
			take(text);
		}
	}
}

/* What stands in all texts that left, without their events. */
static const char *texts_that_left(void)
{
	static char texts[1u << 20];
	struct slice rest = buffer_slice(&out), name = slice_from_string("\"content\":\"");
	size_t length = 0;

	for (;;) {
		const uint8_t *at = memmem(rest.data, rest.length, name.data, name.length);
		size_t n;

		if (!at)
			break;
		rest = slice_from(rest, (size_t)(at - rest.data) + name.length);
		n = (size_t)((const uint8_t *)memchr(rest.data, '"', rest.length) - rest.data);
		cr_assert_lt(length + n, sizeof(texts));
		memcpy(texts + length, rest.data, n);
		length += n;
	}
	texts[length] = 0;
	buffer_clear(&out);
	return texts;
}

#define HAS_NONE_OF(text, characters)                                                              \
	cr_expect_null(strpbrk(text, characters), "left: %.64s", strpbrk(text, characters))

/* How many is what an agent asks for. */
Test(masking_deltas, texts_that_take_turns)
{
	static const char *const card[] = {
		"so ", "41", "11", " ", "11", "11", " 1", "11", "1", " ", "11", "11", " ", "yes "};
	static const char *const mail[] = {"so ", "q", "z", "@", "zq", "q", ".c", "om", " yes "};
	static const unsigned counts[] = {2, 9, 16, 17, 64, DELTAS_TEXTS_MOST};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		const char *left;

		take_turns(counts[i], card, ARRAY_SIZE(card));
		end();
		left = texts_that_left();
		HAS_NONE_OF(left, "0123456789");
		cr_expect(strstr(left, "so ") && strstr(left, "yes "), "%u: %s", counts[i], left);
		take_turns(counts[i], mail, ARRAY_SIZE(mail));
		end();
		left = texts_that_left();
		HAS_NONE_OF(left, "qz@");
	}
}

/* Where more would wait than may: what is no value passes on as soon as that is known. */
Test(masking_deltas, long_words_that_take_turns)
{
	const char *word[41];
	const char *left;

	for (size_t i = 0; i < 40; i++)
		word[i] = i % 2 ? "q" : "z.";
	word[40] = "@acme.com ";
	take_turns(DELTAS_TEXTS_MOST, word, ARRAY_SIZE(word));
	end();
	left = texts_that_left();
	HAS_NONE_OF(left, "qz@");
	word[40] = " and so on ";
	take_turns(2, word, ARRAY_SIZE(word));
	end();
	left = texts_that_left();
	cr_expect_not(strstr(left, "[masked]"), "%s", left);
}

/* Those that find no room leave masked, as do all later ones. */
Test(masking_deltas, more_texts_than_are_read_at_once)
{
	static const char *const pieces[] = {"so ", "q", "z", "@", "zq", "q", ".c", "om", " yes "};
	const char *left;

	take_turns(3 * DELTAS_TEXTS_MOST, pieces, ARRAY_SIZE(pieces));
	cr_expect_leq(mask_deltas_held(deltas), DELTAS_HELD_MOST + DELTAS_TEXTS_MOST * 1024);
	for (unsigned i = 0; i < 2 * DELTAS_EVENTS_MOST; i++)
		take("{}");
	buffer_clear(&out);
	take("{\"delta\":\"nothing \"}");
	LEFT("{\"delta\":\"[masked]\"}");
	end();
	take_turns(3 * DELTAS_TEXTS_MOST, pieces, ARRAY_SIZE(pieces));
	end();
	left = texts_that_left();
	HAS_NONE_OF(left, "qz@");
	cr_expect(strstr(left, "so "));
}

/* One after the other they may be many. */
Test(masking_deltas, texts_that_follow_one_another)
{
	for (unsigned t = 0; t < 3 * DELTAS_TEXTS_MOST; t++) {
		for (unsigned i = 0; i < 10; i++) {
			char text[64];

			snprintf(text, sizeof(text), "{\"index\":%u,\"delta\":\"word\"}", t);
			take(text);
		}
	}
	end();
	cr_expect_not(memmem(buffer_slice(&out).data, buffer_length(&out), "[masked]", 8));
}

/* The last word of one is not waited for without end, where only others go on. */
Test(masking_deltas, a_text_that_others_follow)
{
	take("{\"index\":0,\"delta\":\"check\"}");
	for (unsigned i = 0; i + 1 < 2 * DELTAS_WAIT_MOST; i++)
		take("{\"index\":1,\"delta\":\"all\\n\"}");
	LEFT("");
	take("{\"index\":1,\"delta\":\"all\\n\"}");
	cr_expect_neq(buffer_length(&out), 0);
	end();
}

Test(masking_deltas, a_long_piece)
{
	static char text[(1u << 20) + 32];
	size_t length = (size_t)snprintf(text, sizeof(text), "{\"delta\":\"");

	memset(text + length, 'a', 1u << 20);
	memcpy(text + length + (1u << 20), "\"}", 3);
	take(text);
	LEFT(text);
}

/* A key, four bytes at a time. */
Test(masking_deltas, a_key_in_tokens)
{
	struct buffer key;

	buffer_init(&key, 1 << 16);
	buffer_append_string(&key, "Here it is:\n-----BEGIN PRIVATE KEY-----\n");
	for (unsigned i = 0; i < 24; i++)
		buffer_append_string(
			&key, "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n");
	buffer_append_string(&key, "-----END PRIVATE KEY-----\nKeep it. ");
	for (size_t i = 0; i < buffer_length(&key); i += 4) {
		struct slice part = slice_head(slice_from(buffer_slice(&key), i), 4);
		char text[64], *to = text + sprintf(text, "{\"delta\":\"");

		for (size_t j = 0; j < part.length; j++)
			to += sprintf(to, part.data[j] == '\n' ? "\\n" : "%c", part.data[j]);
		strcpy(to, "\"}");
		take(text);
	}
	end();
	cr_expect_not(memmem(buffer_slice(&out).data, buffer_length(&out), "MIGH", 4));
	cr_expect_not(memmem(buffer_slice(&out).data, buffer_length(&out), "\"hb2", 4));
	cr_expect(memmem(buffer_slice(&out).data, buffer_length(&out), "[masked]", 8));
	buffer_done(&key);
}
