/* SPDX-License-Identifier: Apache-2.0
 *
 * Configurations without mistakes: what they become.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "masking/mask.h"
#include "policy/config.h"

static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/wayleave-config-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	char *command = memory_format("rm -rf %s", folder);

	cr_assert_eq(system(command), 0);
	free(command);
}

TestSuite(config_load, .init = make_folder, .fini = remove_folder);

/* Writes FOLDER/name; "@/" in the content begins a path in the folder. Returns the path, to be
 * freed. */
static char *write_file(const char *name, mode_t mode, const char *content)
{
	char *path = memory_format("%s/%s", folder, name);
	struct buffer text;
	struct error e;

	buffer_init(&text, 1 << 22);
	for (const char *p = content; *p; p++) {
		if (p[0] == '@' && p[1] == '/')
			buffer_append_string(&text, folder);
		else
			buffer_append_byte(&text, (uint8_t)*p);
	}
	cr_assert_eq(file_write(path, buffer_slice(&text), mode, &e), 0, "%s", e.text);
	buffer_done(&text);
	return path;
}

static void put_file(const char *name, mode_t mode, const char *content)
{
	free(write_file(name, mode, content));
}

static struct config *load(const char *name, unsigned flags, size_t warnings)
{
	char *path = memory_format("%s/%s", folder, name);
	struct diagnostics d;
	struct config *c = NULL;
	int r;

	diagnostics_init(&d);
	r = config_load(path, flags, &d, &c);
	if (r < 0 || d.count != warnings)
		diagnostics_print(&d, stderr);
	cr_assert_eq(r, 0);
	cr_expect_eq(d.count, warnings, "%zu warnings", d.count);
	diagnostics_done(&d);
	free(path);
	return c;
}

/* It is not loaded, and one of the errors has this text. */
static void expect_error(const char *name, unsigned flags, const char *expected)
{
	char *path = memory_format("%s/%s", folder, name);
	struct diagnostics d;
	struct config *c = NULL;
	bool found = false;

	diagnostics_init(&d);
	cr_expect_lt(config_load(path, flags, &d, &c), 0);
	for (size_t i = 0; i < d.count; i++)
		found |= strstr(d.items[i].text, expected) != NULL;
	cr_expect(found, "%s", expected);
	diagnostics_done(&d);
	free(path);
}

/* The example of the contract, with its secrets put into the test's folder. */
static const char contract[] =
	"state_dir: /var/lib/wayleave\n"
	"runtime_dir: /run/wayleave\n"
	"policies: [@/policies/*.yaml]\n"
	"mode: enforce\n"
	"workers: 0\n"
	"retention: { days: 90, max_bytes: 20G, warn_at: 80% }\n"
	"issuers:\n"
	"  okta:\n"
	"    url: https://acme.okta.com/oauth2/default\n"
	"    audience: api://wayleave\n"
	"    groups_claim: groups\n"
	"agents:\n"
	"  - name: claude-ci\n"
	"    cgroup: wayleave.slice/claude-ci\n"
	"    users: [runner]\n"
	"    identity: { issuer: okta, token_file: @/secret }\n"
	"    listen: deny\n"
	"    trust_files: [@/secret]\n"
	"resources:\n"
	"  - name: orders\n"
	"    protocol: postgres\n"
	"    hosts: [\"db.internal:5432\", \"10.0.3.0/24:5432\", \"[fd00::/8]:5432\"]\n"
	"    tls: { upstream: verify-full, ca_file: db-ca.pem }\n"
	"    credentials: { user: app_ro, password_file: password }\n"
	"reviewers:\n"
	"  dba: { slack: { channel: C012AB3CD, users: [U111, U222] }, local_users: [root], "
	"approvals: 1 }\n"
	"people:\n"
	"  - { name: ann, slack: U111, local: ann, principals: [ann@acme.com] }\n"
	"slack:\n"
	"  webhook_url_file: @/secret\n"
	"  bot_token_file: @/secret\n"
	"  signing_secret_file: @/secret\n"
	"  listen: \"0.0.0.0:8443\"\n"
	"  tls: { cert_file: @/db-ca.pem, key_file: @/secret }\n"
	"  api_url: https://slack.com/api\n"
	"egress: deny\n"
	"loopback: own\n";

