/* SPDX-License-Identifier: Apache-2.0
 *
 * What people see of a process's arguments and parents, which are whatever the agent made them.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "masking/detector.h"
#include "masking/strategy.h"
#include "worker/process.h"

static struct detector_engine *engine;
static struct mask_hasher *hasher;

static void begin(void)
{
	static const uint8_t key[MASK_KEY_BYTES];
	struct error e;

	engine = detector_engine_new(&e);
	cr_assert_not_null(engine, "%s", e.text);
	hasher = mask_hasher_new(key);
}

static void end(void)
{
	detector_engine_free(engine);
	mask_hasher_free(hasher);
}

TestSuite(process, .init = begin, .fini = end);

static void check(struct slice arguments, bool cut, const char *expected)
{
	char *shown = process_command_line(arguments, cut, engine, hasher);

	cr_expect_str_eq(shown, expected);
	free(shown);
}

#define ARGUMENTS(text) slice_of(text, sizeof(text))

Test(process, arguments_are_as_a_shell_reads_them)
{
	check(ARGUMENTS("ls\0-l\0/tmp"), false, "ls -l /tmp");
	check(ARGUMENTS("sh\0-c\0echo a b; rm 'x'"), false, "sh -c 'echo a b; rm '\\''x'\\'''");
	check(ARGUMENTS("a\0\0b"), false, "a '' b");
	check(ARGUMENTS("a\0line\nbreak\ttab\x1b[31m"), false,
		"a 'line\\x0abreak\\x09tab\\x1b[31m'");
	check(ARGUMENTS("caf\xc3\xa9\0\xff"), false, "caf\xc3\xa9 '\\xff'");
	check(SLICE_EMPTY, false, "");
}

Test(process, secrets_are_hidden_by_what_names_them)
{
	check(ARGUMENTS("x\0--password=abc\0--PassWord\0abc\0-v"), false,
		"x --password=[hidden] --PassWord [hidden] -v");
	check(ARGUMENTS("env\0PGPASSWORD=abc\0psql"), false, "env PGPASSWORD=[hidden] psql");
	check(ARGUMENTS("x\0--api-key=abc\0--auth-token\0abc"), false,
		"x --api-key=[hidden] --auth-token [hidden]");
	/* A word that is no option takes nothing away. */
	check(ARGUMENTS("pass\0show\0password"), false, "pass show password");
	check(ARGUMENTS("psql\0postgres://u:abcdef@h/d"), false, "psql postgres://u:[masked]@h/d");
	check(ARGUMENTS("x\0"
			"4111111111111111\0me@example.com\0"
			"10.0.0.1"),
		false, "x [masked] me@example.com 10.0.0.1");
}

Test(process, what_is_cut_says_so_and_shows_no_half_of_anything)
{
	char *shown, *many = memory_new(3 * LIMIT_PROCESS_ARGUMENTS);
	size_t length = LIMIT_PROCESS_ARGUMENTS;

	check(slice_of("a\0--token=ab", 12), true, "a …");
	memset(many, 1, length);
	shown = process_command_line(slice_of(many, length), false, engine, hasher);
	cr_expect_leq(strlen(shown), LIMIT_RECORD_NAME);
	cr_expect(text_is_utf8(slice_from_string(shown)));
	cr_expect_str_eq(shown + strlen(shown) - strlen(" …"), " …");
	free(shown);
	free(many);
}

Test(process, parents)
{
	char *shown = process_parents(ARGUMENTS("7 /bin/sh\0"
						"5 /opt/my agent\n"),
		false);

	cr_expect_str_eq(shown, "/bin/sh (7) < /opt/my agent\\x0a (5)");
	free(shown);
	shown = process_parents(slice_of("7 /bin/sh", 10), true);
	cr_expect_str_eq(shown, "/bin/sh (7) < …");
	free(shown);
	shown = process_parents(SLICE_EMPTY, false);
	cr_expect_str_eq(shown, "");
	free(shown);
}
