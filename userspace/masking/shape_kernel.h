/* SPDX-License-Identifier: Apache-2.0
 *
 * shape_kernel: the body of shape_scan_*(), included once per instruction set by a file that has
 * - SHAPE_TARGET: attributes that the functions need; SHAPE_SCAN: the name of the function to make,
 * - struct block: 64 bytes, made by block_load(),
 * - block_equal(block, c), block_in(block, fold, low, high): masks whose bit i says whether byte i
 *   is c, or is in the range after or-ing `fold`.
 *
 * Masks are shifted right to ask about later bytes, so the top 16 bits are only looked ahead at.
 */
#include "masking/shape.h"

/* Bits where 3, 8, 11 of the mask's bits in a row begin. */
SHAPE_TARGET static inline uint64_t run3(uint64_t m)
{
	return m & m >> 1 & m >> 2;
}

SHAPE_TARGET static inline uint64_t run8(uint64_t m)
{
	m &= m >> 1;
	m &= m >> 2;
	return m & m >> 4;
}

SHAPE_TARGET static inline uint64_t run11(uint64_t m)
{
	m = run8(m);
	return m & m >> 3;
}

/* Only the last bit of each row of bits. Bit SHAPE_STRIDE holds for every mask, so a row that goes
 * on there is reported by the next block. */
SHAPE_TARGET static inline uint64_t last_of_row(uint64_t m)
{
	return m & ~(m >> 1);
}

/* Whether a bit of `m` stands 2 to 5 places further on: the other end of a group of 1 to 4. */
SHAPE_TARGET static inline uint64_t soon(uint64_t m)
{
	m |= m >> 1;
	return m >> 2 | m >> 4;
}

/* Only the first `count` are set: shapes are in the order in which a block can rule them out. */
struct shape_masks {
	uint64_t of[SHAPE_COUNT];
	unsigned count;
};

/* What numbers are made of. */
struct number_masks {
	uint64_t digits, letters, plus, slash, dash, dot, space;
};

/* Shapes that begin with a few digits; returns all their bits. */
SHAPE_TARGET static inline uint64_t short_numbers(
	const struct block *b, const struct number_masks *n, struct shape_masks *m)
{
	uint64_t two = n->digits & n->digits >> 1;

	m->of[SHAPE_PHONE_PLUS] = n->plus & n->digits >> 1;
	if (m->of[SHAPE_PHONE_PLUS])
		m->of[SHAPE_PHONE_PLUS] &= ~(block_equal(b, '0') >> 1);
	m->of[SHAPE_EXPONENT] = n->digits & n->letters >> 1 & n->plus >> 2 & two >> 3;
	m->of[SHAPE_PHONE_AREA] = block_equal(b, '(') & two >> 1;
	m->of[SHAPE_IPV4] = n->digits & n->dot >> 1 & n->digits >> 2 & soon(n->dot >> 1);
	m->of[SHAPE_IBAN] = n->letters & n->letters >> 1 & two >> 2;
	if (m->of[SHAPE_IBAN]) {
		uint64_t run = run8(n->letters | n->digits | n->space);

		m->of[SHAPE_IBAN] &= run & run >> 7;
	}
	return m->of[SHAPE_PHONE_PLUS] | m->of[SHAPE_EXPONENT] | m->of[SHAPE_PHONE_AREA] |
		m->of[SHAPE_IPV4] | m->of[SHAPE_IBAN];
}

/* Shapes of which at least eight bytes in a row are digits and separators. */
SHAPE_TARGET static inline uint64_t long_numbers(
	const struct block *b, const struct number_masks *n, struct shape_masks *m)
{
	uint64_t digits = n->digits, three = run3(digits), four = three & digits >> 3;
	uint64_t gap = n->dash | n->space, wide = gap | n->dot, eight = four & four >> 4;
	uint64_t group = block_equal(b, ',') & three >> 1;

	m->of[SHAPE_DIGITS] = last_of_row(eight & eight >> 5);
	m->of[SHAPE_CARD] = four & gap >> 4 & three >> 5;
	m->of[SHAPE_THOUSANDS] = digits & group >> 1 & group >> 5 & group >> 9;
	m->of[SHAPE_SSN] = three & gap >> 3 & digits >> 4 & digits >> 5 & gap >> 6 & four >> 7;
	m->of[SHAPE_PHONE_US] = three & wide >> 3 & three >> 4 & wide >> 7 & four >> 8;
	m->of[SHAPE_PHONE_ZERO] = block_equal(b, '0') & digits >> 1 &
		(run11(digits | n->dash) | run11(digits | n->dot) |
			run11(digits | n->space | n->slash));
	return m->of[SHAPE_DIGITS] | m->of[SHAPE_CARD] | m->of[SHAPE_THOUSANDS] | m->of[SHAPE_SSN] |
		m->of[SHAPE_PHONE_US] | m->of[SHAPE_PHONE_ZERO];
}