static const char contract_rules[] =
	"rules:\n"
	"  - name: agents may read orders\n"
	"    agents: [claude-ci]\n"
	"    groups: [ai-agents]\n"
	"    principals: [bot@acme.com]\n"
	"    resources: [orders]\n"
	"    operations: [read]\n"
	"    objects: [\"public.orders\", \"public.customers\"]\n"
	"    allow:\n"
	"      mask:\n"
	"        - columns: [\"public.customers.ssn\"]\n"
	"          with: redact\n"
	"          filter: deny\n"
	"        - detect: [credit_card, email, secret]\n"
	"          with: partial\n"
	"  - name: writes need a person\n"
	"    resources: [orders]\n"
	"    operations: [insert, update, delete]\n"
	"    review: { by: dba, within: 15m, grant: 30m }\n"
	"  - name: no schema changes\n"
	"    operations: [ddl]\n"
	"    deny: { message: \"schema changes go through migrations\" }\n";

/* A self-signed certificate of no use but to be one. */
static void put_certificate(void)
{
	char *command =
		memory_format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
			      "-nodes -keyout %s/key -out %s/db-ca.pem -subj /CN=test "
			      "-days 1 2>/dev/null",
			folder, folder);

	cr_assert_eq(system(command), 0, "openssl");
	free(command);
}

static void put_contract(void)
{
	char *policies = memory_format("%s/policies", folder);

	cr_assert_eq(mkdir(policies, 0755), 0);
	free(policies);
	put_certificate();
	put_file("secret", 0600, "hunter2\n");
	put_file("password", 0600, "correct horse\n");
	put_file("wayleave.yaml", 0644, contract);
	put_file("policies/orders.yaml", 0644, contract_rules);
}

Test(config_load, contract)
{
	struct config *c;
	const struct config_resource *r;
	const struct config_rule *rule;
	const char **names;

	put_contract();
	c = load("wayleave.yaml", CONFIG_WITH_UNBUILT, 0);
	cr_expect_eq(c->mode.value, POLICY_ENFORCE);
	cr_expect_eq(c->egress.value, EGRESS_DENY);
	cr_expect_eq(c->loopback.value, LOOPBACK_OWN);
	cr_expect_eq(c->workers.value, 0);
	cr_expect_eq(c->retention->days.value, 90);
	cr_expect_eq(c->retention->max_bytes.value, 20ULL << 30);
	cr_expect_eq(c->retention->warn_at.value, 80);
	cr_expect_str_eq(c->user.text, "wayleave");
	cr_expect_eq(c->issuer_count, 1);
	cr_expect_str_eq(c->issuers[0].name.text, "okta");
	cr_assert_eq(c->agent_count, 1);
	cr_expect_str_eq(c->agents[0].cgroup.text, "wayleave.slice/claude-ci");
	cr_expect_eq(c->agents[0].listen.value, LISTEN_DENY);
	cr_expect_str_eq(c->agents[0].users.items[0].text, "runner");
	r = config_find_resource(c, "orders");
	cr_assert_not_null(r);
	cr_expect_null(config_find_resource(c, "order"));
	cr_expect_eq(r->protocol.value, PROTOCOL_POSTGRES);
	cr_expect_eq(r->host_count, 3);
	cr_expect_eq(r->tls->upstream.value, TLS_UPSTREAM_VERIFY_FULL);
	cr_expect_gt(r->tls->ca_text.length, 100);
	cr_expect_eq(c->reviewers[0].slack->users.count, 2);
	cr_expect_str_eq(c->slack->listen.text, "0.0.0.0:8443");
	cr_assert_eq(c->rule_count, 3);
	rule = &c->rules[0];
	cr_expect_eq(rule->place.line, 2);
	cr_expect_eq(rule->allow->mask_count, 2);
	cr_expect_eq(rule->allow->masks[1].with.value + 1, MASK_PARTIAL);
	cr_expect_eq(c->rules[1].review->within.value, 15 * 60 * NANOSECONDS_PER_SECOND);
	cr_expect_str_eq(c->rules[2].deny->message.text, "schema changes go through migrations");
	cr_assert_eq(config_list_names(c, &names), 1);
	cr_expect_str_eq(names[0], "db.internal");
	free(names);
	config_free(c);
}

