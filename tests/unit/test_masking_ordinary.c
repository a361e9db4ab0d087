/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of what databases are full of, and that is no secret, the detectors take for one. The
 * bounds are those that docs/detectors.md gives; what they count is the same in each run.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/text.h"
#include "masking_test.h"

#define VALUES 20000

static uint64_t random_state;

/* xorshift64: the same numbers in each run. */
static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned below(unsigned most)
{
	return (unsigned)(random_next() % most);
}

static void random_bytes(uint8_t *ret, size_t length)
{
	for (size_t i = 0; i < length; i++)
		ret[i] = (uint8_t)random_next();
}

static void hex(char *ret, size_t bytes)
{
	uint8_t random[64];

	random_bytes(random, bytes);
	text_to_hex(slice_of(random, bytes), ret);
}

static void make_uuid(char *ret)
{
	char digits[33];

	hex(digits, 16);
	sprintf(ret, "%.8s-%.4s-4%.3s-a%.3s-%.12s", digits, digits + 8, digits + 13, digits + 17,
		digits + 20);
}

static void make_random_uuid(char *ret)
{
	char digits[33];

	hex(digits, 16);
	sprintf(ret, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16,
		digits + 20);
}

static void make_md5(char *ret)
{
	hex(ret, 16);
}

static void make_sha256(char *ret)
{
	hex(ret, 32);
}

static void make_bytea(char *ret)
{
	strcpy(ret, "\\x");
	hex(ret + 2, 20);
}

static void make_base64(char *ret)
{
	uint8_t random[48];

	random_bytes(random, sizeof(random));
	EVP_EncodeBlock((uint8_t *)ret, random, sizeof(random));
}

static void make_timestamp(char *ret)
{
	sprintf(ret, "20%02u-%02u-%02u %02u:%02u:%02u.%06u+%02u", below(40), 1 + below(12),
		1 + below(28), below(24), below(60), below(60), below(1000000), below(12));
}

static void make_epoch(char *ret)
{
	sprintf(ret, "%" PRIu64 " %" PRIu64, 1500000000 + random_next() % 400000000,
		1500000000000 + random_next() % 400000000000);
}

static void make_number(char *ret)
{
	sprintf(ret, "%" PRIu64, random_next() % 1000000000000);
}

static void make_decimal(char *ret)
{
	sprintf(ret, "-%u.%02u 0.%010" PRIu64 " %u,%03u,%03u.00", below(1000000), below(100),
		random_next() % 10000000000, below(1000), below(1000), below(1000));
}

static void make_version(char *ret)
{
	sprintf(ret, "v%u.%u.%u lib-%u.%u.so %u.%u-rc%u", below(20), below(40), below(100),
		below(10), below(10), below(9), below(9), below(9));
}

static void make_article(char *ret)
{
	sprintf(ret, "SKU-%05u-%02u PO %04u/%04u #%u INV%08u", below(100000), below(100),
		below(10000), below(10000), below(100000), below(100000000));
}

static void make_sentence(char *ret)
{
	static const char *const words[] = {"the", "secret", "token", "of", "pass", "order",
		"password", "card", "key", "to", "customer", "was", "shipped", "and", "phone",
		"returned,", "see", "page", "number", "account", "für", "größer", "IBAN", "mail"};

	ret[0] = 0;
	for (unsigned i = 0; i < 12; i++)
		strcat(strcat(ret, words[below(ARRAY_SIZE(words))]), i % 4 == 3 ? ". " : " ");
}

static void make_path(char *ret)
{
	char digits[17];

	hex(digits, 8);
	sprintf(ret, "/var/lib/app%u/%.4s/%s.tar.gz?page=%u&size=%u", below(100), digits, digits,
		below(100), below(100));
}

static void make_code(char *ret)
{
	static const char *const lines[] = {"if (token == NULL) return -1;",
		"for (i = 0; i < n; i++) sum += values[i];", "static const char *key_of(x);",
		"SELECT id, token_count FROM usage WHERE day > '2024-01-01'",
		"self.password_field.setVisible(True)", "#include <openssl/evp.h>",
		"std::vector<std::string> keys;", "a[1:2] = b @ c"};

	sprintf(ret, "%s // %u", lines[below(ARRAY_SIZE(lines))], below(100000));
}

static void make_card_like(char *ret)
{
	sprintf(ret, "%" PRIu64, 1000000000000000 + random_next() % 9000000000000000);
}

/* Values of 10,000 in which something may be found. */
static const struct {
	const char *name;
	void (*make)(char *ret);
	unsigned most;
} kinds[] = {
	{"uuid", make_uuid, 0},
	{"random uuid", make_random_uuid, 1},
	{"md5", make_md5, 0},
	{"sha256", make_sha256, 0},
	{"bytea", make_bytea, 0},
	{"base64", make_base64, 0},
	{"timestamp", make_timestamp, 0},
	{"epoch", make_epoch, 0},
	{"number", make_number, 0},
	{"decimal", make_decimal, 0},
	{"version", make_version, 0},
	{"article", make_article, 0},
	{"sentence", make_sentence, 0},
	{"path", make_path, 2},
	{"code", make_code, 0},
	/* Nothing but the issuers' ranges and the checksum tell a card from another number. */
	{"16 digits", make_card_like, 600},
};

Test(masking_ordinary, little_is_taken_wrongly)
{
	char text[512], first[512];

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		unsigned taken = 0;

		random_state = 88172645463325252u + k;
		for (unsigned i = 0; i < VALUES; i++) {
			struct detector_findings found;

			kinds[k].make(text);
			cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS,
					     slice_from_string(text), &found),
				0);
			if (found.count && taken++ == 0)
				strcpy(first, text);
		}
		cr_expect(taken <= kinds[k].most * (VALUES / 10000), "%s: %u of %u, as %s",
			kinds[k].name, taken, VALUES, taken ? first : "");
	}
}
