/* SPDX-License-Identifier: Apache-2.0
 *
 * transcript_seeds: makes the corpora of fuzz_postgres_startup and fuzz_postgres_wire from golden
 * transcripts (tests/fuzz/postgres_input.h says how they look).
 *
 *   transcript_seeds STARTUP-FOLDER WIRE-FOLDER TRANSCRIPT…
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tests/harness/transcript.h"

#define STEP_MOST 2048 /* of one step; small inputs are faster and mutate better */

static bool has(const struct transcript_step *step, const char *text)
{
	struct slice lines = buffer_slice(&step->expected);

	return lines.length && memmem(lines.data, lines.length, text, strlen(text));
}

static void put_step(const struct transcript_step *step, FILE *out)
{
	struct slice bytes = slice_head(buffer_slice(&step->bytes), STEP_MOST);

	if (bytes.length) {
		fputc(step->side == SIDE_AGENT ? 0 : 1, out);
		fputc((int)(bytes.length & 0xff), out);
		fputc((int)(bytes.length >> 8), out);
		fwrite(bytes.data, 1, bytes.length, out);
	}
	if (step->end)
		fwrite(step->side == SIDE_AGENT ? "\2\0" : "\3\0", 1, 3, out);
}

static void save(
	const struct transcript *t, size_t from, size_t to, const char *folder, const char *file)
{
	char *copy = memory_copy_string(file);
	char *path = memory_format("%s/%s", folder, basename(copy));
	FILE *out = fopen(path, "we");

	if (!out) {
		perror(path);
		exit(1);
	}
	fputc(0, out);
	for (size_t i = from; i < to; i++)
		put_step(&t->steps[i], out);
	fclose(out);
	free(path);
	free(copy);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr,
			"usage: transcript_seeds STARTUP-FOLDER WIRE-FOLDER TRANSCRIPT...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		struct transcript t;
		size_t login = 0, query;

		transcript_init(&t);
		if (transcript_read(&t, argv[i]) < 0)
			return 1;
		while (login < t.count && !has(&t.steps[login], "! login"))
			login++;
		save(&t, 0, login < t.count ? login + 1 : t.count, argv[1], argv[i]);
		/* Behind the login the engine reads names, up to the agent's next word. */
		for (query = login + 1; query < t.count && t.steps[query].side == SIDE_SERVER;
			query++)
			;
		if (query < t.count)
			save(&t, query, t.count, argv[2], argv[i]);
		transcript_done(&t);
	}
	return 0;
}