/* Paths in a configuration are relative to its folder, wherever the process runs. */
Test(config_load, relative_paths)
{
	struct config *c;
	char *expected = memory_format("%s/db-ca.pem", folder);

	put_contract();
	cr_assert_eq(chdir("/"), 0);
	c = load("wayleave.yaml", CONFIG_WITH_UNBUILT, 0);
	cr_expect_str_eq(c->resources[0].tls->ca_file.text, expected);
	config_free(c);
	free(expected);
}

Test(config_load, defaults)
{
	struct config *c;

	put_file("wayleave.yaml", 0644, "policies: []\n");
	c = load("wayleave.yaml", 0, 0);
	cr_expect_null(c->audit);
	cr_expect_str_eq(c->state_dir.text, "/var/lib/wayleave");
	cr_expect_str_eq(c->runtime_dir.text, "/run/wayleave");
	cr_expect_str_eq(c->user.text, "wayleave");
	cr_expect_null(c->retention);
	cr_expect_eq(config_default_retention.days.value, 90);
	cr_expect_eq(c->egress.value, EGRESS_DENY);
	cr_expect_eq(c->loopback.value, LOOPBACK_OWN);
	cr_expect_eq(c->mode.value, POLICY_ENFORCE);
	cr_expect_eq(c->listen_port.value, 0);
	config_free(c);
}

Test(config_load, agents_behind_interfaces)
{
	const struct config_agent *a;
	struct config *c;

	put_file("wayleave.yaml", 0644,
		"policies: []\nagents:\n"
		"  - {name: vm, interfaces: [tap0, \"veth-a*\"], listen: allow,\n"
		"     addresses: [10.9.0.2, 10.8.0.0/16, \"fd00::/64\"]}\n"
		"  - {name: other, interfaces: [br0]}\n");
	c = load("wayleave.yaml", 0, 0);
	cr_assert_eq(c->agent_count, 2);
	a = &c->agents[0];
	cr_expect_null(a->cgroup.text);
	cr_assert_eq(a->interfaces.count, 2);
	cr_expect_str_eq(a->interfaces.items[1].text, "veth-a*");
	cr_assert_eq(a->network_count, 3);
	cr_expect_eq(a->networks[0].prefix, 128);
	cr_expect_eq(a->networks[1].prefix, 96 + 16);
	cr_expect_eq(a->networks[1].address.bytes[13], 8);
	cr_expect_eq(a->networks[2].prefix, 64);
	cr_expect_eq(c->agents[1].network_count, 0);
	config_free(c);
}

/* Each agent has no more than it may; all together have. */
Test(config_load, addresses_behind_interfaces_are_bounded_together)
{
	struct buffer text;

	buffer_init(&text, 1 << 20);
	buffer_append_string(&text, "policies: []\nagents:\n");
	for (unsigned a = 0; a < 5; a++) {
		buffer_append_format(&text, "  - {name: a%u, interfaces: [", a);
		for (unsigned i = 0; i < 16; i++)
			buffer_append_format(&text, "tap%u-%u, ", a, i);
		buffer_append_string(&text, "], addresses: [");
		for (unsigned i = 0; i < 64; i++)
			buffer_append_format(&text, "10.9.%u.%u, ", a, i + 1);
		buffer_append_string(&text, "]}\n");
	}
	buffer_append_byte(&text, 0);
	put_file("wayleave.yaml", 0644, (const char *)buffer_slice(&text).data);
	expect_error("wayleave.yaml", 0, "more than 4096 on all");
	buffer_done(&text);
}

