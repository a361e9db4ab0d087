/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/shape.h"

static const struct shape_method methods[SHAPE_VARIANT_COUNT] = {
	[SHAPE_PORTABLE] = {"portable", shape_scan_portable},
#if defined(__x86_64__)
	[SHAPE_SSE2] = {"sse2", shape_scan_sse2},
	[SHAPE_AVX2] = {"avx2", shape_scan_avx2},
#endif
};

static bool variant_is_supported(enum shape_variant variant)
{
#if defined(__x86_64__)
	if (variant == SHAPE_AVX2)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#endif
	return methods[variant].scan;
}

const struct shape_method *shape_method_get(enum shape_variant variant)
{
	return variant_is_supported(variant) ? &methods[variant] : NULL;
}

const struct shape_method *shape_method_best(void)
{
	unsigned variant = SHAPE_VARIANT_COUNT - 1;

	while (!variant_is_supported((enum shape_variant)variant))
		variant--;
	return &methods[variant];
}
