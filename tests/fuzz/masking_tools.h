/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzzers of masking need: detectors and a hasher, made once, whose key is always the
 * same.
 */
#ifndef WAYLEAVE_TESTS_MASKING_TOOLS_H
#define WAYLEAVE_TESTS_MASKING_TOOLS_H

#include <stdlib.h>

#include "masking/detector.h"
#include "masking/strategy.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static struct detector_engine *engine;
static struct mask_hasher *hasher;

static inline void masking_tools_set_up(void)
{
	static const uint8_t key[MASK_KEY_BYTES] = {1};
	struct error e;

	if (engine)
		return;
	engine = detector_engine_new(&e);
	hasher = mask_hasher_new(key);
	CHECK(engine && hasher);
}

#endif
