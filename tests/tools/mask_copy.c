/* SPDX-License-Identifier: Apache-2.0
 *
 * mask_copy: masks COPY data from standard input to standard output, for tests that give it a real
 * server's data and give back what comes out.
 *
 *   mask_copy [OPTION=VALUE…] COLUMN…
 *
 * format=text|csv|binary delimiter=C quote=C escape=C null=TEXT header=1 piece=BYTES
 * detect=STRATEGY (all detectors). A column is OID[:MODIFIER[:STRATEGY[:OID/STRATEGY+…]]], the last
 * for the fields of a composite. Exit status: 0, 1 refused, 2 usage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "protocol/postgres/copy_stream.h"

#define INPUT_MOST (256u << 20)

struct job {
	struct copy_sink sink;
	struct sql_copy options;
	struct mask_rules rules;
	struct value_column columns[256];
	size_t count;
	size_t piece;
};

static int put_row(struct copy_sink *sink, struct slice body)
{
	(void)sink;
	return fwrite(body.data, 1, body.length, stdout) == body.length ? 0 : -EIO;
}

static enum mask_strategy strategy_of(const char *name)
{
	enum mask_strategy strategy = mask_strategy_from_name(slice_from_string(name));

	return strategy == MASK_STRATEGY_COUNT ? MASK_NONE : strategy;
}

static void set_option(struct job *job, const char *name, const char *value)
{
	struct sql_copy *o = &job->options;

	if (strcmp(name, "format") == 0)
		o->format = strcmp(value, "csv") == 0  ? SQL_COPY_CSV
			: strcmp(value, "binary") == 0 ? SQL_COPY_BINARY
						       : SQL_COPY_TEXT;
	else if (strcmp(name, "delimiter") == 0)
		o->delimiter = (uint8_t)value[0];
	else if (strcmp(name, "quote") == 0)
		o->quote = (uint8_t)value[0];
	else if (strcmp(name, "escape") == 0)
		o->escape = (uint8_t)value[0];
	else if (strcmp(name, "null") == 0)
		o->null_text = slice_from_string(value);
	else if (strcmp(name, "header") == 0)
		o->header = value[0] == '1';
	else if (strcmp(name, "piece") == 0)
		job->piece = strtoul(value, NULL, 10);
	else if (strcmp(name, "detect") == 0)
		for (unsigned i = 0; i < DETECTOR_COUNT; i++)
			job->rules.detectors[i] = strategy_of(value);
}

/* OID/STRATEGY+OID/STRATEGY */
static void set_fields(struct value_column *column, char *text)
{
	struct value_field *fields = memory_new_array(64, sizeof(*fields));

	for (char *rest = text, *field; (field = strsep(&rest, "+")) && column->field_count < 64;) {
		char *strategy = field, *oid = strsep(&strategy, "/");
		struct value_field *f = &fields[column->field_count++];

		f->type = (struct value_type){(uint32_t)strtoul(oid, NULL, 10), -1, false};
		f->strategy = strategy ? strategy_of(strategy) : MASK_NONE;
	}
	column->fields = fields;
}

static void add_column(struct job *job, char *text)
{
	struct value_column *column = &job->columns[job->count++];
	char *rest = text, *oid = strsep(&rest, ":"), *modifier = strsep(&rest, ":");
	char *strategy = strsep(&rest, ":");

	column->type.oid = (uint32_t)strtoul(oid, NULL, 10);
	column->type.modifier = modifier ? atoi(modifier) : -1;
	column->strategy = strategy ? strategy_of(strategy) : MASK_NONE;
	if (rest)
		set_fields(column, rest);
}

static int mask_all(struct job *job, const struct masker *m, struct slice data)
{
	struct copy_stream *s = copy_stream_new(m, &job->options, job->columns, job->count);
	int r = s ? 0 : -ENOMEM;

	for (size_t at = 0; at < data.length && r == 0; at += job->piece)
		r = copy_stream_feed(s, slice_head(slice_from(data, at), job->piece), &job->sink);
	if (r == 0)
		r = copy_stream_finish(s);
	copy_stream_free(s);
	return r;
}

static void free_job(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		free((void *)(uintptr_t)job->columns[i].fields);
}

int main(int argc, char **argv)
{
	static const uint8_t key[MASK_KEY_BYTES] = "a key for tests, not a secret!!";
	static struct job job = {
		.sink.row = put_row,
		.options = {.to_client = true, .delimiter = '\t', .quote = '"', .escape = '"'},
		.piece = 65536,
	};
	struct detector_engine *engine;
	struct mask_hasher *hasher;
	struct buffer input;
	struct masker m;
	struct error e;
	int r;

	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value) {
			*value = '\0';
			set_option(&job, argv[i], value + 1);
		} else if (job.count < ARRAY_SIZE(job.columns)) {
			add_column(&job, argv[i]);
		}
	}
	if (job.count == 0 || job.piece == 0)
		return 2;
	engine = detector_engine_new(&e);
	hasher = mask_hasher_new(key);
	if (!engine || !hasher)
		return 2;
	masker_init(&m, engine, hasher, &job.rules);
	buffer_init(&input, INPUT_MOST);
	r = file_read_descriptor(STDIN_FILENO, &input);
	if (r == 0)
		r = mask_all(&job, &m, buffer_slice(&input));
	if (r < 0)
		fprintf(stderr, "mask_copy: %s\n", strerror(-r));
	buffer_done(&input);
	mask_hasher_free(hasher);
	detector_engine_free(engine);
	free_job(&job);
	return r < 0 || fflush(stdout) != 0;
}
