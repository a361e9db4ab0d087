/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/dns.h"

#define QUERY 0x0100
#define RESPONSE 0x8180
#define QUESTION "\xc0\x0c" /* the name behind the header */

struct message {
	uint8_t bytes[4096];
	size_t length;
};

static void put(struct message *m, const void *bytes, size_t length)
{
	memcpy(m->bytes + m->length, bytes, length);
	m->length += length;
}

static void put_u16(struct message *m, uint16_t value)
{
	bytes_put_u16(m->bytes + m->length, value);
	m->length += 2;
}

/* A header that says `answers`, and a question. */
static struct message begun(uint16_t flags, uint16_t answers, const char *name, uint16_t type)
{
	struct message m = {.length = 0};

	put_u16(&m, 0x1234);
	put_u16(&m, flags);
	put_u16(&m, 1);
	put_u16(&m, answers);
	put_u16(&m, 0);
	put_u16(&m, 0);
	put(&m, name, strlen(name) + 1);
	put_u16(&m, type);
	put_u16(&m, 1);
	return m;
}

static void add(struct message *m, const char *owner, size_t owner_length, uint16_t type,
	const void *data, size_t length)
{
	put(m, owner, owner_length);
	put_u16(m, type);
	put_u16(m, 1);
	put_u16(m, 0);
	put_u16(m, 60);
	put_u16(m, (uint16_t)length);
	put(m, data, length);
}

/* In memory of that size, so that the sanitizer sees what is read; cut at every length nothing is
 * read behind it. */
static int parse(const struct message *m, struct dns_message *ret)
{
	int r = 0;

	for (size_t length = 0; length <= m->length; length++) {
		uint8_t *copy = malloc(length + 1);

		memcpy(copy, m->bytes, length);
		r = dns_parse(slice_of(copy, length), ret);
		free(copy);
	}
	return r;
}

Test(dns, a_query)
{
	struct message m = begun(QUERY, 0, "\2DB\7Example", DNS_A);
	struct dns_message d;

	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_str_eq(d.name, "db.example");
	cr_assert_eq(d.id, 0x1234);
	cr_assert_not(d.response);
	cr_assert_eq(d.type, DNS_A);
	m = begun(QUERY, 0, "", 2);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_str_eq(d.name, ".");
}

#define OPT 41

Test(dns, what_stands_behind_a_query)
{
	struct message plain = begun(QUERY, 0, "\2db\7example", DNS_A), m = plain;
	struct dns_message d;

	put(&m, "data", 4);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	for (size_t section = 6; section < 10; section += 2) {
		m = plain;
		m.bytes[section + 1] = 1;
		add(&m, QUESTION, 2, 16, "\4data", 5);
		cr_assert_eq(parse(&m, &d), -EBADMSG);
	}
	m = plain;
	m.bytes[11] = 1;
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	add(&m, "", 1, OPT, "\0\x0a\0\x08 cookie ", 12);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_str_eq(d.name, "db.example");
	put(&m, "x", 1);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = plain;
	m.bytes[11] = 1;
	add(&m, QUESTION, 2, 16, "\4data", 5);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = plain;
	m.bytes[11] = 2;
	add(&m, "", 1, OPT, "", 0);
	add(&m, "", 1, OPT, "", 0);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
}

Test(dns, addresses_of_the_name_that_was_asked_for)
{
	struct message m = begun(RESPONSE, 4, "\2db\7example", DNS_A);
	static const uint8_t mapped[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1};
	struct dns_message d;

	add(&m, "\5other\7example", 15, DNS_A, "\1\2\3\4", 4);
	add(&m, QUESTION, 2, DNS_A, "\x0a\0\0\1", 4);
	add(&m, QUESTION, 2, 16, "\1x", 2);
	add(&m, "\2DB\7EXAMPLE", 12, DNS_AAAA, "0123456789abcdef", 16);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.address_count, 2);
	cr_assert_arr_eq(d.addresses[0].bytes, mapped, sizeof(mapped));
	cr_assert_eq(d.addresses[0].lifetime, 60);
	cr_assert_arr_eq(d.addresses[1].bytes, "0123456789abcdef", 16);
}

Test(dns, a_chain_in_any_order)
{
	struct message m = begun(RESPONSE, 4, "\2db\7example", DNS_A);
	struct dns_message d;

	add(&m, "\1b", 3, DNS_A, "\1\2\3\4", 4);
	add(&m, "\1a", 3, DNS_CNAME, "\1b", 3);
	add(&m, QUESTION, 2, DNS_CNAME, "\1a", 3);
	/* It stands for another one: this is nothing that was asked for. */
	add(&m, QUESTION, 2, DNS_A, "\5\6\7\x08", 4);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.address_count, 1);
	cr_assert_eq(d.addresses[0].bytes[12], 1);
}

