/* SPDX-License-Identifier: Apache-2.0
 *
 * match_address: e-mail addresses and addresses of the Internet Protocol.
 */
#include <arpa/inet.h>

#include "base/memory.h"
#include "masking/match.h"

#define EMAIL_LOCAL_MOST 256 /* bytes; RFC 5321 allows 64 */
#define EMAIL_DOMAIN_MOST 255

/* Whether the domain has a dot with a top-level name behind it: two letters, or not ASCII. */
static bool domain_is_right(struct slice domain)
{
	for (size_t i = 1; i + 2 < domain.length; i++) {
		if (domain.data[i] != '.')
			continue;
		if (domain.data[i + 1] >= 0x80 ||
			character_run(domain, i + 1, CHARACTER_LETTER, 2) == 2)
			return true;
	}
	return false;
}

/* The local part ends at `at`, the domain begins at `domain`. */
static bool match_email_parts(struct slice text, size_t at, size_t domain, struct match *ret)
{
	size_t local = character_run_before(text, at, CHARACTER_EMAIL, EMAIL_LOCAL_MOST);
	size_t start = at - local;
	size_t length = character_run(text, domain, CHARACTER_DOMAIN, EMAIL_DOMAIN_MOST);

	while (start < at &&
		(memchr(".'", text.data[start], 2) || (text.data[start] & 0xc0) == 0x80))
		start++;
	while (length > 0 && memchr(".-", text.data[domain + length - 1], 2))
		length--;
	if (start == at || !domain_is_right(slice_of(text.data + domain, length)))
		return false;
	*ret = (struct match){start, domain + length};
	return true;
}

bool match_email(struct slice text, size_t at, struct match *ret)
{
	return match_email_parts(text, at, at + 1, ret);
}

/* user%40example.com, as in URLs. */
bool match_email_escaped(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	return match_email_parts(text, at, at + strlen(l->text), ret);
}

/* Up to three digits, at most 255. */
static size_t read_octet(struct slice text, size_t at)
{
	size_t n = character_run(text, at, CHARACTER_DIGIT, 4);
	unsigned value = 0;

	for (size_t i = 0; i < n && i < 3; i++)
		value = value * 10 + (text.data[at + i] - '0');
	return n > 3 || value > 255 ? 0 : n;
}

/* `at` is the last digit of the first octet. */
bool match_ipv4(struct slice text, size_t at, struct match *ret)
{
	size_t start = at - character_run_before(text, at, CHARACTER_DIGIT, 3), end = start;

	for (unsigned i = 0; i < 4; i++) {
		size_t n;

		if (i > 0 && (end >= text.length || text.data[end++] != '.'))
			return false;
		n = read_octet(text, end);
		if (n == 0)
			return false;
		end += n;
	}
	/* Longer rows of numbers with dots are versions, not addresses. */
	if (!match_begins_word(text, start) || !match_ends_word(text, end) ||
		(start >= 2 && text.data[start - 1] == '.' &&
			character_is(text.data[start - 2], CHARACTER_DIGIT)) ||
		(end + 1 < text.length && text.data[end] == '.' &&
			character_is(text.data[end + 1], CHARACTER_DIGIT)))
		return false;
	*ret = (struct match){start, end};
	return true;
}

static bool is_ipv6_byte(uint8_t c)
{
	return c == ':' || c == '.' || character_is(c, CHARACTER_HEX);
}

/* The widest run of hexadecimal digits, colons and dots around the colon must be an address as
 * inet_pton() reads it; with a digit in it, as "std::add" is not one. */
bool match_ipv6(struct slice text, size_t at, struct match *ret)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr parsed;
	size_t start = at, end = at;
	bool digit = false;

	while (start > 0 && at - start < sizeof(address) && is_ipv6_byte(text.data[start - 1]))
		start--;
	while (end < text.length && end - at < sizeof(address) && is_ipv6_byte(text.data[end]))
		end++;
	/* The end of a sentence. */
	while (end > at + 1 && text.data[end - 1] == '.')
		end--;
	if (end - start >= sizeof(address) || !match_begins_word(text, start) ||
		!match_ends_word(text, end))
		return false;
	for (size_t i = start; i < end; i++)
		digit |= character_is(text.data[i], CHARACTER_DIGIT);
	memcpy(address, text.data + start, end - start);
	address[end - start] = '\0';
	if (!digit || inet_pton(AF_INET6, address, &parsed) != 1)
		return false;
	*ret = (struct match){start, end};
	return true;
}
