/* SPDX-License-Identifier: Apache-2.0
 *
 * What doctor says of runtimes, of a home that has them all: with the CA, without it, and where
 * what is there is not what it seems.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/trust_variables.h"
#include "cli/runtimes.h"
#include "monitor/authority.h"

static char home[64];
static struct authority *authority;
static struct runtimes_ca ca;

static void setup(void)
{
	struct error e;

	strcpy(home, "/tmp/runtimes-XXXXXX");
	cr_assert_not_null(mkdtemp(home));
	cr_assert_eq(authority_open(home, NULL, &authority, &e), 0, "%s", e.text);
	cr_assert_eq(runtimes_ca_init(&ca, authority_certificate(authority)), 0);
	setenv("PATH", "relative:/nonexistent", 1);
}

static void teardown(void)
{
	char command[100];

	snprintf(command, sizeof(command), "/bin/rm -r %s", home);
	cr_assert_eq(system(command), 0);
	runtimes_ca_done(&ca);
	authority_free(authority);
}

TestSuite(cli_runtimes, .init = setup, .fini = teardown, .timeout = 60);

static void put_bytes(const char *name, mode_t mode, struct slice content)
{
	char *path = memory_format("%s/%s", home, name);
	char *folder = memory_copy_string(path);
	struct error e;

	*strrchr(folder, '/') = '\0';
	cr_assert_eq(file_make_folders(folder, 0755, &e), 0, "%s", e.text);
	cr_assert_eq(file_write(path, content, mode, &e), 0, "%s", e.text);
	free(folder);
	free(path);
}

static void put(const char *name, mode_t mode, const char *content)
{
	put_bytes(name, mode, slice_from_string(content));
}

/* The CA amid other things, as a store has it. */
static void put_store(const char *name, struct slice held)
{
	struct buffer content;

	buffer_init(&content, 1 << 16);
	buffer_append_string(&content, "\xfe\xed\xfe\xed what a store begins with\n");
	buffer_append_slice(&content, held);
	buffer_append_string(&content, "\nand ends with");
	put_bytes(name, 0644, buffer_slice(&content));
	buffer_done(&content);
}

/* "by: text" of what is in the home, or "none: text"; for free(). */
static char *said_of(const char *path)
{
	char *whole = memory_format("%s/%s", home, path), *said = NULL;
	cJSON *list = cJSON_CreateArray();
	const cJSON *item;

	runtimes_list(home, &ca, list);
	cJSON_ArrayForEach(item, list)
	{
		const cJSON *by = cJSON_GetObjectItem(item, "by");

		if (strcmp(cJSON_GetObjectItem(item, "path")->valuestring, whole) != 0)
			continue;
		cr_expect_null(said, "told once");
		cr_expect_eq(cJSON_IsTrue(cJSON_GetObjectItem(item, "trusts")), cJSON_IsString(by));
		said = memory_format("%s: %s", cJSON_IsString(by) ? by->valuestring : "none",
			cJSON_GetObjectItem(item, "text")->valuestring);
	}
	cJSON_Delete(list);
	free(whole);
	return said;
}

static void expect_said(const char *path, const char *begin, const char *has)
{
	char *said = said_of(path);

	cr_assert_not_null(said, "%s", path);
	cr_expect_eq(strncmp(said, begin, strlen(begin)), 0, "%s: %s", path, said);
	cr_expect(strstr(said, has), "%s: %s", path, said);
	free(said);
}

static void put_node(const char *folder, int major, int minor)
{
	char *program = memory_format(".nvm/versions/node/%s/bin/node", folder);
	char *header = memory_format(".nvm/versions/node/%s/include/node/node_version.h", folder);
	char *text = memory_format(
		"#define NODE_MAJOR_VERSION %d\n#define NODE_MINOR_VERSION %d\n", major, minor);

	put(program, 0755, "#!/bin/false\n");
	put(header, 0644, text);
	free(program);
	free(header);
	free(text);
}

Test(cli_runtimes, node_listens_since_7_3)
{
	put_node("v6", 6, 17);
	put_node("v7.2", 7, 2);
	put_node("v7.3", 7, 3);
	put_node("v20", 20, 1);
	put(".volta/bin/node", 0755, "");
	expect_said(
		".nvm/versions/node/v6/bin/node", "none: ", "version 6.17 listens to no variable");
	expect_said(".nvm/versions/node/v7.2/bin/node", "none: ", "version 7.2");
	expect_said(".nvm/versions/node/v7.3/bin/node", "NODE_EXTRA_CA_CERTS: ", "wayleave run");
	expect_said(".nvm/versions/node/v20/bin/node", "NODE_EXTRA_CA_CERTS: ", "wayleave run");
	expect_said(".volta/bin/node", "NODE_EXTRA_CA_CERTS: ", "wayleave run");
}

Test(cli_runtimes, java_has_it_in_its_store_or_not)
{
	put(".jdks/a/bin/java", 0755, "");
	put_store(".jdks/a/lib/security/cacerts", SLICE_EMPTY);
	put(".jdks/b/bin/java", 0755, "");
	put_store(".jdks/b/lib/security/cacerts", ca.der);
	put(".jdks/c/bin/java", 0755, "");
	put_store(".jdks/c/jre/lib/security/cacerts", ca.der);
	expect_said(".jdks/a/bin/java", "none: ", "keytool -importcert");
	expect_said(".jdks/b/bin/java", "own store: ", "b/lib/security/cacerts has it");
	expect_said(".jdks/c/bin/java", "own store: ", "c/jre/lib/security/cacerts has it");
}

