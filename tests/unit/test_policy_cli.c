/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave policy: check and explain, with a configuration and with a daemon.
 */
#include <criterion/criterion.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "monitor/control.h"
#include "policy_test.h"

static char folder[64];
static char config[96], policies[96], socket_path[96];

static void put_file(const char *path, const char *content)
{
	struct error e;

	cr_assert_eq(file_write(path, slice_from_string(content), 0644, &e), 0, "%s", e.text);
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/wayleave-policy-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	snprintf(config, sizeof(config), "%s/wayleave.yaml", folder);
	snprintf(policies, sizeof(policies), "%s/rules.yaml", folder);
	snprintf(socket_path, sizeof(socket_path), "%s/control.sock", folder);
	put_file(config,
		"policies: [rules.yaml]\n"
		"agents: [{name: claude-ci, cgroup: wayleave.slice/claude-ci}]\n"
		"resources:\n"
		"  - {name: orders, protocol: postgres, hosts: [\"db.internal:5432\"]}\n"
		"  - {name: tunnel, protocol: tcp, hosts: [\"db.internal:80\"]}\n");
	put_file(policies,
		"rules:\n"
		"  - name: read public\n"
		"    operations: [read]\n"
		"    objects: [\"public.*\"]\n"
		"    allow:\n"
		"      mask:\n"
		"        - {columns: [\"public.customers.ssn\"], with: redact}\n"
		"        - {detect: [email], with: partial}\n"
		"  - {name: no schema changes, operations: [ddl], deny: {message: \"use "
		"migrations\"}}\n");
}

static void remove_folder(void)
{
	char *command = memory_format("rm -rf %s", folder);

	cr_assert_eq(system(command), 0);
	free(command);
}

TestSuite(policy_cli, .init = make_folder, .fini = remove_folder, .timeout = 120);

static char output[1 << 16];

/* Runs the verb with the words up to a NULL; what it prints to stdout is in `output`. */
static int run(bool json, const char *input, const char *const *words)
{
	struct cli cli = {.json = json, .socket = socket_path};
	char *copies[32], *argv[32] = {"policy"}; /* options are taken out of argv */
	int argc = 1, saved = dup(STDOUT_FILENO), status, fd;
	char *path = memory_format("%s/output", folder);
	ssize_t n;

	for (; words[argc - 1]; argc++)
		argv[argc] = copies[argc] = memory_copy_string(words[argc - 1]);
	if (input) {
		char *file = memory_format("%s/input", folder);

		put_file(file, input);
		cr_assert_not_null(freopen(file, "r", stdin));
		free(file);
	}
	fflush(stdout);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	dup2(fd, STDOUT_FILENO);
	status = cli_policy(&cli, argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	n = pread(fd, output, sizeof(output) - 1, 0);
	output[n > 0 ? n : 0] = '\0';
	close(fd);
	free(path);
	while (--argc > 0)
		free(copies[argc]);
	return status;
}

#define RUN(json, input, ...) run(json, input, (const char *const[]){__VA_ARGS__, NULL})
#define EXPLAIN "explain", "--config", config, "--agent", "claude-ci", "--resource", "orders"

static void expect_list(const cJSON *object, const char *key, const char *expected)
{
	char *found = cJSON_PrintUnformatted(cJSON_GetObjectItem(object, key));

	cr_expect_str_eq(found ? found : "", expected, "%s: %s", key, found);
	cJSON_free(found);
}

Test(policy_cli, check)
{
	cr_expect_eq(RUN(false, NULL, "check", policies), CLI_DONE);
	cr_expect_not_null(strstr(output, "2 rules in 1 files: no mistakes"));
	cr_expect_not_null(strstr(output, "were not checked"));
	cr_expect_eq(RUN(false, NULL, "check", "--config", config), CLI_DONE);
	cr_expect_null(strstr(output, "were not checked"));
	cr_expect_eq(RUN(true, NULL, "check", "--config", config, policies), CLI_DONE);
	cr_expect_str_eq(output, "[]\n");
	put_file(
		policies, "rules:\n  - {name: x, agents: [claude], operations: [selct], deny: }\n");
	cr_expect_eq(RUN(true, NULL, "check", policies), CLI_REFUSED);
	cr_expect_not_null(strstr(output, "did you mean"));
	cr_expect_null(strstr(output, "claude"));
	cr_expect_eq(RUN(true, NULL, "check", "--config", config), CLI_REFUSED);
	cr_expect_not_null(strstr(output, "there is no agent"));
	cr_expect_eq(RUN(false, NULL, "check", "/nonexistent.yaml"), CLI_REFUSED);
}

/* Command lines, as they would be judged without a terminal. */
Test(policy_cli, commands_of_ssh)
{
	static const struct {
		const char *line, *verdict, *operations, *objects, *unknown;
	} rows[] = {
		{"ls -l", "allow", "[\"exec\"]", "[\"ls -l\"]", "[]"},
		{"ls; rm x", "deny", "[\"exec\"]", "[\"ls; rm x\",\"ls\",\"rm x\"]", "[]"},
		{"scp -f /srv/a", "allow", "[\"exec\",\"scp_read\"]",
			"[\"scp -f /srv/a\",\"/srv/a\"]", "[]"},
		{"scp -f a", "deny", "[\"exec\",\"scp_read\"]", "[\"scp -f a\",\"a\"]",
			"[\"object\"]"},
		{"git-upload-pack '/srv/x.git'", "review", "[\"git_fetch\"]", "[\"/srv/x.git\"]",
			"[]"},
		{"/bin/x", "deny", "[\"exec\"]", "[\"/bin/x\"]", "[]"},
	};

	put_file(config,
		"policies: [rules.yaml]\n"
		"agents: [{name: claude-ci, cgroup: wayleave.slice/claude-ci}]\n"
		"reviewers: {ops: {local_users: [root]}}\n"
		"resources:\n"
		"  - {name: api, protocol: http, hosts: [\"api:80\"]}\n"
		"  - {name: orders, protocol: ssh, hosts: [\"box:22\"], credentials: {user: x, "
		"agent: true}}\n");
	put_file(policies,
		"rules:\n"
		"  - {name: look, operations: [exec], objects: [\"ls\", \"ls *\"], allow: }\n"
		"  - {name: files, operations: [scp_read], objects: [\"/srv/*\"], allow: }\n"
		"  - {name: code, operations: [git_fetch], review: {by: ops}}\n"
		"  - {name: masked, operations: [exec, read], objects: [/bin/x], allow: {mask: "
		"[{json: [\"$.a\"], with: redact}]}}\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cJSON *json;

		cr_expect_eq(RUN(true, NULL, EXPLAIN, rows[i].line),
			strcmp(rows[i].verdict, "allow") == 0 ? CLI_DONE : CLI_REFUSED);
		json = cJSON_Parse(output);
		cr_assert_not_null(json, "%s: %s", rows[i].line, output);
		cr_expect_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(json, "verdict")),
			rows[i].verdict, "%s: %s", rows[i].line, output);
		expect_list(json, "operations", rows[i].operations);
		expect_list(json, "objects", rows[i].objects);
		expect_list(json, "unknown", rows[i].unknown);
		cJSON_Delete(json);
	}
	cr_expect_not_null(strstr(output, "what SSH carries here can't be masked so"));
}

