/* SPDX-License-Identifier: Apache-2.0
 *
 * The two passes against slow ones that look at every place: no finding is missed, however the
 * bytes are aligned, cut into cells or joined to runs; and no text takes long.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "masking/match.h"
#include "masking/shape.h"
#include "masking_test.h"

#define CARDS (1u << DETECTOR_CREDIT_CARD)
#define SSNS (1u << DETECTOR_US_SSN)
#define ADDRESSES (1u << DETECTOR_IP_ADDRESS)

static uint64_t random_state = 88172645463325252ULL;

static unsigned random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 20) % limit;
}

/* Pieces that findings, and what almost is one, are made of. */
static const char *const pieces[] = {"4111111111111111", "4111-1111-1111-1111", "3782 822463 10005",
	"123-45-6789", "123 45 6789", "user@example.com", "a@b.co", "@", "+1 212 555 0123",
	"(212) 555-0123", "212-555-0123", "030 12345678", "0171/1234567", "10.0.0.1", "1.2.3.4.5",
	"fe80::1", "2001:db8::1:2:3", "1:2:3:4:5:6:7:8", "12:34:56", "::", "DE89370400440532013000",
	"GB82 WEST 1234 5698 7654 32", "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijABCDEF0123",
	"eyJhbGciOiJub25lIn0.e30.c2ln", "password=", "\"password\": \"", "token: ", "secret='",
	"://u:p@h/", "ssn=123456789", "phone 2125550123",
	"MTIzLTQ1LTY3ODk=", "3132332d34352d36373839", "-----BEGIN PRIVATE KEY-----",
	"-----END PRIVATE KEY-----", "4,111,111,111,111,111", "4.111111111111111e+15", "%40",
	"$2b$12$", "word", " ", " ", "\n", "\t", ".", "-", ",", ":", "/", "\"", "'", "\\", "\\n",
	"é", "\xff", "0", "7", "12", "a", "F", "Z", "=", "&", "<", ">", "(", ")", "[", "]", "{",
	"}"};

static struct slice random_text(char *space, size_t most)
{
	size_t length = 0, count = random_below(12);

	for (size_t i = 0; i < count; i++) {
		const char *piece = pieces[random_below(ARRAY_SIZE(pieces))];
		size_t n = strlen(piece);

		if (length + n > most)
			break;
		memcpy(space + length, piece, n);
		length += n;
	}
	return slice_of(space, length);
}

/* d digit, n digit but 0, l letter, g "-" or space, w the same or ".", others themselves */
static bool fits(struct slice text, size_t at, const char *pattern)
{
	for (; *pattern; pattern++, at++) {
		uint8_t c = at < text.length ? text.data[at] : 0;
		bool digit = c >= '0' && c <= '9';
		bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
		bool ok = c == (uint8_t)*pattern;

		if (at >= text.length)
			return false;
		if (*pattern == 'd')
			ok = digit;
		else if (*pattern == 'n')
			ok = digit && c != '0';
		else if (*pattern == 'l')
			ok = letter;
		else if (*pattern == 'g' || *pattern == 'w')
			ok = c == '-' || c == ' ' || (*pattern == 'w' && c == '.');
		else if (*pattern == 'A')
			ok = digit || letter || c == ' ';
		else if (*pattern == 'B')
			ok = digit || letter || c == '+' || c == '/';
		if (!ok)
			return false;
	}
	return true;
}

static bool run_of(struct slice text, size_t at, size_t count, const char *others)
{
	for (size_t i = at; i < at + count; i++) {
		if (i >= text.length ||
			((text.data[i] < '0' || text.data[i] > '9') &&
				(!text.data[i] || !strchr(others, text.data[i]))))
			return false;
	}
	return true;
}

static bool byte_within(struct slice text, size_t from, size_t to, char c)
{
	for (size_t i = from; i <= to && i < text.length; i++) {
		if (text.data[i] == (uint8_t)c)
			return true;
	}
	return false;
}

static bool colon_chain(struct slice text, size_t at, unsigned links)
{
	if (at >= text.length || text.data[at] != ':')
		return false;
	if (links == 0)
		return true;
	for (size_t i = at + 2; i <= at + 5; i++) {
		if (colon_chain(text, i, links - 1))
			return true;
	}
	return false;
}