/* Others would choose by it which server is taken for the resource's. */
Test(config_load, sockets_behind_links_that_others_can_change)
{
	char *link = memory_format("%s/link", folder);
	struct config *c;

	if (geteuid() != 0)
		cr_skip_test("it takes root to make root's links");
	put_file("wayleave.yaml", 0644,
		"policies: []\nresources:\n  - {name: s, protocol: postgres, hosts: "
		"[\"127.0.0.1:5432\"], upstream: {unix: @/link/socket}}\n");
	cr_assert_eq(symlink("/run/wl-none", link), 0);
	c = load("wayleave.yaml", 0, 0);
	config_free(c);
	cr_assert_eq(lchown(link, 65534, 65534), 0);
	expect_error("wayleave.yaml", 0, "leads through a link that others than root can change");
	c = load("wayleave.yaml", CONFIG_WITHOUT_FILES, 0);
	config_free(c);
	free(link);
}

Test(config_load, extensions)
{
	struct config *c;

	put_file("wayleave.yaml", 0644,
		"policies: [one.yaml]\nuser: wl\nlisten_port: 700\nmode: observe\negress: allow\n"
		"loopback: direct\nworkers: 3\nworker_limits: {memory: 2G}\naudit: {append_only: "
		"true}\nagents: [{name: a, "
		"cgroup: a, listen: allow}]\n"
		"resources:\n"
		"  - {name: s, protocol: postgres, hosts: [\"localhost:5432\"], "
		"upstream: {unix: run/pg}, allow_cleartext: true, "
		"tls: {server_name: db.example.com}}\n");
	put_file("one.yaml", 0644, "rules:\n  - {name: r, allow: {record: rows}}\n");
	c = load("wayleave.yaml", 0, 0);
	cr_expect_str_eq(c->user.text, "wl");
	cr_expect_eq(c->listen_port.value, 700);
	cr_expect_eq(c->mode.value, POLICY_OBSERVE);
	cr_expect_eq(c->egress.value, EGRESS_ALLOW);
	cr_expect_eq(c->loopback.value, LOOPBACK_DIRECT);
	cr_expect_eq(c->workers.value, 3);
	cr_expect_eq(c->worker_limits->memory.value, 2ULL << 30);
	cr_expect_eq(c->worker_limits->tasks.value, 8192);
	cr_expect(c->audit && c->audit->append_only);
	cr_expect_eq(c->agents[0].listen.value, LISTEN_ALLOW);
	cr_expect_eq(c->resources[0].tls->upstream.value, TLS_UPSTREAM_AS_CLIENT);
	cr_expect_str_eq(c->resources[0].tls->server_name.text, "db.example.com");
	cr_expect(strncmp(c->resources[0].upstream->unix_path.text, folder, strlen(folder)) == 0);
	cr_expect(c->resources[0].allow_cleartext);
	cr_expect_eq(c->rules[0].allow->record.value, RECORD_MODE_ROWS);
	config_free(c);
}

/* A file that two patterns name is read once, and the order of files is that of their names. */
Test(config_load, policy_files)
{
	struct config *c;

	put_file("wayleave.yaml", 0644, "policies: [\"[ab].yaml\", a.yaml, '@/b.yaml']\n");
	put_file("b.yaml", 0644, "rules: [{name: b, deny: }]\n");
	put_file("a.yaml", 0644, "rules: [{name: a, deny: }]\n");
	c = load("wayleave.yaml", 0, 0);
	cr_assert_eq(c->policy_file_count, 2);
	cr_expect(strstr(c->policy_files[0], "/a.yaml") != NULL);
	cr_assert_eq(c->rule_count, 2);
	cr_expect_str_eq(c->rules[1].name.text, "b");
	config_free(c);
}

Test(config_load, usual_policies)
{
	struct config *c;

	put_contract();
	put_file("wayleave.yaml", 0644, "mode: enforce\n");
	put_file("policies/orders.yaml", 0644, "rules: [{name: b, deny: }]\n");
	c = load("wayleave.yaml", 0, 0);
	cr_expect_eq(c->rule_count, 1);
	config_free(c);
}

/* The link says so, although nothing is there yet. */
Test(config_load, what_a_link_leads_to_is_not_shown)
{
	char *link = memory_format("%s/socket", folder);

	cr_assert_eq(symlink("/run/wl-none/socket", link), 0);
	put_file("wayleave.yaml", 0644,
		"agents: [{name: a, cgroup: a.slice, sockets: [/run/wl-none/]}]\n"
		"resources: [{name: linked, protocol: postgres, hosts: ['127.0.0.1:1'], "
		"upstream: {unix: @/socket}}]\n");
	expect_error("wayleave.yaml", 0, "does not show the socket of resource linked");
	free(link);
}

