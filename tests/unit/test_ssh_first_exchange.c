/* SPDX-License-Identifier: Apache-2.0
 *
 * The beginning of an exchange of keys, with hosts that are played here. A real one is asked in
 * tests/e2e/test_ssh_host_certificates.py.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "ssh/first_exchange.h"

#define ED25519 "ssh-ed25519-cert-v01@openssh.com"
#define GREETING "SSH-2.0-OpenSSH_9.2p1\r\n"

static struct first_exchange x;
static struct buffer said; /* by the host, and not taken yet */

static void setup(void)
{
	buffer_init(&said, 1u << 20);
	cr_assert_eq(first_exchange_init(&x), 0);
}

static void teardown(void)
{
	first_exchange_done(&x);
	buffer_done(&said);
}

TestSuite(ssh_first_exchange, .init = setup, .fini = teardown);

static void say(const char *text)
{
	cr_assert_eq(buffer_append_string(&said, text), 0);
}

static void say_packet(struct slice payload)
{
	size_t padding = 4 + (8 - (5 + payload.length + 4) % 8) % 8;

	buffer_append_u32(&said, (uint32_t)(1 + payload.length + padding));
	buffer_append_byte(&said, (uint8_t)padding);
	buffer_append_slice(&said, payload);
	while (padding--)
		buffer_append_byte(&said, 0);
}

static void say_offer(const char *methods, const char *algorithms)
{
	static const uint8_t cookie[16];
	struct buffer b;

	buffer_init(&b, 4096);
	buffer_append_byte(&b, 20);
	buffer_append(&b, cookie, sizeof(cookie));
	ssh_wire_append_string(&b, slice_from_string(methods));
	ssh_wire_append_string(&b, slice_from_string(algorithms));
	for (unsigned i = 0; i < 8; i++)
		ssh_wire_append_string(&b, slice_from_string("none"));
	buffer_append_byte(&b, 0);
	buffer_append_u32(&b, 0);
	say_packet(buffer_slice(&b));
	buffer_done(&b);
}

/* With a certificate of that type, of which only the begin is looked at here. */
static void say_reply(const char *type)
{
	struct buffer b, certificate;

	buffer_init(&b, 4096);
	buffer_init(&certificate, 4096);
	ssh_wire_append_string(&certificate, slice_from_string(type));
	buffer_append_string(&certificate, "more");
	buffer_append_byte(&b, 31);
	ssh_wire_append_string(&b, buffer_slice(&certificate));
	ssh_wire_append_string(&b, slice_from_string("half"));
	ssh_wire_append_string(&b, slice_from_string("signature"));
	say_packet(buffer_slice(&b));
	buffer_done(&certificate);
	buffer_done(&b);
}

/* All that was said, in pieces of that size. */
static int take(size_t size)
{
	struct buffer in;
	int r = 0;

	buffer_init(&in, 1u << 20);
	while (r == 0 && buffer_length(&said)) {
		struct slice some = slice_head(buffer_slice(&said), size);
		size_t taken = 0;

		cr_assert_eq(buffer_append_slice(&in, some), 0);
		buffer_consume(&said, some.length);
		r = first_exchange_take(&x, buffer_slice(&in), &taken);
		cr_assert_leq(taken, buffer_length(&in));
		buffer_consume(&in, taken);
	}
	cr_expect_eq(r < 0, x.why != NULL);
	buffer_done(&in);
	return r;
}

/* The next packet of ours, behind the greeting. */
static struct slice told_packet(void)
{
	struct slice out = buffer_slice(&x.out);
	size_t length = bytes_get_u32(out.data), padding = out.data[4];

	cr_assert_geq(out.length, 4 + length);
	cr_expect_eq((4 + length) % 8, 0);
	cr_expect_geq(padding, 4);
	buffer_consume(&x.out, 4 + length);
	return slice_of(out.data + 5, length - 1 - padding);
}