static uint32_t shapes_at(struct slice text, size_t at)
{
	uint32_t shapes = 0;
	const char *thirteen = "ddddddddddddd", *twelve = "BBBBBBBBBBBB";

#define IS(shape, condition) shapes |= (uint32_t)((condition) ? 1u << SHAPE_##shape : 0)
	IS(AT, fits(text, at, "@"));
	IS(ENCODED, fits(text, at, twelve) && !fits(text, at + 1, twelve));
	IS(IPV6,
		fits(text, at, "::") ||
			(colon_chain(text, at, 2) &&
				strchr("0123456789abcdefABCDEF", text.data[at + 1])));
	IS(PHONE_PLUS, fits(text, at, "+n"));
	IS(PHONE_AREA, fits(text, at, "(dd"));
	IS(EXPONENT, fits(text, at, "dl+dd"));
	IS(IPV4, fits(text, at, "d.d") && byte_within(text, at + 3, at + 6, '.'));
	IS(IBAN, fits(text, at, "lldd") && fits(text, at, "AAAAAAAAAAAAAAA"));
	IS(DIGITS, fits(text, at, thirteen) && !fits(text, at + 1, thirteen));
	IS(CARD, fits(text, at, "ddddgddd"));
	IS(THOUSANDS, fits(text, at, "d,ddd,ddd,ddd"));
	IS(SSN, fits(text, at, "dddgddgdddd"));
	IS(PHONE_US, fits(text, at, "dddwdddwdddd"));
	IS(PHONE_ZERO,
		fits(text, at, "0d") &&
			(run_of(text, at, 11, "-") || run_of(text, at, 11, ".") ||
				run_of(text, at, 11, " /")));
#undef IS
	return shapes;
}

/* Shapes that need many digits are only asked of blocks that have them; the real things do. */
static const uint32_t long_shapes = (1u << SHAPE_COUNT) - (1u << SHAPE_WITHOUT_LONG_NUMBERS);

static bool many_digits(struct slice text, size_t at)
{
	size_t from = at / SHAPE_STRIDE * SHAPE_STRIDE, count = 0;

	for (size_t i = from; i < from + 64 && i < text.length; i++)
		count += text.data[i] >= '0' && text.data[i] <= '9';
	return count >= 8;
}

static void compare_shapes(const struct shape_method *method, struct slice text)
{
	struct shape_scan scan = {.text = text, .wanted = UINT32_MAX};
	struct shape_hit hits[128];
	size_t at = 0;

	while (scan.next < text.length) {
		size_t n = method->scan(&scan, hits, ARRAY_SIZE(hits));

		for (size_t i = 0; i <= n; i++) {
			size_t end = i < n ? hits[i].start : scan.next;

			for (; at < end && at < text.length; at++) {
				uint32_t missed = shapes_at(text, at);

				if (!many_digits(text, at))
					missed &= ~long_shapes;
				cr_assert_eq(missed, 0, "%s: shapes %x missed at %zu of \"%.*s\"",
					method->name, missed, at, SLICE_PRINT(text));
			}
			if (i < n) {
				uint32_t wanted = shapes_at(text, at);

				if (!many_digits(text, at))
					wanted &= ~long_shapes;
				cr_assert_eq(hits[i].shapes, wanted,
					"%s: %x for %x at %zu of \"%.*s\"", method->name,
					hits[i].shapes, wanted, at, SLICE_PRINT(text));
				at++;
			}
		}
	}
}

Test(masking_scan, shapes_are_those_of_a_slow_search)
{
	char space[512];

	for (unsigned variant = 0; variant < SHAPE_VARIANT_COUNT; variant++) {
		const struct shape_method *method = shape_method_get((enum shape_variant)variant);

		for (unsigned i = 0; i < 4000 && method; i++)
			compare_shapes(method, random_text(space, sizeof(space)));
	}
}

Test(masking_scan, shapes_of_digit_soup)
{
	static const char letters[] = "0123456789012345678901234567890123-- ..//:::,()+aeF@";
	char space[400];

	for (unsigned variant = 0; variant < SHAPE_VARIANT_COUNT; variant++) {
		const struct shape_method *method = shape_method_get((enum shape_variant)variant);

		for (unsigned i = 0; i < 4000 && method; i++) {
			size_t length = random_below(sizeof(space));

			for (size_t k = 0; k < length; k++)
				space[k] = letters[random_below(sizeof(letters) - 1)];
			compare_shapes(method, slice_of(space, length));
		}
	}
}

