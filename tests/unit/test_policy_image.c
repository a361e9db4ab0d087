/* SPDX-License-Identifier: Apache-2.0
 *
 * The image: all of a policy arrives, and nothing that is not one is taken for one.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <glob.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "policy/private.h"
#include "policy_test.h"

static const char everything[] =
	"config:\n"
	"  mode: observe\n"
	"  egress: allow\n"
	"  loopback: egress\n"
	"  issuers: {i: {url: https://i, audience: x}}\n"
	"  agents:\n"
	"    - {name: a, cgroup: x/a, users: [u1, u2], listen: allow, identity: {issuer: i}}\n"
	"    - {name: b, cgroup: x/b}\n"
	"  resources:\n"
	"    - {name: web, protocol: http, hosts: [\"*.example.com:*\", \"[fd00::/8]:443\"],"
	" tls: {mode: passthrough}}\n"
	"    - {name: db, protocol: postgres, hosts: [\"db.internal:5432\", \"10.0.0.7:5432\"],"
	" tls: {upstream: verify-ca, server_name: other.name}, upstream: {unix: /run/pg/.s},"
	" allow_cleartext: true, credentials: {user: u, password_file: "
	"/etc/wayleave/SECRET-PATH}}\n"
	"  reviewers: {dba: {local_users: [root]}}\n"
	"rules:\n"
	"  - name: z allow\n"
	"    agents: [b, a, b]\n"
	"    groups: [g1, g2]\n"
	"    principals: [p1]\n"
	"    resources: [egress, db]\n"
	"    operations: [read, drop]\n"
	"    objects: [s.t, \"*.x\"]\n"
	"    allow:\n"
	"      record: rows\n"
	"      mask:\n"
	"        - {columns: [a.b.c, d.e.f], with: hash, filter: allow}\n"
	"        - {detect: [email, secret], with: partial}\n"
	"        - {detect: [email], with: redact}\n"
	"        - {detect: [email], with: hash}\n"
	"  - {name: m review, review: {by: dba, within: 90s, grant: 2h, as: app_rw}}\n"
	"  - {name: a deny, deny: {message: no way}}\n"
	"  - {name: zz body, operations: [POST], body: {\"$.a.b\": [x, \"y*\"], $.c: [z]}, deny: "
	"}\n";

static struct config *load(const char *text)
{
	struct diagnostics d;
	struct config *c;

	diagnostics_init(&d);
	c = policy_test_load_text(text, &d);
	diagnostics_print(&d, stderr);
	cr_assert_not_null(c);
	diagnostics_done(&d);
	return c;
}

static void build(const char *text, struct buffer *ret)
{
	struct policy_address addresses[2] = {{.name = slice_from_string("db.internal")},
		{.name = slice_from_string("db.internal")}};
	struct config *c = load(text);

	cr_assert_eq(address_parse("10.1.2.3", &addresses[0].address), 0);
	cr_assert_eq(address_parse("fd00::1", &addresses[1].address), 0);
	buffer_init(ret, LIMIT_POLICY_IMAGE);
	cr_assert_eq(policy_image_build(c, 42, addresses, 2, ret), 0);
	config_free(c);
}

static struct policy *open_image(const struct buffer *image)
{
	struct policy *p = NULL;
	struct error e;

	cr_assert_eq(policy_open(buffer_slice(image).data, buffer_length(image), &p, &e), 0, "%s",
		e.text);
	return p;
}

#define expect_text(slice, expected)                                                               \
	cr_expect(slice_equal_string(slice, expected), "%.*s, not %s", SLICE_PRINT(slice), expected)

Test(policy_image, all_of_it_arrives)
{
	struct buffer image;
	struct policy *p;
	const struct policy_agent *a;
	const struct policy_resource *r;
	const struct policy_rule *rule;

	build(everything, &image);
	p = open_image(&image);
	buffer_wipe(&image); /* the policy has a copy of its own */
	cr_expect_eq(p->generation, 42);
	cr_expect_eq(p->mode, POLICY_OBSERVE);
	cr_expect_eq(p->egress, EGRESS_ALLOW);
	cr_expect_eq(p->loopback, LOOPBACK_EGRESS);

	cr_assert_eq(p->agent_count, 2);
	a = policy_find_agent(p, config_agent_id("a"));
	cr_assert_not_null(a);
	expect_text(a->name, "a");
	expect_text(a->cgroup, "x/a");
	cr_expect_eq(a->listen, LISTEN_ALLOW);
	cr_assert_eq(a->users.count, 2);
	expect_text(a->users.items[1], "u2");
	cr_expect_null(policy_find_agent(p, 0));
	cr_expect_null(policy_find_agent_name(p, slice_from_string("c")));

	cr_assert_eq(p->resource_count, 2);
	r = policy_find_resource(p, slice_from_string("db"));
	cr_assert_not_null(r);
	cr_expect_eq(policy_resource_index(p, r), 1);
	cr_expect_eq(r->protocol, PROTOCOL_POSTGRES);
	cr_expect_eq(r->tls_upstream, TLS_UPSTREAM_VERIFY_CA);
	expect_text(r->server_name, "other.name");
	expect_text(r->unix_path, "/run/pg/.s");
	cr_expect_str_eq((const char *)r->unix_path.data, "/run/pg/.s", "a C string too");
	cr_expect(r->allow_cleartext);
	cr_assert_eq(r->host_count, 2);
	cr_expect_eq(r->hosts[1].kind, HOST_ADDRESS);
	r = &p->resources[0];
	cr_expect_eq(r->tls_upstream, TLS_UPSTREAM_AS_CLIENT);
	cr_expect_eq(r->tls_mode, TLS_PASSTHROUGH);
	cr_expect_eq(r->hosts[0].kind, HOST_WILDCARD);
	cr_expect_eq(r->hosts[0].port, HOST_ANY_PORT);
	cr_expect_eq(r->hosts[1].prefix, 8);

	cr_assert_eq(p->rule_count, 4);
	expect_text(p->rules[0].name, "a deny");
	expect_text(p->rules[0].message, "no way");
	cr_expect_eq(p->rules[0].kind, RULE_DENY);
	cr_expect_eq(p->rules[0].agent_count, 0);
	cr_expect(!p->rules[0].names_operations);
	rule = &p->rules[1];
	cr_expect_eq(rule->kind, RULE_REVIEW);
	expect_text(rule->reviewers, "dba");
	cr_expect_eq(rule->within, 90000000000ULL);
	cr_expect_eq(rule->grant, 7200000000000ULL);
	rule = &p->rules[2];
	expect_text(rule->file, "test");
	cr_expect_eq(rule->line, 14);
	cr_expect_eq(rule->record, RECORD_MODE_ROWS);
	cr_assert_eq(rule->agent_count, 2);
	cr_expect_eq(rule->agents[0], 0);
	cr_assert_eq(rule->resource_count, 2);
	cr_expect_eq(rule->resources[0], 1);
	cr_expect_eq(rule->resources[1], POLICY_EGRESS);
	expect_text(rule->groups.items[1], "g2");
	expect_text(rule->principals.items[0], "p1");
	expect_text(rule->objects.items[1], "*.x");
	cr_expect(operation_set_has(&rule->operations, OPERATION_SELECT));
	cr_expect(operation_set_has(&rule->operations, OPERATION_DROP));
	cr_expect(!operation_set_has(&rule->operations, OPERATION_INSERT));
	cr_assert_eq(rule->column_count, 2);
	expect_text(rule->columns[1].pattern, "d.e.f");
	cr_expect_eq(rule->columns[1].strategy, MASK_HASH);
	cr_expect(rule->columns[1].filter_allowed);
	cr_expect_eq(rule->detectors[DETECTOR_EMAIL], MASK_REDACT);
	cr_expect_eq(rule->detectors[DETECTOR_SECRET], MASK_PARTIAL);
	cr_expect_eq(rule->detectors[DETECTOR_IBAN], MASK_NONE);

	rule = &p->rules[3];
	cr_assert_eq(rule->body_count, 2);
	expect_text(rule->bodies[0].path, "$.a.b");
	cr_assert_eq(rule->bodies[0].values.count, 2);
	expect_text(rule->bodies[0].values.items[1], "y*");
	expect_text(rule->bodies[1].path, "$.c");

	cr_assert_eq(p->address_count, 2);
	expect_text(p->addresses[1].name, "db.internal");
	policy_put(p);
	buffer_done(&image);
}