Test(policy_cli, usage)
{
	cr_expect_eq(RUN(false, NULL, "check"), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, "check", "--config"), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, "check", "--colour", policies), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, "explain", "--agent", "a", "select 1"), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, EXPLAIN), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "select 1", "select 2"), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "--batch", "select 1"), CLI_USAGE);
	cr_expect_eq(RUN(false, NULL, "forget"), CLI_USAGE);
	cr_expect_str_eq(output, "");
	cr_expect_eq(RUN(false, NULL, "--help"), CLI_DONE);
	cr_expect_not_null(strstr(output, "usage:"));
}

Test(policy_cli, not_found)
{
	cr_expect_eq(RUN(false, NULL, "explain", "--config", config, "--agent", "x", "--resource",
			     "orders", "select 1"),
		CLI_REFUSED);
	cr_expect_eq(RUN(false, NULL, "explain", "--config", config, "--agent", "claude-ci",
			     "--resource", "x", "select 1"),
		CLI_REFUSED);
	cr_expect_eq(RUN(false, NULL, "explain", "--config", config, "--agent", "claude-ci",
			     "--resource", "tunnel", "select 1"),
		CLI_REFUSED);
	cr_expect_eq(RUN(false, NULL, "explain", "--agent", "claude-ci", "--resource", "orders",
			     "select 1"),
		CLI_REFUSED, "no daemon");
	cr_expect_str_eq(output, "");
}

Test(policy_cli, verdicts)
{
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "select id from public.orders"), CLI_DONE);
	cr_expect(strncmp(output, "allow\n", 6) == 0, "%s", output);
	cr_expect_not_null(strstr(output, "select on public.orders"));
	cr_expect_not_null(strstr(output, "\"read public\" (allow, "));
	cr_expect_not_null(strstr(output, "rules.yaml:2) matches"));
	cr_expect_null(strchr(output, '\033'), "no colours in a file");
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "drop table public.orders"), CLI_REFUSED);
	cr_expect(strncmp(output, "deny: denied by rule \"no schema changes\": use migrations\n",
			  strlen("deny: denied by rule \"no schema changes\": use migrations\n")) ==
			0,
		"%s", output);
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "selec 1"), CLI_REFUSED);
	cr_expect_not_null(strstr(output, "not understood"));
	cr_expect_not_null(strstr(output, "unknown   text"));
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "begin"), CLI_DONE);
}