Test(cli_runtimes, certifi_names_a_store)
{
	static const char debians[] =
		"def where():\n    return \"/etc/ssl/certs/ca-certificates.crt\"\n";
#define PACKAGES "lib/python3.11/site-packages/certifi"

	put(".local/" PACKAGES "/core.py", 0644, "def where(): ...\n");
	put_store(".local/" PACKAGES "/cacert.pem", SLICE_EMPTY);
	put("miniconda3/" PACKAGES "/core.py", 0644, "def where(): ...\n");
	put_store("miniconda3/" PACKAGES "/cacert.pem", authority_certificate(authority));
	put("work/.venv/" PACKAGES "/core.py", 0644, debians);
	expect_said(".local/" PACKAGES, "REQUESTS_CA_BUNDLE: ", "httpx by SSL_CERT_FILE");
	expect_said("miniconda3/" PACKAGES, "own store: ", "cacert.pem has it");
	expect_said("work/.venv/" PACKAGES, "REQUESTS_CA_BUNDLE: ", "requests");
	ca.installed = true;
	expect_said("work/.venv/" PACKAGES, "system store: ", "the system's store");
}

Test(cli_runtimes, browsers_have_databases)
{
	put_store(".pki/nssdb/cert9.db", SLICE_EMPTY);
	put_store(".mozilla/firefox/x.default/cert9.db", ca.der);
	expect_said(".pki/nssdb/cert9.db", "none: ", "certutil -A -d sql:");
	expect_said(".mozilla/firefox/x.default/cert9.db", "own store: ", "the database has it");
}

/* What is the user's to choose ends the search nowhere. */
Test(cli_runtimes, what_is_not_what_it_seems)
{
	char path[128], target[128];

	put("miniconda3/bin/node", 0644, "no program");
	cr_expect_null(said_of("miniconda3/bin/node"));
	put(".jdks/a/bin/java", 0755, "");
	put(".jdks/a/lib/security/x", 0644, "");
	snprintf(path, sizeof(path), "%s/.jdks/a/lib/security/cacerts", home);
	cr_assert_eq(mkfifo(path, 0644), 0);
	expect_said(".jdks/a/bin/java", "none: ", "has not got it");
	put(".pki/nssdb/x", 0644, "");
	snprintf(path, sizeof(path), "%s/.pki/nssdb/cert9.db", home);
	cr_assert_eq(symlink("/dev/zero", path), 0);
	expect_said(".pki/nssdb/cert9.db", "none: ", "certutil");
	put(".bun/x", 0644, "");
	snprintf(path, sizeof(path), "%s/.bun/bin", home);
	snprintf(target, sizeof(target), "%s/.bun/bin", home);
	cr_assert_eq(symlink(target, path), 0);
	cr_expect_null(said_of(".bun/bin/bun"));
	cr_expect_not(runtimes_file_holds(home, &ca));
	cr_expect_not(runtimes_file_holds("/nonexistent", &ca));
}

Test(cli_runtimes, only_so_many_are_told)
{
	cJSON *list = cJSON_CreateArray();

	for (int i = 0; i < RUNTIMES_MOST + 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "v%d", i);
		put_node(name, 20, 0);
	}
	runtimes_list(home, &ca, list);
	cr_expect_eq(cJSON_GetArraySize(list), RUNTIMES_MOST);
	cJSON_Delete(list);
}

/* Whatever is told of a variable is what the launcher sets. */
Test(cli_runtimes, variables_are_those_of_the_launcher)
{
	static const char *const others[] = {"system store", "own store"};
	static const char *const names[] = {"node", "bun", "deno", "python3", "ruby", "php", "go",
		"openssl", "curl", "git", "cargo", "aws", "wget"};
	cJSON *list = cJSON_CreateArray();
	const cJSON *item;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), ".local/bin/%s", names[i]);
		put(path, 0755, "");
	}
	runtimes_list(home, &ca, list);
	cr_expect_geq(cJSON_GetArraySize(list), (int)ARRAY_SIZE(names));
	cJSON_ArrayForEach(item, list)
	{
		const cJSON *by = cJSON_GetObjectItem(item, "by");
		bool known = !cJSON_IsString(by);

		for (size_t i = 0; !known && i < ARRAY_SIZE(others); i++)
			known = strcmp(others[i], by->valuestring) == 0;
		for (size_t i = 0; !known && trust_variable(i); i++)
			known = strcmp(trust_variable(i), by->valuestring) == 0;
		cr_expect(known, "%s", by->valuestring);
	}
	cJSON_Delete(list);
}

Test(cli_runtimes, what_is_no_certificate_is_no_ca)
{
	struct runtimes_ca none;

	cr_expect_lt(runtimes_ca_init(&none, SLICE_EMPTY), 0);
	cr_expect_lt(runtimes_ca_init(&none,
			     slice_from_string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
					       "CERTIFICATE-----\n")),
		0);
}
