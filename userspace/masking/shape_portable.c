/* SPDX-License-Identifier: Apache-2.0
 *
 * shape_portable: the first pass for processors without a file of their own; the compiler finds the
 * instructions for the comparisons.
 */
#include <endian.h>
#include <stdint.h>
#include <string.h>

#define SHAPE_TARGET
#define VECTOR_BYTES 16
typedef uint8_t vector __attribute__((vector_size(VECTOR_BYTES)));

/* Each byte is 0 or 255. The product gathers one bit of each in the top byte, lowest byte first. */
static inline uint32_t word_mask(uint64_t word)
{
	return (uint32_t)((word & 0x0101010101010101ULL) * 0x0102040810204080ULL >> 56);
}

static inline uint32_t vector_mask(vector v)
{
	uint64_t words[2];

	memcpy(words, &v, sizeof(words));
	return word_mask(le64toh(words[0])) | word_mask(le64toh(words[1])) << 8;
}

#include "masking/shape_vector.h"

#define SHAPE_SCAN shape_scan_portable
#include "masking/shape_kernel.h"