Test(config_load, secrets_that_others_can_read)
{
	struct config *c;

	put_contract();
	put_file("secret", 0644, "hunter2\n");
	c = load("wayleave.yaml", CONFIG_WITH_UNBUILT, 4);
	config_free(c);
	c = load("wayleave.yaml", CONFIG_WITH_UNBUILT | CONFIG_WITHOUT_FILES, 0);
	cr_expect_eq(c->resources[0].tls->ca_text.length, 0);
	config_free(c);
}

Test(config_load, secrets_that_are_none)
{
	static const char *const contents[] = {"", " \r\n"};

	put_contract();
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		put_file("secret", 0600, contents[i]);
		expect_error("wayleave.yaml", CONFIG_WITH_UNBUILT, "/secret is empty");
	}
}

Test(config_load, passwords_that_are_none)
{
	static const struct {
		mode_t mode;
		const char *content, *expected;
	} cases[] = {
		{0644, "hunter2\n", "is open to every user (mode 0644); expected 0600"},
		{0602, "hunter2\n", "is open to every user (mode 0602); expected 0600"},
		{0600, "", "is empty"},
		{0600, "\r\n", "is empty"},
	};

	put_contract();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_file("password", cases[i].mode, cases[i].content);
		expect_error("wayleave.yaml", CONFIG_WITH_UNBUILT, cases[i].expected);
	}
}

/* A certificate and its key, or another one's. */
static void put_client(const char *type, bool other)
{
	char *command = memory_format(
		"cd %s && openssl req -x509 -newkey %s -nodes -days 2 -subj /CN=app -keyout "
		"client.key -out client.pem 2>/dev/null && chmod 600 client.key",
		folder, type);

	cr_assert_eq(system(command), 0);
	free(command);
	if (!other)
		return;
	command = memory_format(
		"openssl genpkey -algorithm RSA -out %s/client.key 2>/dev/null", folder);
	cr_assert_eq(system(command), 0);
	free(command);
}

#define CLIENT                                                                                     \
	"policies: []\n"                                                                           \
	"resources:\n"                                                                             \
	"  - name: orders\n"                                                                       \
	"    protocol: postgres\n"                                                                 \
	"    hosts: [\"10.0.0.1:5432\"]\n"                                                         \
	"    credentials: { user: u, client_cert_file: client.pem, client_key_file: client.key "   \
	"}\n"

Test(config_load, client_certificates)
{
	struct config *c;

	put_file("wayleave.yaml", 0644, CLIENT);
	put_client("rsa:2048", false);
	c = load("wayleave.yaml", 0, 0);
	cr_expect_gt(c->resources[0].credentials->client_text.length, 100);
	cr_expect_eq(c->secret_file_count, 1);
	config_free(c);
	put_client("rsa:2048", true);
	expect_error("wayleave.yaml", 0, "expected the key of the first certificate");
	put_client("ed25519", false);
	expect_error("wayleave.yaml", 0, "expected an RSA or EC key in PEM, without a passphrase");
	put_file("client.key", 0600, "no key\n");
	expect_error("wayleave.yaml", 0, "expected an RSA or EC key in PEM, without a passphrase");
	put_client("rsa:2048", false);
	put_file("client.pem", 0600, "no certificate\n");
	expect_error("wayleave.yaml", 0, "expected PEM certificates");
	put_file("wayleave.yaml", 0644, CLIENT "    tls: { upstream: off }\n");
	expect_error("wayleave.yaml", 0, "\"client_cert_file\" needs TLS with the server");
}

