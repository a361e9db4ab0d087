/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of texts that events carry in pieces: what each begins with.
 */
#ifndef WAYLEAVE_TESTS_UNIT_MASKING_DELTAS_TEST_H
#define WAYLEAVE_TESTS_UNIT_MASKING_DELTAS_TEST_H

#include "masking/deltas.h"
#include "masking_test.h"

static struct mask_deltas *deltas;
static struct buffer out; /* what left */

static void start(void)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	deltas = mask_deltas_new(&m);
	buffer_init(&out, 64u << 20);
}

static void stop(void)
{
	mask_deltas_free(deltas);
	buffer_done(&out);
}

#endif