/* Workers get no secret, not even the name of the file that holds one. */
Test(policy_image, no_secrets)
{
	struct buffer image;

	build(everything, &image);
	cr_expect_null(memmem(buffer_slice(&image).data, buffer_length(&image), "SECRET", 6));
	buffer_done(&image);
}

Test(policy_image, same_input_same_image)
{
	struct buffer a, b;

	build(everything, &a);
	build(everything, &b);
	cr_expect(slice_equal(buffer_slice(&a), buffer_slice(&b)));
	buffer_done(&a);
	buffer_done(&b);
}

Test(policy_image, every_cut_is_refused)
{
	struct buffer image;
	struct error e;
	struct policy *p = NULL;

	build(everything, &image);
	for (size_t length = 0; length < buffer_length(&image); length++) {
		e.text[0] = '\0';
		cr_assert_lt(
			policy_open(buffer_slice(&image).data, length, &p, &e), 0, "%zu", length);
		cr_expect_neq(e.text[0], '\0');
	}
	buffer_append_byte(&image, 0);
	cr_expect_eq(
		policy_open(buffer_slice(&image).data, buffer_length(&image), &p, &e), -EINVAL);
	cr_expect_null(p);
	buffer_done(&image);
}

/* Uses what a policy has to offer, so that wrong values in it would be used too. */
static void use(struct policy *p)
{
	struct policy_candidate candidates[4];
	struct action_pair pairs[2] = {{.operation = OPERATION_SELECT,
					       .state = OBJECT_KNOWN,
					       .object = slice_from_string("s.t")},
		{.operation = OPERATION_CONNECT}};
	struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = pairs, .pair_count = 2};
	struct address a = {{0}};

	policy_match_address(p, &a, 443, candidates, 4);
	for (size_t i = 0; i < p->agent_count; i++) {
		struct policy_subject subject = {.agent = &p->agents[i],
			.principal = &principal_none,
			.protocol = PROTOCOL_POSTGRES};
		struct policy_scope *s = policy_scope_get(p, &subject);
		struct verdict v;

		policy_judge(s, &action, &v);
		mask_rules_find_column(
			v.outcome->masks, pairs[0].object, pairs[0].object, pairs[0].object, NULL);
		policy_scope_put(s);
	}
}

