/* SPDX-License-Identifier: Apache-2.0
 *
 * shape_sse2: the first pass with what every x86-64 processor has.
 */
#if defined(__x86_64__)

#include <emmintrin.h>
#include <stdint.h>

#define SHAPE_TARGET
#define VECTOR_BYTES 16
typedef uint8_t vector __attribute__((vector_size(VECTOR_BYTES)));

static inline uint32_t vector_mask(vector v)
{
	return (uint32_t)_mm_movemask_epi8((__m128i)v);
}

#include "masking/shape_vector.h"

#define SHAPE_SCAN shape_scan_sse2
#include "masking/shape_kernel.h"

#endif
