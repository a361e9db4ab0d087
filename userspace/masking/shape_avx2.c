/* SPDX-License-Identifier: Apache-2.0
 *
 * shape_avx2: the first pass with AVX2; called only where the processor has it (shape.c).
 */
#if defined(__x86_64__)

#include <immintrin.h>
#include <stdint.h>

#define SHAPE_TARGET __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define VECTOR_BYTES 32
typedef uint8_t vector __attribute__((vector_size(VECTOR_BYTES)));

SHAPE_TARGET static inline uint32_t vector_mask(vector v)
{
	return (uint32_t)_mm256_movemask_epi8((__m256i)v);
}

#include "masking/shape_vector.h"

#define SHAPE_SCAN shape_scan_avx2
#include "masking/shape_kernel.h"

#endif