static void skip_greeting(void)
{
	cr_assert(
		slice_starts_with(buffer_slice(&x.out), slice_from_string("SSH-2.0-wayleave\r\n")));
	buffer_consume(&x.out, 18);
}

Test(ssh_first_exchange, a_certificate_is_asked_for_and_no_other_key)
{
	struct slice offer, methods, algorithms;

	skip_greeting();
	offer = told_packet();
	cr_expect_eq(offer.data[0], 20);
	offer = slice_from(offer, 17);
	cr_assert(ssh_wire_take_string(&offer, &methods));
	cr_assert(ssh_wire_take_string(&offer, &algorithms));
	cr_expect(slice_starts_with(methods, slice_from_string("curve25519-sha256,")));
	cr_expect(slice_equal_string(algorithms,
		ED25519 ",ecdsa-sha2-nistp256-cert-v01@openssh.com,"
			"ecdsa-sha2-nistp384-cert-v01@openssh.com,"
			"ecdsa-sha2-nistp521-cert-v01@openssh.com,"
			"rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"));
	for (unsigned i = 0; i < 8; i++)
		cr_assert(ssh_wire_take_string(&offer, &methods));
	cr_expect_eq(offer.length, 5);
	cr_expect_eq(buffer_length(&x.out), 0);
}

Test(ssh_first_exchange, every_method_and_algorithm_in_any_pieces)
{
	static const struct {
		const char *method, *algorithm, *type;
		size_t half; /* bytes of ours */
	} rows[] = {
		{"curve25519-sha256", ED25519, ED25519, 32},
		{"x,curve25519-sha256@libssh.org,ecdh-sha2-nistp256", "ssh-ed25519," ED25519,
			ED25519, 32},
		{"ecdh-sha2-nistp256", ED25519, ED25519, 65},
		{"ecdh-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
			"ecdsa-sha2-nistp384-cert-v01@openssh.com", 97},
		{"ecdh-sha2-nistp521", "rsa-sha2-256-cert-v01@openssh.com",
			"ssh-rsa-cert-v01@openssh.com", 133},
		{"diffie-hellman-group14-sha256", "rsa-sha2-512-cert-v01@openssh.com",
			"ssh-rsa-cert-v01@openssh.com", 256},
		{"diffie-hellman-group16-sha512,diffie-hellman-group14-sha256", ED25519, ED25519,
			512},
		{"diffie-hellman-group18-sha512", ED25519, ED25519, 1024},
	};
	static const size_t sizes[] = {1, 7, 65536};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(sizes); i++) {
		size_t row = i / ARRAY_SIZE(sizes);
		struct slice half, number, type, certificate;

		first_exchange_done(&x);
		cr_assert_eq(first_exchange_init(&x), 0);
		skip_greeting();
		told_packet();
		say("Welcome\n" GREETING);
		say_offer(rows[row].method, rows[row].algorithm);
		cr_assert_eq(take(sizes[i % ARRAY_SIZE(sizes)]), 0);
		half = told_packet();
		cr_assert_eq(half.data[0], 30);
		half = slice_from(half, 1);
		cr_assert(ssh_wire_take_string(&half, &number) && half.length == 0);
		cr_expect_eq(number.length, rows[row].half, "row %zu", row);
		say_packet(slice_from_string("\2ignored"));
		say_reply(rows[row].type);
		cr_assert_eq(take(sizes[i % ARRAY_SIZE(sizes)]), 0);
		cr_assert_eq(x.state, FIRST_EXCHANGE_DONE);
		certificate = buffer_slice(&x.certificate);
		cr_assert(ssh_wire_take_string(&certificate, &type));
		cr_expect(slice_equal_string(type, rows[row].type));
		cr_expect(slice_equal_string(certificate, "more"));
		cr_expect_eq(told_packet().data[0], 1, "it says goodbye");
	}
}