/* Each piece alone, at every place relative to the blocks. */
Test(masking_scan, alignment_does_not_matter)
{
	char space[256];

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t n = strlen(pieces[i]);
		struct detector_findings findings;
		size_t wanted;

		cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS, slice_of(pieces[i], n),
				     &findings),
			0);
		wanted = findings.count;
		for (size_t offset = 0; offset < 130; offset++) {
			memset(space, ' ', sizeof(space));
			memcpy(space + offset, pieces[i], n);
			for (unsigned v = 0; v < SHAPE_VARIANT_COUNT; v++) {
				if (detector_engine_set_method(test_engine(), v) < 0)
					continue;
				cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS,
						     slice_of(space, offset + n), &findings),
					0);
				cr_assert_eq(
					findings.count, wanted, "\"%s\" at %zu", pieces[i], offset);
			}
		}
	}
}

/* Vectorscan's literals against a comparison at every place. */
static bool literal_stands_at(const struct literal *l, struct slice text, size_t at)
{
	size_t n = strlen(l->text);
	struct slice there;

	if (text.length - at < n)
		return false;
	there = slice_of(text.data + at, n);
	return l->ignore_case ? text_equal_ignore_case(there, slice_from_string(l->text))
			      : memcmp(there.data, l->text, n) == 0;
}

static void check_covered(const struct detector_findings *findings, struct match m,
	unsigned detector, struct slice text)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct detector_finding *f = &findings->items[i];

		if (f->start <= m.start && m.end <= f->end && (f->detectors >> detector & 1))
			return;
	}
	cr_assert_fail("%s at [%zu, %zu) of \"%.*s\" is missing", detector_name(detector), m.start,
		m.end, SLICE_PRINT(text));
}

Test(masking_scan, whatever_matches_anywhere_is_found)
{
	char space[512];

	for (unsigned i = 0; i < 6000; i++) {
		struct slice text = random_text(space, sizeof(space));
		struct detector_findings findings;
		struct match m;

		cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS, text, &findings), 0);
		for (size_t at = 0; at < text.length; at++) {
			uint32_t shapes = shapes_at(text, at);

			for (size_t k = 0; k < SHAPE_COUNT; k++) {
				const struct shape_matcher *s = &shape_matchers[k];

				if ((shapes >> k & 1) && s->match && s->match(text, at, &m))
					check_covered(&findings, m, s->detector, text);
			}
			for (size_t k = 0; k < literal_count; k++) {
				const struct literal *l = &literals[k];

				if (literal_stands_at(l, text, at) && l->match(l, text, at, &m))
					check_covered(&findings, m, l->detector, text);
			}
		}
	}
}

/* Card numbers, social security numbers and IPv4 addresses, written down a second time. */
static bool luhn(const char *digits, size_t n)
{
	static const int doubled[] = {0, 2, 4, 6, 8, 1, 3, 5, 7, 9};
	int sum = 0;

	for (size_t i = 0; i < n; i++) {
		int d = digits[i] - '0';

		sum += (n - i) % 2 ? d : doubled[d];
	}
	return sum % 10 == 0;
}

static bool is_digit(const char *text, size_t length, size_t at)
{
	return at < length && text[at] >= '0' && text[at] <= '9';
}

Test(masking_scan, visa_numbers_by_another_hand)
{
	char text[64];
	unsigned found = 0;

	for (unsigned i = 0; i < 100000; i++) {
		size_t n = 10 + random_below(12), digits = 0;
		struct detector_findings findings;
		bool wanted;

		text[0] = '4';
		for (size_t k = 1; k < n; k++)
			text[k] = (char)('0' + random_below(10));
		if (random_below(4) == 0)
			text[random_below((unsigned)n)] = "x.a "[random_below(4)];
		while (is_digit(text, n, digits))
			digits++;
		/* What else may be in the text is of no interest. */
		if (digits < n)
			text[digits] = ' ', n = digits + 1;
		wanted = (digits == 13 || digits == 16 || digits == 19) && luhn(text, digits);
		cr_assert_eq(detector_scan(test_engine(), CARDS, slice_of(text, n), &findings), 0);
		cr_assert_eq(findings.count, wanted, "\"%.*s\"", (int)n, text);
		found += wanted;
	}
	cr_assert_gt(found, 500);
}

