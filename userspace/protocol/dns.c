/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/dns.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

#define HEADER 12u
#define FLAG_RESPONSE 0x8000u
#define FLAG_TRUNCATED 0x0200u
#define OPCODE_MASK 0x7800u
#define CODE_MASK 0x000fu
#define CLASS_INTERNET 1
#define LABEL_MOST 63u
#define POINTER 0xc0u
#define POINTERS_MOST 64u
#define RECORD_HEAD 10u /* type, class, lifetime, length */
/* RFC 9460 14.3.2 */
#define HINT_IPV4 4
#define HINT_IPV6 6

struct reader {
	struct slice bytes; /* the whole message: pointers count from its beginning */
	size_t at;
};

static size_t left(const struct reader *r)
{
	return r->bytes.length - r->at;
}

static uint8_t lower(uint8_t letter)
{
	return letter >= 'A' && letter <= 'Z' ? (uint8_t)(letter + ('a' - 'A')) : letter;
}

/* Appends a label; false: the name becomes too long. What can't be shown makes `*strange`. */
static bool append_label(
	char *name, size_t *length, const uint8_t *label, size_t size, bool *strange)
{
	if (*length + (*length > 0) + size >= DNS_NAME_SIZE)
		return false;
	if (*length > 0)
		name[(*length)++] = '.';
	for (size_t i = 0; i < size; i++) {
		*strange |= label[i] <= ' ' || label[i] >= 0x7f || label[i] == '.';
		name[(*length)++] = (char)lower(label[i]);
	}
	return true;
}

/* RFC 1035 4.1.4. Each pointer leads further back than where the labels before it began, so that
 * none leads in a circle. -ENOTSUP: a name of letters that can't be shown, read to its end. */
static int read_name(struct reader *r, char ret[DNS_NAME_SIZE])
{
	size_t at = r->at, length = 0, least = r->at;
	bool strange = false, jumped = false;

	for (unsigned pointers = 0;;) {
		uint8_t size;

		if (at >= r->bytes.length)
			return -EBADMSG;
		size = r->bytes.data[at];
		if ((size & POINTER) == POINTER) {
			size_t to;

			if (r->bytes.length - at < 2 || ++pointers > POINTERS_MOST)
				return -EBADMSG;
			to = bytes_get_u16(r->bytes.data + at) & 0x3fffu;
			if (!jumped)
				r->at = at + 2;
			jumped = true;
			if (to >= least)
				return -EBADMSG;
			at = least = to;
			continue;
		}
		if (size > LABEL_MOST || r->bytes.length - at < size + 1u)
			return -EBADMSG;
		at += size + 1u;
		if (size == 0)
			break;
		if (!append_label(ret, &length, r->bytes.data + at - size, size, &strange))
			return -EBADMSG;
	}
	if (!jumped)
		r->at = at;
	if (length == 0)
		ret[length++] = '.';
	ret[length] = '\0';
	return strange ? -ENOTSUP : 0;
}

static int read_question(struct reader *r, struct dns_message *ret)
{
	if (read_name(r, ret->name) < 0 || left(r) < 4)
		return -EBADMSG;
	ret->type = bytes_get_u16(r->bytes.data + r->at);
	ret->class = bytes_get_u16(r->bytes.data + r->at + 2);
	r->at += 4;
	return 0;
}

struct record {
	char owner[DNS_NAME_SIZE];
	bool strange; /* nothing that was asked for is called so */
	uint16_t type, class;
	uint32_t lifetime;
	size_t data, length; /* in the message */
};

static int read_record(struct reader *r, struct record *ret)
{
	const uint8_t *head;
	int result = read_name(r, ret->owner);

	ret->strange = result == -ENOTSUP;
	if ((result < 0 && !ret->strange) || left(r) < RECORD_HEAD)
		return -EBADMSG;
	head = r->bytes.data + r->at;
	ret->type = bytes_get_u16(head);
	ret->class = bytes_get_u16(head + 2);
	ret->lifetime = bytes_get_u32(head + 4);
	/* RFC 2181 8: with the highest bit it is none. */
	if (ret->lifetime > INT32_MAX)
		ret->lifetime = 0;
	ret->length = bytes_get_u16(head + 8);
	r->at += RECORD_HEAD;
	ret->data = r->at;
	if (left(r) < ret->length)
		return -EBADMSG;
	r->at += ret->length;
	return 0;
}

static void add_address(
	struct dns_message *m, const uint8_t *address, size_t size, uint32_t lifetime)
{
	struct dns_address *a;

	if (m->address_count == DNS_ADDRESSES_MOST)
		return;
	a = &m->addresses[m->address_count++];
	*a = (struct dns_address){.lifetime = lifetime};
	if (size == 4)
		a->bytes[10] = a->bytes[11] = 0xff;
	memcpy(a->bytes + sizeof(a->bytes) - size, address, size);
}

/* RFC 9460 2.2, 7.3: a priority (0: it stands for another name), a target, parameters. */
static int read_service(
	const struct reader *message, const struct record *record, struct dns_message *m)
{
	struct reader r = {
		slice_of(message->bytes.data, record->data + record->length), record->data};
	char target[DNS_NAME_SIZE];

	if (record->length < 3)
		return -EBADMSG;
	if (bytes_get_u16(r.bytes.data + r.at) == 0)
		return 0;
	r.at += 2;
	if (read_name(&r, target) == -EBADMSG)
		return -EBADMSG;
	while (left(&r) >= 4) {
		uint16_t key = bytes_get_u16(r.bytes.data + r.at);
		size_t length = bytes_get_u16(r.bytes.data + r.at + 2);
		size_t size = key == HINT_IPV4 ? 4 : key == HINT_IPV6 ? 16 : 0;

		r.at += 4;
		if (length > left(&r) || (size && length % size))
			return -EBADMSG;
		for (size_t i = 0; size && i < length; i += size)
			add_address(m, r.bytes.data + r.at + i, size, record->lifetime);
		r.at += length;
	}
	return left(&r) ? -EBADMSG : 0;
}