Test(ssh_first_exchange, a_host_without_a_certificate)
{
	say(GREETING);
	say_offer("curve25519-sha256", "ssh-ed25519,rsa-sha2-512,ssh-ed25519-cert-v01@openssh.co");
	cr_expect_eq(take(65536), -ENOENT);
}

Test(ssh_first_exchange, a_host_with_which_no_key_is_exchanged)
{
	say(GREETING);
	say_offer("diffie-hellman-group1-sha1", ED25519);
	cr_expect_eq(take(65536), -ENOTSUP);
}

Test(ssh_first_exchange, a_host_that_ends_it)
{
	say(GREETING);
	say_packet(slice_of("\1\0\0\0\2", 5));
	cr_expect_eq(take(65536), -ECONNRESET);
}

static void say_bytes(const void *bytes, size_t length)
{
	cr_assert_eq(buffer_append(&said, bytes, length), 0);
}

#define SAY(bytes) say_bytes(bytes, sizeof(bytes) - 1)

static void say_early_reply(void)
{
	say(GREETING);
	say_reply(ED25519);
}

static void say_other_type(void)
{
	say(GREETING);
	say_offer("curve25519-sha256", ED25519);
	say_reply("ssh-rsa-cert-v01@openssh.com");
}

static void say_plain_key(void)
{
	say(GREETING);
	say_offer("curve25519-sha256", ED25519);
	say_reply("ssh-ed25519");
}

static void say_two_offers(void)
{
	say(GREETING);
	say_offer("curve25519-sha256", ED25519);
	say_offer("curve25519-sha256", ED25519);
}

static void say_version_one(void)
{
	say("SSH-1.5-old\r\n");
}

static void say_much_before(void)
{
	for (unsigned i = 0; i < 9; i++)
		for (unsigned j = 0; j < 1000; j++)
			say(j < 999 ? "x" : "\n");
}

static void say_no_line_end(void)
{
	for (unsigned i = 0; i < 8193; i++)
		say("x");
}

static void say_too_long(void)
{
	SAY(GREETING "\0\0\x88\xbc\4\x14");
}

static void say_too_short(void)
{
	SAY(GREETING "\0\0\0\4\3\0\0\0");
}

static void say_only_padding(void)
{
	SAY(GREETING "\0\0\0\x0c\x0b\0\0\0\0\0\0\0\0\0\0\0");
}

static void say_cut_offer(void)
{
	say(GREETING);
	say_packet(slice_of("\x14"
			    "0123456789abcdef\0\0\0\4abc",
		24));
}

static void say_nothing_often(void)
{
	say(GREETING);
	for (unsigned i = 0; i < 17; i++)
		say_packet(slice_from_string("\2"));
}

Test(ssh_first_exchange, what_breaks_the_protocol_ends_it)
{
	static const struct {
		void (*say)(void);
		const char *what;
	} rows[] = {
		{say_early_reply, "a reply before the offer"},
		{say_other_type, "a certificate of another type"},
		{say_plain_key, "a key instead of a certificate"},
		{say_two_offers, "two offers"},
		{say_version_one, "another version"},
		{say_much_before, "more than a greeting"},
		{say_no_line_end, "a line without an end"},
		{say_too_long, "a packet that is too long"},
		{say_too_short, "a packet with too little padding"},
		{say_only_padding, "a packet without anything in it"},
		{say_cut_offer, "half an offer"},
		{say_nothing_often, "packets that say nothing"},
	};
	static const size_t sizes[] = {1, 65536};

	for (size_t i = 0; i < ARRAY_SIZE(rows) * ARRAY_SIZE(sizes); i++) {
		first_exchange_done(&x);
		cr_assert_eq(first_exchange_init(&x), 0);
		buffer_clear(&said);
		rows[i / 2].say();
		cr_expect_eq(take(sizes[i % 2]), -EBADMSG, "%s", rows[i / 2].what);
	}
}