Test(masking_scan, social_security_numbers_by_another_hand)
{
	char text[16];

	for (unsigned area = 0; area < 1000; area++) {
		for (unsigned group = 0; group < 100; group += 1 + area % 7) {
			unsigned serial = random_below(20) ? random_below(10000) : 0;
			struct detector_findings findings;
			bool itin = (group > 49 && group < 66) || (group > 69 && group < 89) ||
				group == 90 || group == 91 || group == 92 || group > 93;
			bool wanted =
				area && group && serial && area != 666 && (area < 900 || itin);

			snprintf(text, sizeof(text), "%03u-%02u-%04u", area, group, serial);
			cr_assert_eq(detector_scan(test_engine(), SSNS, slice_from_string(text),
					     &findings),
				0);
			cr_assert_eq(findings.count, wanted, "%s", text);
		}
	}
}

Test(masking_scan, ipv4_addresses_by_another_hand)
{
	char text[64];

	for (unsigned i = 0; i < 50000; i++) {
		unsigned parts = 2 + random_below(4), length = 0;
		struct detector_findings findings;
		bool wanted = parts == 4;

		for (unsigned k = 0; k < parts; k++) {
			unsigned value = random_below(random_below(2) ? 300 : 20);

			wanted &= value < 256;
			length += (unsigned)sprintf(text + length, k ? ".%u" : "%u", value);
		}
		cr_assert_eq(
			detector_scan(test_engine(), ADDRESSES, slice_of(text, length), &findings),
			0);
		cr_assert_eq(findings.count, wanted, "%.*s", (int)length, text);
	}
}

/* Cells in a run, with what a DataRow has between them: lengths whose bytes may be any character.
 */
static void check_run(struct slice *cells, const size_t *starts, size_t count, struct slice run)
{
	struct detector_index index;

	detector_index_init(&index);
	cr_assert_eq(detector_index_build(test_engine(), ALL_DETECTORS, run, &index), 0);
	for (size_t i = 0; i < count; i++) {
		size_t start = starts[i], end = start + cells[i].length;
		bool clean = detector_index_next(&index, start) >= end;
		struct detector_findings findings;
		struct detector_finding alone[64];
		size_t n;

		cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS, cells[i], &findings), 0);
		n = findings.count;
		cr_assert_lt(n, ARRAY_SIZE(alone));
		memcpy(alone, findings.items, n * sizeof(*alone));
		cr_assert(!clean || n == 0, "\"%.*s\" taken for clean", SLICE_PRINT(cells[i]));
		cr_assert_eq(detector_scan_part(test_engine(), &index, start, end, &findings), 0);
		cr_assert_eq(findings.count, n, "\"%.*s\"", SLICE_PRINT(cells[i]));
		for (size_t k = 0; k < n; k++)
			cr_assert(findings.items[k].start == alone[k].start &&
					findings.items[k].end == alone[k].end &&
					findings.items[k].detectors == alone[k].detectors,
				"\"%.*s\"", SLICE_PRINT(cells[i]));
	}
	detector_index_done(&index);
}

Test(masking_scan, runs_of_cells_hide_nothing)
{
	char space[8][512];

	for (unsigned i = 0; i < 6000; i++) {
		struct slice cells[8];
		size_t starts[8], count = 1 + random_below(8);
		struct buffer run;

		buffer_init(&run, 1 << 20);
		for (size_t k = 0; k < count; k++) {
			cells[k] = random_text(space[k], sizeof(space[k]));
			/* Lengths of 48 to 57, 65 to 90 and so on are digits and letters. */
			buffer_append_u32(&run, (uint32_t)cells[k].length);
			starts[k] = buffer_length(&run);
			buffer_append_slice(&run, cells[k]);
			if (random_below(3) == 0)
				buffer_append(&run, "D\0\0\0\x34\0\2", 7);
		}
		check_run(cells, starts, count, buffer_slice(&run));
		buffer_done(&run);
	}
}

/* Vectorscan reports literals by their ends; the index is by their begins, in any order of asking.
 */
Test(masking_scan, places_are_in_order)
{
	struct slice run = slice_from_string("AGE-SECRET-KEY-1 password");
	struct detector_index index;

	detector_index_init(&index);
	cr_assert_eq(detector_index_build(test_engine(), ALL_DETECTORS, run, &index), 0);
	for (unsigned round = 0; round < 2; round++) {
		cr_assert_eq(detector_index_next(&index, 17), 17);
		cr_assert_eq(detector_index_next(&index, 4), 4);
		cr_assert_eq(detector_index_next(&index, 0), 0);
		cr_assert_eq(detector_index_next(&index, 5), 17);
		cr_assert_eq(detector_index_next(&index, 18), SIZE_MAX);
	}
	detector_index_done(&index);
}

