/* SPDX-License-Identifier: Apache-2.0
 *
 * json_speed: megabytes per second and core of JSON that comes as the content of a response: of
 * documents of several kinds, by paths, by all detectors, and by both. Prints one line per
 * measurement: document and rules, method, MB/s. Exits with 1 where one by paths and all detectors
 * misses the goal.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "protocol/http/mask.h"
#include "tests/tools/speed.h"

#define BYTES (8u << 20)
#define PIECE 65536
#define ROUNDS 5
#define GOAL 250 /* MB/s */
#define PATH "$.customers[*].ssn"

static unsigned below(unsigned limit)
{
	return (unsigned)(speed_random() % limit);
}

static void add_string(struct buffer *out, const char *name, unsigned words)
{
	buffer_append_format(out, ",\"%s\":\"", name);
	speed_add_words(out, words);
	buffer_append_byte(out, '"');
}

static void add_ssn(struct buffer *out)
{
	buffer_append_format(out, ",\"ssn\":\"%03u-%02u-%04u\"", below(899) + 100, below(98) + 1,
		below(9998) + 1);
}

/* As a list of customers by an API. */
static void add_customer(struct buffer *out, unsigned id)
{
	buffer_append_format(out, "{\"id\":%u", id);
	add_string(out, "name", 2);
	add_ssn(out);
	buffer_append_format(out, ",\"created\":\"2024-%02u-%02uT12:34:%02uZ\"", below(12) + 1,
		below(28) + 1, below(60));
	buffer_append_format(
		out, ",\"amount\":%u.%02u,\"active\":true,\"tags\":[\"", below(10000), below(100));
	speed_add_words(out, 1);
	buffer_append_string(out, "\",\"new\"],\"address\":{\"street\":\"");
	speed_add_words(out, 3);
	buffer_append_string(out, "\",\"country\":\"DE\"}");
	add_string(out, "note", 12);
}

static void add_plain(struct buffer *out, unsigned id)
{
	add_customer(out, id);
	buffer_append_byte(out, '}');
}

static void add_with_email(struct buffer *out, unsigned id)
{
	add_customer(out, id);
	buffer_append_format(out, ",\"contact\":\"user%u@example.com\"}", id);
}

static void add_long_strings(struct buffer *out, unsigned id)
{
	buffer_append_format(out, "{\"id\":%u", id);
	add_ssn(out);
	add_string(out, "text", 400);
	buffer_append_byte(out, '}');
}

static void add_numbers(struct buffer *out, unsigned id)
{
	buffer_append_format(out, "{\"id\":%u", id);
	add_ssn(out);
	buffer_append_string(out, ",\"at\":[");
	for (unsigned i = 0; i < 40; i++)
		buffer_append_format(
			out, "%s%d.%04u", i ? "," : "", (int)below(2000) - 1000, below(10000));
	buffer_append_format(out, "],\"count\":%u,\"time\":%u}", below(100000), 1700000000 + id);
}

/* Indented, as people and kubectl write it. */
static void add_nested(struct buffer *out, unsigned id)
{
	buffer_append_format(out,
		"\n    {\n      \"id\": %u,\n      \"spec\": {\n        \"template\": {\n"
		"          \"containers\": [\n            {\n              \"name\": \"",
		id);
	speed_add_words(out, 1);
	buffer_append_format(out,
		"\",\n              \"ports\": [\n                {\n                  \"port\": "
		"%u\n"
		"                }\n              ],\n              \"env\": {\n"
		"                \"MODE\": \"",
		below(65536));
	speed_add_words(out, 1);
	buffer_append_string(
		out, "\"\n              }\n            }\n          ]\n        }\n      }");
	add_ssn(out);
	buffer_append_string(out, "\n    }");
}

/* Texts of several lines with quotes in them. */
static void add_escapes(struct buffer *out, unsigned id)
{
	buffer_append_format(out, "{\"id\":%u", id);
	add_ssn(out);
	buffer_append_string(out, ",\"body\":\"");
	for (unsigned i = 0; i < 4; i++) {
		speed_add_words(out, 8);
		buffer_append_string(out, "\\n\\t\\\"");
		speed_add_words(out, 2);
		buffer_append_string(out, "\\\" \\u00e9t\\u00e9\\r\\n");
	}
	buffer_append_string(out, "\"}");
}

