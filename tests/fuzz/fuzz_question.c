/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_question: questions and lists of grants as a worker that was taken over might send them.
 * What decodes is written back as the same bytes, or
 * as longer ones, if it was of an older version.
 */
#include <stdlib.h>
#include <string.h>

#include "approval/grant.h"
#include "base/bytes.h"
#include "base/memory.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static bool is_older(struct slice bytes)
{
	return bytes_get_u64(bytes.data) < QUESTION_VERSION;
}

static void try_question(struct slice bytes)
{
	struct question *q = memory_new(sizeof(*q));
	struct buffer again;

	buffer_init(&again, 2 * QUESTION_BYTES_MOST);
	if (question_decode(bytes, q) == 0) {
		check(question_encode(q, &again) == 0);
		check(slice_equal(buffer_slice(&again), bytes) ||
			(is_older(bytes) && buffer_length(&again) > bytes.length));
		check(question_seal(q, bytes) == 0);
	}
	buffer_done(&again);
	free(q);
}

static void try_grants(struct slice bytes)
{
	struct grant *grants;
	struct buffer again;
	size_t count;

	if (grants_decode(bytes, &grants, &count) < 0)
		return;
	buffer_init(&again, 2 * GRANTS_BYTES_MOST);
	check(grants_encode(grants, count, &again) == 0);
	check(slice_equal(buffer_slice(&again), bytes));
	for (size_t i = 0; i < count; i++)
		grant_covers(&grants[i], &grants[0].scope, 0);
	buffer_done(&again);
	free(grants);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);

	if (size == 0)
		return 0;
	if (data[0] & 1)
		try_grants(slice_from(bytes, 1));
	else
		try_question(slice_from(bytes, 1));
	return 0;
}
