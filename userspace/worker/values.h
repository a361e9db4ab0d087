/* SPDX-License-Identifier: Apache-2.0
 *
 * values: parameters and cells as the recorder takes them.
 */
#ifndef WAYLEAVE_WORKER_VALUES_H
#define WAYLEAVE_WORKER_VALUES_H

#include "protocol/event.h"
#include "recording/value.h"

#define RECORDED_VALUES_MOST 64

/* The first `most` of them; returns how many. */
static inline size_t values_to_record(
	const struct protocol_value *values, size_t count, struct record_value *ret, size_t most)
{
	size_t n = count < most ? count : most;

	for (size_t i = 0; i < n; i++) {
		ret[i].form = !values[i].data.data ? VALUE_NULL
			: values[i].binary         ? VALUE_BINARY
						   : VALUE_TEXT;
		ret[i].bytes = values[i].data;
	}
	return n;
}

#endif
