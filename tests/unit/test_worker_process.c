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
	check(ARGUMENTS("ls\0-c\0echo a b; rm 'x'"), false, "ls -c 'echo a b; rm '\\''x'\\'''");
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
	check(ARGUMENTS("kubectl\0create\0secret\0generic\0db\0--from-literal=a=abc\0"
			"--from-literal\0b=abc\0-n\0ci"),
		false,
		"kubectl create secret generic db --from-literal=[hidden] --from-literal [hidden] "
		"-n "
		"ci");
	check(ARGUMENTS("x\0--api-key=abc\0--auth-token\0abc"), false,
		"x --api-key=[hidden] --auth-token [hidden]");
	/* A word that is no option takes nothing away. */
	check(ARGUMENTS("pass\0show\0password"), false, "pass show password");
	check(ARGUMENTS("psql\0postgres://u:abcdef@h/d"), false, "psql postgres://u:[hidden]@h/d");
	check(ARGUMENTS("x\0"
			"4111111111111111\0me@example.com\0"
			"10.0.0.1"),
		false, "x [masked] me@example.com 10.0.0.1");
}

Test(process, passwords_of_urls_are_hidden)
{
	check(ARGUMENTS("x\0mysql://u:p@ss/w:o@h/d"), false, "x mysql://u:[hidden]@h/d");
	check(ARGUMENTS("x\0--url=redis://:pw@h"), false, "x --url=redis://:[hidden]@h");
	check(ARGUMENTS("git\0https://abcdef@h/r"), false, "git https://[hidden]@h/r");
	check(ARGUMENTS("git\0ssh://git@h/r\0git@h:r/s"), false, "git ssh://git@h/r git@h:r/s");
	check(ARGUMENTS("x\0u:pw@tcp(h)/d"), false, "x 'u:[hidden]@tcp(h)/d'");
	check(ARGUMENTS("x\0a://u:pw@h/?password=y"), false,
		"x 'a://u:[hidden]@h/?password=[hidden]'");
	check(ARGUMENTS("x\0a://u:my token y@h/?password=y"), false,
		"x 'a://u:[hidden]@h/?password=[hidden]'");
	check(ARGUMENTS("x\0npm/@scope/x\0h:80"), false, "x npm/@scope/x h:80");
}

Test(process, names_in_texts_hide_what_follows)
{
	check(ARGUMENTS("psql\0host=h password=abc dbname=d"), false,
		"psql 'host=h password=[hidden]'");
	check(ARGUMENTS("psql\0host=h password = 'a b'"), false, "psql 'host=h password [hidden]'");
	check(ARGUMENTS("psql\0-c\0alter role u password 'a b'"), false,
		"psql -c 'alter role u password [hidden]'");
	check(ARGUMENTS("x\0{\"user\": 1, \"apiKey\": \"abc\"}"), false,
		"x '{\"user\": 1, \"apiKey\"[hidden]'");
	check(ARGUMENTS("ssh\0h\0PGPASSWORD=abc psql"), false, "ssh h PGPASSWORD=[hidden]");
	check(ARGUMENTS("curl\0-H\0Authorization: Basic abc"), false,
		"curl -H Authorization:[hidden]");
	check(ARGUMENTS("curl\0-HCookie: a=b\0--header=X-Api-Key: abc"), false,
		"curl -HCookie:[hidden] --header=X-Api-Key:[hidden]");
	check(ARGUMENTS("x\0AccountKey=abc\0--key\0abc\0_auth=abc"), false,
		"x AccountKey=[hidden] --key [hidden] _auth=[hidden]");
	/* Paths, authors and what asks for no password. */
	check(ARGUMENTS("cat\0/etc/passwd\0token.json\0--author=me"), false,
		"cat /etc/passwd token.json --author=me");
	check(ARGUMENTS("psql\0--no-password\0-h\0h"), false, "psql --no-password -h h");
	check(ARGUMENTS("codex\0--bypass-approvals\0exec"), false, "codex --bypass-approvals exec");
}

Test(process, letters_of_known_programs_take_secrets)
{
	check(ARGUMENTS("/usr/bin/mysqldump\0-uroot\0-pabc\0d"), false,
		"/usr/bin/mysqldump -uroot -p[hidden] d");
	check(ARGUMENTS("mariadb\0-p\0abc"), false, "mariadb -p [hidden]");
	check(ARGUMENTS("curl\0-u\0me:abc\0--user\0me:abc\0http://h"), false,
		"curl -u [hidden] --user [hidden] http://h");
	check(ARGUMENTS("curl\0-su\0me:abc\0-sume:abc"), false, "curl -su [hidden] -su[hidden]");
	check(ARGUMENTS("sshpass\0-pabc\0ssh\0h"), false, "sshpass -p[hidden] ssh h");
	check(ARGUMENTS("redis-cli\0-a\0abc"), false, "redis-cli [2 arguments]");
	check(ARGUMENTS("psql\0-p\0port"), false, "psql -p port");
}

Test(process, code_and_what_scripts_are_told_is_counted)
{
	check(ARGUMENTS("bash\0-lc\0echo abc\0x\0y"), false,
		"bash -lc [code, 8 bytes] [2 arguments]");
	check(ARGUMENTS("-bash\0-c\0abc"), false, "-bash -c [code, 3 bytes]");
	check(ARGUMENTS("/usr/bin/python3.11\0-u\0-c\0connect('u', 'abc')"), false,
		"/usr/bin/python3.11 -u -c [code, 19 bytes]");
	check(ARGUMENTS("python3\0-cprint(1)"), false, "python3 [code, 10 bytes]");
	check(ARGUMENTS("perl\0-e'abc'\0-lne\0abc"), false,
		"perl [code, 7 bytes] -lne [code, 3 bytes]");
	check(ARGUMENTS("node\0--eval=abc\0--print\0abc"), false,
		"node --eval=[hidden] --print [code, 3 bytes]");
	check(ARGUMENTS("node\0node.js\0h\0u\0five abc"), false, "node node.js [3 arguments]");
	check(ARGUMENTS("java\0-Xmx1g\0-Da.b=abc\0-cp\0x.jar\0Main\0abc"), false,
		"java -Xmx1g -Da.b=[hidden] -cp x.jar Main [1 argument]");
	check(ARGUMENTS("docker\0exec\0x\0sh\0-c\0abc"), false,
		"docker exec x sh -c [code, 3 bytes]");
	check(slice_of("sh\0x\0a\0b", 8), true, "sh x [1 argument] …");
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
