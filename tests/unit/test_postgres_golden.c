/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions of real clients with a real PostgreSQL (tests/golden/postgres), run again whole, byte by
 * byte and in pieces at random: what leaves for either side, and every action, must be what the
 * transcript says. And in each of them, nothing that must be judged leaves before its release.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <glob.h>

#include "tests/harness/engine_guard.h"
#include "tests/harness/transcript.h"

#define FOLDER "tests/golden/postgres/"
#define NAME_MOST 256
#define SPLITS 40

struct golden_file {
	char name[NAME_MOST];
};

ParameterizedTestParameters(golden, replay)
{
	struct golden_file *files;
	glob_t found;
	size_t count;

	if (glob(FOLDER "*.txt", 0, NULL, &found) != 0)
		return cr_make_param_array(struct golden_file, NULL, 0);
	count = found.gl_pathc;
	files = cr_malloc(count * sizeof(*files));
	for (size_t i = 0; i < count; i++)
		snprintf(files[i].name, NAME_MOST, "%s", found.gl_pathv[i]);
	globfree(&found);
	return cr_make_param_array(struct golden_file, files, count);
}

static size_t one_byte(void *context, size_t left)
{
	(void)context;
	(void)left;
	return 1;
}

/* Short pieces and long ones alike; the seed is the context (xorshift, Marsaglia 2003). */
static size_t at_random(void *context, size_t left)
{
	uint32_t *seed = context;
	size_t most;

	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	most = (size_t)1 << (*seed >> 28);
	most = 1 + (*seed & 0xffff) % most;
	return most < left ? most : left;
}

static void check(struct transcript *t, const struct engine_bench *bench, transcript_cut *cut,
	void *context, const char *how)
{
	struct engine_guard guard;
	struct buffer found;
	int wrong;

	buffer_init(&found, 64u << 20);
	engine_guard_init(&guard);
	wrong = transcript_run(t, bench, &guard.watch, cut, context, false, &found);
	cr_assert_eq(wrong, -1, "%s: step %d\n--- expected\n%.*s\n--- found\n%.*s", how, wrong + 1,
		SLICE_PRINT(buffer_slice(&t->steps[wrong].expected)),
		SLICE_PRINT(buffer_slice(&found)));
	cr_assert_null(guard.broken, "%s: %s", how, guard.broken);
	engine_guard_done(&guard);
	buffer_done(&found);
}

ParameterizedTest(struct golden_file *file, golden, replay)
{
	char *policy = engine_bench_read(FOLDER "policy.yaml");
	struct engine_bench bench;
	struct transcript t;
	char how[NAME_MOST + 64];

	engine_bench_init(&bench, policy);
	free(policy);
	transcript_init(&t);
	cr_assert_eq(transcript_read(&t, file->name), 0, "%s", file->name);
	cr_assert_gt(t.count, 0, "%s is empty", file->name);
	check(&t, &bench, NULL, NULL, "whole");
	check(&t, &bench, one_byte, NULL, "byte by byte");
	for (uint32_t seed = 1; seed <= SPLITS; seed++) {
		uint32_t state = seed * 2654435769u;

		snprintf(how, sizeof(how), "%s, split with seed %u", file->name, seed);
		check(&t, &bench, at_random, &state, how);
	}
	transcript_done(&t);
	engine_bench_done(&bench);
}

/* How many transcripts have this line. */
static size_t count_with(const glob_t *files, const char *line)
{
	size_t count = 0;

	for (size_t i = 0; i < files->gl_pathc; i++) {
		char *text = engine_bench_read(files->gl_pathv[i]);

		count += strstr(text, line) != NULL;
		free(text);
	}
	return count;
}

Test(golden, transcripts_are_there)
{
	glob_t found;

	cr_assert_eq(glob(FOLDER "*.txt", 0, NULL, &found), 0);
	cr_expect_geq(found.gl_pathc, 30);
	/* In clear, in TLS, and with TLS on one side alone. */
	cr_expect_geq(found.gl_pathc - count_with(&found, "! tls "), 10);
	cr_expect_geq(count_with(&found, "! tls agent\n"), 10);
	cr_expect_geq(count_with(&found, "! tls server\n"), 10);
	cr_expect_geq(count_with(&found, "@upstream on\n"), 1);
	cr_expect_geq(count_with(&found, "@upstream off\n"), 1);
	cr_expect_geq(count_with(&found, "SCRAM-SHA-256-PLUS"), 1);
	globfree(&found);
}