/* Links and markup as some libraries write them: only what they mean tells what is in there. */
static void add_disguised(struct buffer *out, unsigned id)
{
	buffer_append_format(out, "{\"id\":%u", id);
	add_ssn(out);
	buffer_append_string(out, ",\"link\":\"https:\\/\\/example.com\\/");
	speed_add_words(out, 3);
	buffer_append_string(out, "\\/\",\"html\":\"\\u003cp\\u003e");
	speed_add_words(out, 10);
	buffer_append_string(out, " \\u0026amp; more\\u003c/p\\u003e\"}");
}

static const struct {
	const char *name;
	void (*add)(struct buffer *out, unsigned id);
} documents[] = {
	{"customers", add_plain},
	{"with e-mails", add_with_email},
	{"long strings", add_long_strings},
	{"numbers", add_numbers},
	{"nested", add_nested},
	{"escapes", add_escapes},
	{"escaped slashes", add_disguised},
};

static void make(struct buffer *out, void (*add_one)(struct buffer *out, unsigned id))
{
	buffer_clear(out);
	buffer_append_string(out, "{\"customers\":[");
	for (unsigned id = 1; buffer_length(out) < BYTES; id++) {
		if (id > 1)
			buffer_append_byte(out, ',');
		add_one(out, id);
	}
	buffer_append_string(out, "]}");
}

/* One response, which comes in pieces. */
static void respond(struct http_mask *mask, struct slice text, struct buffer *out)
{
	buffer_clear(out);
	http_mask_begin(mask, slice_from_string("application/json"));
	for (size_t at = 0; at < text.length; at += PIECE) {
		int r = http_mask_pass(mask, slice_head(slice_from(text, at), PIECE),
			at + PIECE >= text.length, out);

		if (r < 0) {
			fprintf(stderr, "json_speed: error %d\n", r);
			exit(1);
		}
	}
}

/* The best of some rounds; others may share the processor. */
static uint64_t best_of_rounds(struct http_mask *mask, struct slice text, struct buffer *out)
{
	uint64_t best = UINT64_MAX;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began = clock_read(CLOCK_THREAD_CPUTIME_ID), took;

		respond(mask, text, out);
		took = clock_read(CLOCK_THREAD_CPUTIME_ID) - began;
		best = took < best ? took : best;
	}
	return best;
}

/* Returns MB/s. */
static unsigned measure(const char *name, bool with_path, bool with_detectors, struct slice text,
	struct detector_engine *engine, struct mask_hasher *hasher)
{
	const struct mask_json path = {slice_from_string(PATH), MASK_REDACT};
	struct mask_rules rules = {.json = &path, .json_count = with_path};
	struct http_mask mask;
	struct buffer out;
	uint64_t took;
	char line[64];

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = with_detectors ? MASK_PARTIAL : MASK_NONE;
	snprintf(line, sizeof(line), "%s, %s", name,
		!with_path               ? "detectors"
			: with_detectors ? "both"
					 : "path");
	buffer_init(&out, 4 * BYTES);
	http_mask_init(&mask);
	if (http_mask_bind(&mask, engine, hasher, &rules) < 0)
		abort();
	took = best_of_rounds(&mask, text, &out);
	speed_report(line, detector_engine_method(engine), text.length, took);
	http_mask_done(&mask);
	buffer_done(&out);
	return (unsigned)(text.length * 1000 / took);
}

/* With names of documents, those alone. */
static bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return true;
	}
	return argc == 1;
}

int main(int argc, char **argv)
{
	static const uint8_t key[MASK_KEY_BYTES] = {1};
	struct error e;
	struct detector_engine *engine = detector_engine_new(&e);
	struct mask_hasher *hasher = mask_hasher_new(key);
	unsigned slowest = UINT_MAX;
	struct buffer text;

	if (!engine || !hasher) {
		fprintf(stderr, "json_speed: %s\n", engine ? "no SHA-256" : e.text);
		return 1;
	}
	buffer_init(&text, 2 * BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		unsigned both;

		if (!is_wanted(documents[i].name, argc, argv))
			continue;
		make(&text, documents[i].add);
		measure(documents[i].name, true, false, buffer_slice(&text), engine, hasher);
		measure(documents[i].name, false, true, buffer_slice(&text), engine, hasher);
		both = measure(documents[i].name, true, true, buffer_slice(&text), engine, hasher);
		slowest = both < slowest ? both : slowest;
	}
	printf("JSON by path and all detectors: %u MB/s at least, goal at least %u: %s\n", slowest,
		GOAL, slowest >= GOAL ? "met" : "MISSED");
	buffer_done(&text);
	mask_hasher_free(hasher);
	detector_engine_free(engine);
	return slowest < GOAL;
}