Test(dns, a_chain_that_does_not_end_has_no_addresses)
{
	struct message m = begun(RESPONSE, 3, "\2db\7example", DNS_A);
	struct dns_message d;

	add(&m, QUESTION, 2, DNS_CNAME, "\1a", 3);
	add(&m, "\1a", 3, DNS_CNAME, QUESTION, 2);
	add(&m, "\1a", 3, DNS_A, "\1\2\3\4", 4);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.address_count, 0);
}

Test(dns, pointers_lead_back)
{
	struct message m = begun(RESPONSE, 1, "\2db\7example", DNS_A);
	uint8_t own[2] = {0xc0, (uint8_t)m.length};
	struct dns_message d;

	/* To itself, and beyond the end. */
	add(&m, (char *)own, 2, DNS_A, "\1\2\3\4", 4);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(RESPONSE, 1, "\2db\7example", DNS_A);
	add(&m, "\xff\xff", 2, DNS_A, "\1\2\3\4", 4);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	/* Two that lead to each other: the first of them forward. */
	m = begun(RESPONSE, 1, "\2db\7example", DNS_A);
	own[1] = (uint8_t)(m.length + 2);
	put(&m, own, 2);
	own[1] = (uint8_t)(m.length - 2);
	put(&m, own, 2);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
}

Test(dns, names_that_are_too_long_or_strange)
{
	char name[301] = "";
	struct dns_message d;
	struct message m;

	for (unsigned i = 0; i < 5; i++) {
		name[i * 60] = 59;
		memset(name + i * 60 + 1, 'x', 59);
	}
	m = begun(QUERY, 0, name, DNS_A);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(QUERY, 0, "\4d.b\n\7example", DNS_A);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(QUERY, 0, "\x40toolong", DNS_A);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	/* In an answer such a name is one that nobody asked for. */
	m = begun(RESPONSE, 2, "\2db\7example", DNS_A);
	add(&m, "\3d b", 5, DNS_A, "\1\2\3\4", 4);
	add(&m, QUESTION, 2, DNS_A, "\1\2\3\4", 4);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.address_count, 1);
}

Test(dns, hints_of_services_are_addresses)
{
	static const char service[] = "\0\1\0"
				      "\0\1\0\3\2h2"
				      "\0\4\0\x08\1\2\3\4\5\6\7\x08"
				      "\0\6\0\x10"
				      "0123456789abcdef";
	struct message m = begun(RESPONSE, 1, "\2db\7example", DNS_HTTPS);
	struct dns_message d;

	add(&m, QUESTION, 2, DNS_HTTPS, service, sizeof(service) - 1);
	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.address_count, 3);
	cr_assert_eq(d.addresses[1].bytes[15], 8);
	m = begun(RESPONSE, 1, "\2db\7example", DNS_HTTPS);
	add(&m, QUESTION, 2, DNS_HTTPS, "\0\1\0\0\4\0\3abc", 10);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
}

Test(dns, what_is_no_answer_or_says_too_much)
{
	struct message m = begun(RESPONSE | 3, 0, "\2db\7example", DNS_A);
	struct dns_message d;

	cr_assert_eq(parse(&m, &d), 0);
	cr_assert_eq(d.code, 3);
	m = begun(RESPONSE, DNS_RECORDS_MOST + 1, "\2db\7example", DNS_A);
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(QUERY | 0x2800, 0, "\2db\7example", DNS_A); /* an update */
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(QUERY, 0, "\2db\7example", DNS_A);
	m.bytes[5] = 2;
	cr_assert_eq(parse(&m, &d), -EBADMSG);
	m = begun(RESPONSE, 100, "\2db\7example", DNS_A);
	for (unsigned i = 0; i < 100; i++)
		add(&m, QUESTION, 2, DNS_A, "\1\2\3\4", 4);
	cr_assert_eq(dns_parse(slice_of(m.bytes, m.length), &d), 0);
	cr_assert_eq(d.address_count, DNS_ADDRESSES_MOST);
}

Test(dns, encoded_data)
{
	static const char *const data[] = {"mzxw6ytboi4dqojrgi3tinbwhe2tqmrtga4tqnbv.t.example",
		"9f86d081884c7d659a2feaa0c55ad015.example",
		"a.b9x2k4m8q1z7v3n5t6r0w2p4s8d1f3h5.example"};
	static const char *const names[] = {"db.example",
		"k8s-default-orders-1a2b3c4d5e-1234567890.elb.us-east-1.amazonaws.example",
		"internationalizationandlocalization.example",
		"00000000000000000000000000000001.example", "."};

	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		cr_assert(dns_name_is_random(data[i], 32), "%s", data[i]);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert_not(dns_name_is_random(names[i], 32), "%s", names[i]);
}