Test(config_load, a_password_of_the_services_credentials)
{
	struct config *c;

	put_file("password", 0600, "correct horse\n");
	put_file("wayleave.yaml", 0644,
		"policies: []\n"
		"resources:\n"
		"  - name: orders\n"
		"    protocol: postgres\n"
		"    hosts: [\"10.0.0.1:5432\"]\n"
		"    credentials: { user: u, password_file: \"credential:password\" }\n");
	unsetenv("CREDENTIALS_DIRECTORY");
	expect_error("wayleave.yaml", 0, "this process was given no credentials");
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	c = load("wayleave.yaml", 0, 0);
	cr_expect(strstr(c->resources[0].credentials->password_file.text, "/password"));
	cr_expect_eq(c->secret_file_count, 1);
	config_free(c);
	put_file("wayleave.yaml", 0644,
		"resources:\n"
		"  - name: orders\n"
		"    protocol: postgres\n"
		"    hosts: [\"10.0.0.1:5432\"]\n"
		"    credentials: { user: u, password_file: \"credential:../x\" }\n");
	expect_error("wayleave.yaml", 0, "expected credential:NAME");
}

Test(config_load, files_that_others_can_write)
{
	struct config *c;

	put_file("wayleave.yaml", 0666, "policies: [a.yaml]\n");
	put_file("a.yaml", 0646, "rules: []\n");
	c = load("wayleave.yaml", 0, 2);
	config_free(c);
}

Test(config_load, policies_alone)
{
	char *path = write_file("orders.yaml", 0644, contract_rules);
	const char *files[] = {path};
	struct diagnostics d;
	struct config *c = NULL;

	diagnostics_init(&d);
	cr_assert_eq(config_load_policies(files, 1, CONFIG_WITH_UNBUILT, &d, &c), 0);
	cr_expect_eq(c->rule_count, 3);
	cr_expect_null(c->file);
	config_free(c);
	cr_expect_eq(config_load_policies(files, 1, 0, &d, &c), 0);
	config_free(c);
	diagnostics_done(&d);
	free(path);
}

static size_t count_errors(const char *name)
{
	char *path = memory_format("%s/%s", folder, name);
	struct diagnostics d;
	struct config *c = NULL;
	size_t errors;

	diagnostics_init(&d);
	cr_expect_eq(config_load(path, 0, &d, &c), -EINVAL);
	errors = d.errors;
	diagnostics_done(&d);
	free(path);
	return errors;
}

Test(config_load, limits)
{
	struct buffer big;

	buffer_init(&big, 1 << 22);
	buffer_append_string(&big, "policies: [");
	while (buffer_length(&big) < 220000)
		buffer_append_string(&big, "a,");
	buffer_append_string(&big, "a]\n");
	buffer_append_byte(&big, 0);
	put_file("nodes.yaml", 0644, (const char *)buffer_slice(&big).data);
	cr_expect_eq(count_errors("nodes.yaml"), 1);

	buffer_clear(&big);
	while (buffer_length(&big) < LIMIT_CONFIG_FILE_BYTES)
		buffer_append_string(&big, "# a comment that is read all the same\n");
	buffer_append_byte(&big, 0);
	put_file("bytes.yaml", 0644, (const char *)buffer_slice(&big).data);
	cr_expect_eq(count_errors("bytes.yaml"), 1);

	buffer_clear(&big);
	buffer_append_string(&big, "policies: []\nagents:\n");
	for (unsigned i = 0; i <= LIMIT_CONFIG_AGENTS; i++)
		buffer_append_format(&big, " - {name: a%u, cgroup: a%u}\n", i, i);
	buffer_append_byte(&big, 0);
	put_file("agents.yaml", 0644, (const char *)buffer_slice(&big).data);
	cr_expect_eq(count_errors("agents.yaml"), 1);
	buffer_done(&big);
}

/* The number is part of what kernel programs and records know an agent by. */
Test(config_load, agent_number)
{
	/* printf claude-ci | sha256sum | cut -c1-8 */
	cr_expect_eq(config_agent_id("claude-ci"), 0x91fcc3f8u);
}

/* Also libyaml must not end the process over them. */
Test(config_load, empty_files)
{
	put_file("w.yaml", 0644, "");
	expect_error("w.yaml", 0, "the file is empty");
	put_file("w.yaml", 0644, "policies: [@/p.yaml]\nagents: []\n");
	put_file("p.yaml", 0644, "");
	expect_error("w.yaml", 0, "the file is empty");
}