Test(policy_image, changed_bytes)
{
	struct buffer image;
	size_t opened = 0, length;

	build(everything, &image);
	length = buffer_length(&image);
	for (size_t i = 0; i < length; i++) {
		static const uint8_t changes[] = {0x01, 0x80, 0xff};

		for (size_t j = 0; j < ARRAY_SIZE(changes); j++) {
			struct policy *p = NULL;

			image.data[image.start + i] ^= changes[j];
			if (policy_open(buffer_slice(&image).data, length, &p, NULL) == 0) {
				use(p);
				policy_put(p);
				opened++;
			}
			image.data[image.start + i] ^= changes[j];
		}
	}
	cr_expect_gt(opened, 0, "letters of names may change");
	cr_expect_lt(opened, 3 * length);
	buffer_done(&image);
}

/* What other code takes for granted, and a length or range alone does not show. */
Test(policy_image, contradictions)
{
	struct config *c = load(everything);
	struct policy p;
	struct arena arena;
	struct mask_column column = {
		.pattern = slice_from_string("only.two"), .strategy = MASK_NULL};
	uint32_t far = 2;
	struct host bad[] = {{.kind = HOST_ADDRESS, .prefix = 127}, {.kind = HOST_NAME},
		{.kind = HOST_WILDCARD, .name = slice_from_string("x")}};

	for (unsigned i = 0; i < 11; i++) {
		struct policy *opened = NULL;
		struct policy_rule *rule;
		struct buffer image;
		int r;

		arena_init(&arena, SIZE_MAX);
		policy_compile(c, 1, NULL, 0, &arena, &p);
		rule = &p.rules[2];
		switch (i) {
		case 0:
			break;
		case 1:
			p.agents[1].id = 0;
			break;
		case 2:
			rule->agents = &far;
			rule->agent_count = 1;
			break;
		case 3:
			rule->resources = &far;
			rule->resource_count = 1;
			break;
		case 4:
			rule->names_operations = false;
			break;
		case 5:
			rule->operations.bits[OPERATION_COUNT / 64] |= 1ULL << 63;
			break;
		case 6:
			rule->columns = &column;
			rule->column_count = 1;
			break;
		case 7:
			rule->columns[0].strategy = MASK_NONE;
			break;
		default:
			p.resources[0].hosts = &bad[i - 8];
			p.resources[0].host_count = 1;
			break;
		}
		buffer_init(&image, LIMIT_POLICY_IMAGE);
		cr_assert_eq(policy_encode(&p, &image), 0);
		r = policy_open(buffer_slice(&image).data, buffer_length(&image), &opened, NULL);
		cr_expect_eq(r, i == 0 ? 0 : -EINVAL, "contradiction %u", i);
		policy_put(opened);
		buffer_done(&image);
		arena_done(&arena);
	}
	config_free(c);
}