Test(policy_cli, json)
{
	cJSON *object;

	cr_expect_eq(RUN(true, NULL, EXPLAIN, "select id from public.customers"), CLI_DONE);
	object = cJSON_Parse(output);
	cr_assert_not_null(object);
	expect_list(object, "verdict", "\"allow\"");
	expect_list(object, "rules", "[\"read public\"]");
	expect_list(object, "operations", "[\"select\"]");
	expect_list(object, "objects", "[\"public.customers\"]");
	expect_list(object, "unknown", "[]");
	expect_list(object, "masks",
		"[{\"column\":\"public.customers.ssn\",\"with\":\"redact\",\"filter\":\"deny\"},"
		"{\"detect\":\"email\",\"with\":\"partial\"}]");
	cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(object, "why")), 2);
	cJSON_Delete(object);
}

/* What masks can't follow is refused, as it would be in a session. */
Test(policy_cli, masked_column)
{
	cr_expect_eq(RUN(true, NULL, EXPLAIN, "select id from public.customers where ssn > '5'"),
		CLI_REFUSED);
	cr_expect_not_null(strstr(output, "\"verdict\":\"deny\""));
	cr_expect_not_null(strstr(output, "ssn is masked"));
	cr_expect_eq(
		RUN(true, NULL, EXPLAIN, "select ssn as \"\xc3\x84rger\" from public.customers"),
		CLI_DONE);
}

Test(policy_cli, search_path)
{
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "select id from orders"), CLI_DONE);
	cr_expect_eq(RUN(false, NULL, EXPLAIN, "--search-path", "hr", "select id from orders"),
		CLI_REFUSED);
	cr_expect_not_null(strstr(output, "no rule allows select on hr.orders"), "%s", output);
}

static cJSON *next_line(char **rest)
{
	char *line = strsep(rest, "\n");
	cJSON *object = cJSON_Parse(line ? line : "");

	cr_assert_not_null(object, "%s", line);
	return object;
}

Test(policy_cli, batch)
{
	static const char *const verdicts[] = {
		"\"allow\"", "\"deny\"", NULL, NULL, NULL, NULL, NULL, "\"deny\"", "\"allow\""};
	char *rest = output;

	cr_expect_eq(RUN(false,
			     "\"select id from public.orders\"\n"
			     "\"drop table public.orders\"\n"
			     "select 1\n"
			     "\n"
			     "{\"a\": \"select 1\"}\n"
			     "\"select 1\\u0000; drop table x\"\n"
			     "\"select \xff\"\n"
			     "\"select \\\\u0000\"\n"
			     "\"begin\"",
			     EXPLAIN, "--batch"),
		CLI_DONE);
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		cJSON *object = next_line(&rest);

		if (verdicts[i])
			expect_list(object, "verdict", verdicts[i]);
		else
			cr_expect_not_null(cJSON_GetObjectItem(object, "error"), "line %zu", i + 1);
		cJSON_Delete(object);
	}
	cr_expect_str_eq(rest, "", "one line each");
}

/* Plays the daemon for one request. */
static void *serve(void *argument)
{
	int listener = *(int *)argument, fd = accept(listener, NULL, NULL), image = -1;
	struct control_header header = {0};
	struct diagnostics d;
	struct buffer buffer;
	struct config *c;

	buffer_init(&buffer, LIMIT_POLICY_IMAGE);
	cr_assert_eq(control_receive(fd, &header, &buffer, NULL, NULL), 0);
	buffer_clear(&buffer);
	if (header.type != CONTROL_POLICY)
		header.status = -EINVAL;
	diagnostics_init(&d);
	cr_assert_eq(config_load(config, 0, &d, &c), 0);
	cr_assert_eq(policy_image_build(c, 1, NULL, 0, &buffer), 0);
	image = memfd_create("policy", MFD_CLOEXEC);
	cr_assert_eq(file_write_all(image, buffer_slice(&buffer)), 0);
	control_send(fd, &header, SLICE_EMPTY, &image, 1);
	close(image);
	close(fd);
	config_free(c);
	diagnostics_done(&d);
	buffer_done(&buffer);
	return NULL;
}

Test(policy_cli, policy_of_the_daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	pthread_t thread;

	strcpy(address.sun_path, socket_path);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, &listener), 0);
	cr_expect_eq(RUN(true, NULL, "explain", "--agent", "claude-ci", "--resource", "orders",
			     "drop table public.orders"),
		CLI_REFUSED);
	cr_expect_not_null(strstr(output, "\"rules\":[\"no schema changes\"]"), "%s", output);
	pthread_join(thread, NULL);
	close(listener);
}
