/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker gets for its requests for proofs: one that was taken over asks for whatever it
 * likes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/monitor.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/scram.h"
#include "protocol/credentials.h"
#include "tests/unit/policy_test.h"

static const char text[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources:\n"
	"    - { name: left, protocol: postgres, hosts: [\"10.0.0.1:1\"], credentials: { user: u,"
	" password_file: PASSWORD } }\n"
	"    - { name: off, protocol: postgres, hosts: [\"10.0.0.1:2\"], tls: { upstream: off },"
	" credentials: { user: u, password_file: PASSWORD } }\n"
	"    - { name: unverified, protocol: postgres, hosts: [\"10.0.0.1:3\"], tls: { upstream: "
	"require },"
	" credentials: { user: u, password_file: PASSWORD } }\n"
	"    - { name: verified, protocol: postgres, hosts: [\"10.0.0.1:4\"], tls: { upstream: "
	"verify-full },"
	" credentials: { user: u, password_file: PASSWORD } }\n"
	"    - { name: allowed, protocol: postgres, hosts: [\"10.0.0.1:5\"], tls: { upstream: off "
	"},"
	" credentials: { user: u, password_file: PASSWORD, allow_cleartext: true } }\n"
	"    - { name: bearer, protocol: http, hosts: [\"10.0.0.1:7\"], credentials: {"
	" bearer_file: PASSWORD } }\n"
	"    - { name: query, protocol: http, hosts: [\"10.0.0.1:8\"], tls: { upstream: require },"
	" credentials: { query: { name: key, value_file: PASSWORD } } }\n"
	"    - { name: none, protocol: postgres, hosts: [\"10.0.0.1:6\"] }\n"
	"rules: [{ name: read, operations: [read], allow: {} }]\n";

static struct monitor *monitor;
static struct monitor_worker *worker;
static int channel; /* the worker's end */
static char path[] = "/tmp/wayleave-password-XXXXXX";

static struct config *load(void)
{
	struct diagnostics d;
	struct buffer whole;
	struct config *c;

	buffer_init(&whole, 65536);
	for (const char *p = text; *p; p++) {
		if (strncmp(p, "PASSWORD", 8) == 0) {
			buffer_append_string(&whole, path);
			p += 7;
		} else {
			buffer_append_byte(&whole, (uint8_t)*p);
		}
	}
	buffer_append_byte(&whole, 0);
	diagnostics_init(&d);
	c = policy_test_load_text((const char *)buffer_slice(&whole).data, &d);
	diagnostics_print(&d, stderr);
	cr_assert_not_null(c);
	diagnostics_done(&d);
	buffer_done(&whole);
	return c;
}

static void set_up(void)
{
	int pair[2], fd = mkstemp(path);

	cr_assert_eq(write(fd, "the secret\n", 11), 11);
	close(fd);
	monitor = memory_new(sizeof(*monitor));
	cr_assert_eq(loop_init(&monitor->loop), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	worker = &monitor->workers[0];
	*worker = (struct monitor_worker){.monitor = monitor, .channel = pair[0]};
	channel = pair[1];
	monitor->config = load();
	cr_assert_eq(credentials_new(monitor, &monitor->credentials), 0);
}

static void tear_down(void)
{
	unlink(path);
	config_free(monitor->config);
}

TestSuite(proofs, .init = set_up, .fini = tear_down);

static void send_request(uint64_t id, uint32_t kind, const char *resource, struct slice challenge)
{
	struct message_proof head = {
		.id = id, .kind = kind, .resource_length = (uint32_t)strlen(resource)};
	struct buffer request;

	buffer_init(&request, 65536);
	buffer_append(&request, &head, sizeof(head));
	buffer_append_string(&request, resource);
	buffer_append_slice(&request, challenge);
	requests_handle(worker, MESSAGE_PROOF, buffer_slice(&request), -1);
	buffer_done(&request);
}

/* The next reply; -EAGAIN: there is none. `ret` gets what stands behind the id. */
static int receive_reply(uint64_t *ret_id, struct buffer *ret)
{
	struct control_header header;
	size_t count = 0;
	int fds[CONTROL_DESCRIPTORS_MOST];

	for (int i = 0; i < 6000; i++) {
		buffer_clear(ret);
		if (control_receive(channel, &header, ret, fds, &count) == 0) {
			cr_assert_eq(header.type, MESSAGE_PROOF | MESSAGE_REPLY_BIT);
			memcpy(ret_id, buffer_slice(ret).data, sizeof(*ret_id));
			buffer_consume(ret, sizeof(*ret_id));
			return header.status;
		}
		loop_turn(&monitor->loop, 10);
	}
	return -EAGAIN;
}

static int ask(uint32_t kind, const char *resource, struct slice challenge, struct buffer *ret)
{
	uint64_t id;
	int r;

	buffer_init(ret, CONTROL_PAYLOAD_MOST);
	send_request(7, kind, resource, challenge);
	r = receive_reply(&id, ret);
	cr_expect_eq(id, 7);
	return r;
}

static void expect(uint32_t kind, const char *resource, struct slice challenge, int expected)
{
	struct buffer answer;

	cr_expect_eq(
		ask(kind, resource, challenge, &answer), expected, "kind %u of %s", kind, resource);
	buffer_done(&answer);
}

static struct scram_exchange sound_exchange(void)
{
	struct scram_exchange x = {.iterations = 16, .salt_length = 4, .server_nonce_length = 1};

	memset(x.nonce, 'n', sizeof(x.nonce));
	x.server_nonce[0] = 's';
	return x;
}

Test(proofs, of_a_password)
{
	struct scram_exchange x = sound_exchange();
	struct scram_proof expected;
	struct scram_keys keys;
	struct buffer answer;
	char md5[PG_MD5_ANSWER + 1];

	cr_assert_eq(ask(PROOF_SCRAM, "off", slice_of(&x, sizeof(x)), &answer), 0);
	scram_derive(&x, slice_from_string("the secret"), &keys);
	scram_prove(&x, &keys, &expected);
	cr_expect(slice_equal(buffer_slice(&answer), slice_of(&expected, sizeof(expected))));
	buffer_done(&answer);
	cr_assert_eq(ask(PROOF_POSTGRES_MD5, "off", slice_of("salt", 4), &answer), 0);
	pg_md5_answer(slice_from_string("the secret"), slice_from_string("u"),
		(const uint8_t *)"salt", md5);
	cr_expect(slice_equal_string(buffer_slice(&answer), md5));
	buffer_done(&answer);
}

Test(proofs, the_password_itself_only_where_it_may_be_sent)
{
	static const struct {
		const char *resource;
		int expected;
	} cases[] = {
		{"off", -EPERM},
		{"unverified", -EPERM},
		{"left", 0},
		{"verified", 0},
		{"allowed", 0},
		{"bearer", 0},
		{"query", -EPERM},
	};
	struct buffer answer;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cr_expect_eq(ask(PROOF_PASSWORD, cases[i].resource, SLICE_EMPTY, &answer),
			cases[i].expected, "%s", cases[i].resource);
		cr_expect_eq(slice_equal_string(buffer_slice(&answer), "the secret"),
			cases[i].expected == 0);
		buffer_done(&answer);
	}
}

Test(proofs, that_are_none)
{
	struct scram_exchange x = sound_exchange();
	struct message_signature signature = {.digest = PROOF_SHA256};

	expect(PROOF_SCRAM, "none", slice_of(&x, sizeof(x)), -ENOENT);
	expect(PROOF_SCRAM, "nowhere", slice_of(&x, sizeof(x)), -ENOENT);
	expect(PROOF_SCRAM, "", slice_of(&x, sizeof(x)), -ENOENT);
	expect(PROOF_SCRAM,
		"a name that is longer than any resource may have, and then goes on and on",
		slice_of(&x, sizeof(x)), -ENOENT);
	expect(PROOF_SCRAM, "bearer", slice_of(&x, sizeof(x)), -ENOENT);
	expect(PROOF_POSTGRES_MD5, "bearer", slice_of("salt", 4), -ENOENT);
	expect(PROOF_SIGNATURE, "bearer", slice_of(&signature, sizeof(signature)), -ENOENT);
	expect(PROOF_SIGNATURE, "off", slice_of(&signature, sizeof(signature)), -ENOENT);
	expect(PROOF_KIND_COUNT, "off", SLICE_EMPTY, -EINVAL);
	expect(UINT32_MAX, "off", SLICE_EMPTY, -EINVAL);
	expect(PROOF_POSTGRES_MD5, "off", slice_of("salt!", 5), -EINVAL);
	expect(PROOF_PASSWORD, "allowed", slice_of("x", 1), -EINVAL);
	expect(PROOF_SCRAM, "off", slice_of(&x, sizeof(x) - 1), -EINVAL);
	x.iterations = LIMIT_SCRAM_ITERATIONS + 1;
	expect(PROOF_SCRAM, "off", slice_of(&x, sizeof(x)), -EINVAL);
	x = sound_exchange();
	x.salt_length = UINT32_MAX;
	expect(PROOF_SCRAM, "off", slice_of(&x, sizeof(x)), -EINVAL);
}

Test(proofs, a_file_that_others_can_read)
{
	struct buffer answer;

	chmod(path, 0644);
	cr_expect_eq(ask(PROOF_POSTGRES_MD5, "off", slice_of("salt", 4), &answer), -EACCES);
	cr_expect_null(
		memmem(buffer_slice(&answer).data, buffer_length(&answer), path, strlen(path)),
		"the agent is not told of files");
	buffer_done(&answer);
}

Test(proofs, of_another_worker_are_for_nobody)
{
	struct buffer answer;
	uint64_t id;

	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	send_request(7, PROOF_POSTGRES_MD5, "off", slice_of("salt", 4));
	strcpy(worker->incarnation.text, "w-NEXT");
	send_request(8, PROOF_POSTGRES_MD5, "off", slice_of("salt", 4));
	cr_assert_eq(receive_reply(&id, &answer), 0);
	cr_expect_eq(id, 8);
	buffer_done(&answer);
}

/* Those of one resource wait for each other, not those of others. */
Test(proofs, that_are_dear_are_that_of_their_resource_alone)
{
	struct scram_exchange dear = sound_exchange();
	struct buffer answer;
	uint64_t id = 0;

	dear.iterations = LIMIT_SCRAM_ITERATIONS / 2;
	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	for (uint64_t i = 1; i <= 3; i++) {
		dear.salt[0] = (uint8_t)i;
		send_request(i, PROOF_SCRAM, "off", slice_of(&dear, sizeof(dear)));
	}
	send_request(100, PROOF_POSTGRES_MD5, "left", slice_of("salt", 4));
	cr_assert_eq(receive_reply(&id, &answer), 0);
	cr_expect_eq(id, 1);
	cr_assert_eq(receive_reply(&id, &answer), 0);
	cr_expect_eq(id, 100);
	for (uint64_t i = 2; i <= 3; i++) {
		cr_assert_eq(receive_reply(&id, &answer), 0);
		cr_expect_eq(id, i);
	}
	buffer_done(&answer);
}

Test(proofs, a_worker_that_asks_without_end)
{
	struct buffer answer;
	unsigned busy = 0, made = 0;
	uint64_t id;

	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	for (unsigned i = 0; i < 8 * LIMIT_PROOFS_PER_SECOND; i++) {
		send_request(i + 1, PROOF_POSTGRES_MD5, "off", slice_of("salt", 4));
		if (i % 50 == 0) {
			int r = receive_reply(&id, &answer);

			busy += r == -EBUSY;
			made += r == 0;
		}
	}
	cr_expect_gt(busy, 0);
	cr_expect_gt(made, 0);
	buffer_done(&answer);
}