/* Lengths and ends that lie. */
Test(policy_image, lies)
{
	struct config *c = load(everything);
	struct policy *p = NULL;
	struct buffer image;
	uint8_t *end, *text;

	buffer_init(&image, LIMIT_POLICY_IMAGE);
	cr_assert_eq(policy_image_build(c, 1, NULL, 0, &image), 0);
	end = image.data + image.end;
	text = memmem(image.data + image.start, buffer_length(&image), "no way", 7);
	cr_assert_not_null(text);
	text[6] = 'x'; /* the NUL behind it */
	cr_expect_eq(
		policy_open(image.data + image.start, buffer_length(&image), &p, NULL), -EINVAL);
	text[6] = 0;
	text[2] = 0;
	cr_expect_eq(
		policy_open(image.data + image.start, buffer_length(&image), &p, NULL), -EINVAL);
	text[2] = ' ';
	end[-3] = 0x10; /* a million addresses, of which none is there */
	cr_expect_eq(
		policy_open(image.data + image.start, buffer_length(&image), &p, NULL), -EINVAL);
	end[-3] = 0;
	cr_expect_eq(policy_open(image.data + image.start, buffer_length(&image), &p, NULL), 0);
	policy_put(p);
	buffer_done(&image);
	config_free(c);
}

Test(policy_image, does_not_fit)
{
	struct config *c = load(everything);
	struct buffer image;

	buffer_init(&image, 300);
	buffer_append_string(&image, "before");
	cr_expect_eq(policy_image_build(c, 1, NULL, 0, &image), -E2BIG);
	cr_expect(slice_equal_string(buffer_slice(&image), "before"), "what stood there stands");
	buffer_done(&image);
	config_free(c);
}

Test(policy_image, from_a_descriptor)
{
	struct buffer image;
	struct policy *p = NULL;
	struct error e;
	int fd = memfd_create("policy", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	build(everything, &image);
	cr_assert_eq(write(fd, buffer_slice(&image).data, buffer_length(&image)),
		(ssize_t)buffer_length(&image));
	/* wherever the sender left the offset */
	cr_assert_eq(policy_open_descriptor(fd, &p, &e), 0, "%s", e.text);
	cr_expect_eq(p->rule_count, 4);
	policy_put(p);
	p = NULL;
	cr_assert_eq(ftruncate(fd, 10), 0);
	cr_expect_eq(policy_open_descriptor(fd, &p, &e), -EINVAL);
	cr_assert_eq(ftruncate(fd, LIMIT_POLICY_IMAGE + 1L), 0);
	cr_expect_eq(policy_open_descriptor(fd, &p, &e), -E2BIG);
	cr_assert_eq(ftruncate(fd, 4L * LIMIT_POLICY_IMAGE), 0);
	cr_expect_eq(policy_open_descriptor(fd, &p, &e), -E2BIG);
	close(fd);
	cr_expect_eq(policy_open_descriptor(fd, &p, &e), -EBADF);
	cr_expect_null(p);
	buffer_done(&image);
}

/* Seeds of another version would be refused at their first bytes. tests/tools/policy_seeds.c makes
 * them. */
Test(policy_image, seeds_of_the_fuzzer_are_of_this_version)
{
	glob_t seeds;

	cr_assert_eq(glob("tests/fuzz/corpus/fuzz_policy_image/*", 0, NULL, &seeds), 0);
	for (size_t i = 0; i < seeds.gl_pathc; i++) {
		struct buffer image;
		struct policy *p = NULL;
		struct error e;

		buffer_init(&image, LIMIT_POLICY_IMAGE);
		cr_assert_eq(file_read(seeds.gl_pathv[i], &image, &e), 0, "%s", e.text);
		cr_assert_eq(policy_open(buffer_slice(&image).data, buffer_length(&image), &p, &e),
			0, "%s: %s", seeds.gl_pathv[i], e.text);
		policy_put(p);
		buffer_done(&image);
	}
	globfree(&seeds);
}