Test(masking_scan, sets_find_what_each_detector_finds)
{
	char space[512];

	for (unsigned i = 0; i < 1000; i++) {
		struct slice text = random_text(space, sizeof(space));
		struct detector_findings findings;
		unsigned one_by_one = 0, together = 0;

		for (unsigned d = 0; d < DETECTOR_COUNT; d++) {
			cr_assert_eq(detector_scan(test_engine(), 1u << d, text, &findings), 0);
			for (size_t k = 0; k < findings.count; k++) {
				cr_assert_eq(findings.items[k].detectors, 1u << d);
				one_by_one |= 1u << d;
			}
		}
		cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS, text, &findings), 0);
		for (size_t k = 0; k < findings.count; k++)
			together |= findings.items[k].detectors;
		cr_assert_eq(one_by_one, together, "\"%.*s\"", SLICE_PRINT(text));
	}
	cr_assert_eq(detector_scan(test_engine(), 0, slice_from_string("user@example.com"),
			     &(struct detector_findings){0}),
		0);
}

/* CPU time of this thread, in seconds. */
static double cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a linear search takes milliseconds for, and a quadratic one seconds. */
#ifdef __SANITIZE_ADDRESS__
#define LONG_TEXT (32u << 10) /* times are those of the other build */
#else
#define LONG_TEXT (128u << 10)
#endif
#define TIME_MOST 0.4

static void check_time(const char *a, const char *b)
{
	char *text = memory_new(LONG_TEXT);
	struct detector_findings findings;
	size_t length = 0, na = strlen(a), nb = strlen(b);
	double began;

	while (length + na + nb <= LONG_TEXT) {
		memcpy(text + length, a, na);
		memcpy(text + length + na, b, nb);
		length += na + nb;
	}
	began = cpu_time();
	cr_assert_eq(
		detector_scan(test_engine(), ALL_DETECTORS, slice_of(text, length), &findings), 0);
	cr_expect_lt(cpu_time() - began, TIME_MOST, "\"%s%s\" repeated took %.3f s", a, b,
		cpu_time() - began);
	free(text);
}

Test(masking_scan, no_repetition_takes_long, .timeout = 600)
{
	static const char *const tails[] = {"", "=", "='", ":\"", "=\\\"", "a1", "-", "-a1", ".",
		" ", "a", "\xc3\xa9", "=a,b", "PRIVATE KEY-----", ">", "@", "=a&", "=a&amp;",
		"=a;&amp;&amp;", "=''"};

	for (size_t i = 0; i < literal_count; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(tails); k++)
			check_time(literals[i].text, tails[k]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(tails); k++)
			check_time(pieces[i], tails[k]);
	}
	check_time("a", "");
	check_time("0", "");
	check_time("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29y",
		"\n");
	check_time("-----BEGIN PRIVATE KEY-----", "-----END X-----");
}

Test(masking_scan, limits)
{
	struct detector_index index;
	struct detector_findings findings;
	char *text = memory_new(DETECTOR_RUN_MOST + 1);

	detector_index_init(&index);
	cr_assert_eq(detector_index_build(test_engine(), ALL_DETECTORS,
			     slice_of(text, DETECTOR_RUN_MOST + 1), &index),
		-E2BIG);
	cr_assert_eq(detector_index_build(test_engine(), ALL_DETECTORS, SLICE_EMPTY, &index), 0);
	cr_assert_eq(detector_index_next(&index, 0), SIZE_MAX);
	/* More findings than are kept apart become one. */
	for (size_t i = 0; i + 7 <= DETECTOR_RUN_MOST; i += 7)
		memcpy(text + i, "a@b.de ", 7);
	cr_assert_eq(detector_scan(test_engine(), ALL_DETECTORS, slice_of(text, DETECTOR_RUN_MOST),
			     &findings),
		0);
	cr_assert_eq(findings.count, 1);
	cr_assert_eq(findings.items[0].start, 0);
	cr_assert_eq(findings.items[0].end, DETECTOR_RUN_MOST);
	cr_assert_eq(findings.items[0].detectors, 1u << DETECTOR_EMAIL);
	detector_index_done(&index);
	free(text);
}