/* An address of the name, where the record says one. */
static int take_record(
	const struct reader *message, const struct record *record, struct dns_message *m)
{
	const uint8_t *data = message->bytes.data + record->data;

	switch (record->type) {
	case DNS_A:
	case DNS_AAAA:
		if (record->length != (record->type == DNS_A ? 4 : 16))
			return -EBADMSG;
		add_address(m, data, record->length, record->lifetime);
		return 0;
	case DNS_SVCB:
	case DNS_HTTPS:
		return read_service(message, record, m);
	default:
		return 0;
	}
}

/* What the name stands for, if one of the records says so. */
static int read_alias(const struct reader *message, const struct record *record, char *name)
{
	struct reader r = {
		slice_of(message->bytes.data, record->data + record->length), record->data};
	int result = read_name(&r, name);

	/* It has no addresses that were asked for. */
	if (result == -ENOTSUP)
		name[0] = '\0';
	return result == -EBADMSG || left(&r) ? -EBADMSG : 0;
}

/* Goes through the records once: `name` becomes what it stands for (*found), or its addresses are
 * taken. */
static int go_through(
	struct reader r, unsigned count, char *name, bool takes, struct dns_message *m, bool *found)
{
	struct reader message = {r.bytes, 0};

	for (unsigned i = 0; i < count; i++) {
		struct record record;
		int result = read_record(&r, &record);

		if (result < 0)
			return result;
		if (record.strange || record.class != CLASS_INTERNET ||
			strcmp(record.owner, name) != 0)
			continue;
		if (takes) {
			result = take_record(&message, &record, m);
		} else if (record.type == DNS_CNAME && !*found) {
			*found = true;
			result = read_alias(&message, &record, name);
			if (result == 0)
				return 0;
		}
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_answer(const struct reader *r, unsigned count, struct dns_message *m)
{
	char name[DNS_NAME_SIZE];
	bool found = true;
	int result = 0;

	memcpy(name, m->name, sizeof(name));
	for (unsigned i = 0; result == 0 && found && i < DNS_CHAIN_MOST; i++) {
		found = false;
		result = go_through(*r, count, name, false, NULL, &found);
	}
	/* A chain that does not end has no addresses. */
	return result == 0 && !found ? go_through(*r, count, name, true, m, &found) : result;
}

/* Whatever else stands there nobody judges, and resolvers may pass it on. */
static int read_behind_query(struct reader *r, unsigned answers)
{
	unsigned authorities = bytes_get_u16(r->bytes.data + 8);
	unsigned additional = bytes_get_u16(r->bytes.data + 10);
	struct record record;

	if (answers || authorities || additional > 1)
		return -EBADMSG;
	if (additional &&
		(read_record(r, &record) < 0 || record.type != DNS_OPT ||
			strcmp(record.owner, ".") != 0))
		return -EBADMSG;
	return left(r) ? -EBADMSG : 0;
}

int dns_parse(struct slice bytes, struct dns_message *ret)
{
	struct reader r = {bytes, HEADER};
	uint16_t flags, answers;
	int result;

	memset(ret, 0, sizeof(*ret));
	if (bytes.length < HEADER)
		return -EBADMSG;
	ret->id = bytes_get_u16(bytes.data);
	flags = bytes_get_u16(bytes.data + 2);
	answers = bytes_get_u16(bytes.data + 6);
	ret->response = flags & FLAG_RESPONSE;
	ret->truncated = flags & FLAG_TRUNCATED;
	ret->code = flags & CODE_MASK;
	if (flags & OPCODE_MASK || bytes_get_u16(bytes.data + 4) != 1 || answers > DNS_RECORDS_MOST)
		return -EBADMSG;
	result = read_question(&r, ret);
	if (result == 0 && !ret->response)
		return read_behind_query(&r, answers);
	if (result < 0 || ret->code)
		return result;
	return read_answer(&r, answers, ret);
}

const char *dns_type_name(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {{DNS_A, "A"}, {2, "NS"}, {DNS_CNAME, "CNAME"}, {6, "SOA"}, {10, "NULL"},
		{12, "PTR"}, {15, "MX"}, {16, "TXT"}, {DNS_AAAA, "AAAA"}, {33, "SRV"},
		{DNS_SVCB, "SVCB"}, {DNS_HTTPS, "HTTPS"}, {255, "ANY"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	return NULL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_vowel(char c)
{
	return strchr("aeiouy", c) != NULL;
}

/* Words have vowels in between; what is encoded changes between letters and digits, or has hardly
 * any. Digits alone are no such thing, as in the names of machines. */
static bool is_random(const char *run, size_t length)
{
	size_t changes = 0, letters = 0, vowels = 0;

	for (size_t i = 0; i < length; i++) {
		letters += !is_digit(run[i]);
		vowels += is_vowel(run[i]);
		changes += i > 0 && is_digit(run[i]) != is_digit(run[i - 1]);
	}
	return changes * 6 >= length || (letters * 2 >= length && vowels * 5 < letters);
}

bool dns_name_is_random(const char *name, size_t most)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

	while (*name) {
		size_t length = strspn(name, letters);

		if (length >= most && is_random(name, length))
			return true;
		name += length + (name[length] != '\0');
	}
	return false;
}
