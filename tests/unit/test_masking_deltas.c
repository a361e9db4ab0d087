/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that events carry in pieces.
 */
#include "masking/deltas.h"

#include <stdio.h>

#include "masking/json_deltas.h"
#include "masking_test.h"

static struct mask_deltas *deltas;
static struct buffer out;

static void start(void)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	deltas = mask_deltas_new(&m);
	buffer_init(&out, 64u << 20);
}

static void stop(void)
{
	mask_deltas_free(deltas);
	buffer_done(&out);
}

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
	cr_expect_leq(most, DELTAS_EVENTS_MOST * strlen("{\"delta\":\"abcdefghij\"}"));
	end();
	cr_expect_eq(buffer_length(&out), 20000 * strlen("{\"delta\":\"abcdefghij\"}"));
}

Test(masking_deltas, more_texts_than_are_read_at_once)
{
	for (unsigned i = 0; i < 3 * DELTAS_TEXTS_MOST; i++) {
		char text[64];

		snprintf(text, sizeof(text), "{\"index\":%u,\"delta\":\"a\"}", i);
		take(text);
	}
	cr_expect_leq(mask_deltas_held(deltas),
		DELTAS_WAIT_MOST * strlen("{\"index\":99,\"delta\":\"a\"}"));
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