SHAPE_TARGET static inline uint64_t numbers(
	const struct block *b, struct number_masks *n, struct shape_masks *m)
{
	uint64_t any;

	n->dash = block_equal(b, '-');
	n->dot = block_equal(b, '.');
	n->space = block_equal(b, ' ');
	any = short_numbers(b, n, m);
	m->count = SHAPE_WITHOUT_LONG_NUMBERS;
	if (__builtin_popcountll(n->digits) >= 8) {
		any |= long_numbers(b, n, m);
		m->count = SHAPE_COUNT;
	}
	return any;
}

/* "::", or three colons with at most four hexadecimal digits between them. */
SHAPE_TARGET static inline uint64_t addresses(
	const struct block *b, uint64_t colon, uint64_t digits)
{
	uint64_t near = colon & soon(colon);

	near &= soon(near);
	if (near)
		near &= (digits | block_in(b, 0x20, 'a', 'f')) >> 1;
	return near | (colon & colon >> 1);
}

/* Stores the hits of one block; returns their number. */
SHAPE_TARGET static inline size_t store(const struct shape_masks *m, uint64_t any, uint32_t wanted,
	size_t at, struct shape_hit *hits)
{
	size_t n = 0;

	while (any) {
		unsigned i = (unsigned)__builtin_ctzll(any);
		uint32_t shapes = 0;

		for (unsigned k = 0; k < m->count; k++)
			shapes |= (uint32_t)(m->of[k] >> i & 1) << k;
		any &= any - 1;
		shapes &= wanted;
		if (shapes)
			hits[n++] = (struct shape_hit){(uint32_t)(at + i), shapes};
	}
	return n;
}

SHAPE_TARGET static inline size_t shape_block(
	const uint8_t *data, size_t at, uint32_t wanted, struct shape_hit *hits)
{
	struct block b = block_load(data);
	struct number_masks n = {.digits = block_in(&b, 0, '0', '9')};
	struct shape_masks m;
	uint64_t colon = block_equal(&b, ':'), any, run;

	n.letters = block_in(&b, 0x20, 'a', 'z');
	n.plus = block_equal(&b, '+');
	n.slash = block_equal(&b, '/');
	run = run8(n.digits | n.letters | n.plus | n.slash);
	m.of[SHAPE_AT] = block_equal(&b, '@');
	m.of[SHAPE_ENCODED] = last_of_row(run & run >> 4);
	any = m.of[SHAPE_AT] | m.of[SHAPE_ENCODED];
	m.of[SHAPE_IPV6] = colon ? addresses(&b, colon, n.digits) : 0;
	any |= m.of[SHAPE_IPV6];
	m.count = SHAPE_WITHOUT_NUMBERS;
	if (n.digits)
		any |= numbers(&b, &n, &m);
	any &= (1ULL << SHAPE_STRIDE) - 1;
	return any ? store(&m, any, wanted, at, hits) : 0;
}

SHAPE_TARGET size_t SHAPE_SCAN(struct shape_scan *s, struct shape_hit *hits, size_t capacity)
{
	size_t n = 0, length = s->text.length;

	while (s->next < length && capacity - n >= SHAPE_STRIDE) {
		const uint8_t *data = s->text.data + s->next;
		uint8_t tail[64] = {0};

		if (length - s->next < sizeof(tail)) {
			memcpy(tail, data, length - s->next);
			data = tail;
		}
		n += shape_block(data, s->next, s->wanted, hits + n);
		s->next += SHAPE_STRIDE;
	}
	return n;
}
