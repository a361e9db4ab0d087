/* SPDX-License-Identifier: Apache-2.0
 *
 * shape_vector: a block of 64 bytes in vector registers, for shape_kernel.h. Included by a file
 * that defines SHAPE_TARGET, VECTOR_BYTES and vector_mask() (bit i = the top bit of byte i).
 */
typedef vector unaligned_vector __attribute__((aligned(1), may_alias));

struct block {
	vector part[64 / VECTOR_BYTES];
};

SHAPE_TARGET static inline struct block block_load(const uint8_t *data)
{
	const unaligned_vector *parts = (const unaligned_vector *)data;
	struct block b;

#pragma GCC unroll 4
	for (unsigned i = 0; i < 64 / VECTOR_BYTES; i++)
		b.part[i] = parts[i];
	return b;
}

/* low <= (c | fold) <= high */
SHAPE_TARGET static inline uint64_t block_in(
	const struct block *b, uint8_t fold, uint8_t low, uint8_t high)
{
	uint64_t mask = 0;

#pragma GCC unroll 4
	for (unsigned i = 0; i < 64 / VECTOR_BYTES; i++) {
		vector in = (vector)((b->part[i] | fold) - low <= (uint8_t)(high - low));

		mask |= (uint64_t)vector_mask(in) << VECTOR_BYTES * i;
	}
	return mask;
}

SHAPE_TARGET static inline uint64_t block_equal(const struct block *b, uint8_t c)
{
	uint64_t mask = 0;

#pragma GCC unroll 4
	for (unsigned i = 0; i < 64 / VECTOR_BYTES; i++)
		mask |= (uint64_t)vector_mask((vector)(b->part[i] == c)) << VECTOR_BYTES * i;
	return mask;
}
