/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the monitor's answer to the launcher, which is root when it reads them: refused, or
 * a plan that encodes to the same bytes.
 */
#include <assert.h>
#include <stddef.h>

#include "monitor/control.h"
#include "monitor/run_plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice payload = slice_of(data, size);
	struct run_request request;
	struct run_plan plan;
	struct arena memory;
	struct buffer again;

	if (size > CONTROL_PAYLOAD_MOST)
		return 0;
	if (run_request_decode(payload, &request) == 0)
		assert(strlen(request.agent) + 1 + strlen(request.user) + 1 +
				(request.token ? strlen(request.token) + 1 : 0) ==
			size);
	arena_init(&memory, RUN_PLAN_MEMORY);
	buffer_init(&again, CONTROL_PAYLOAD_MOST);
	if (run_plan_decode(payload, &memory, &plan) == 0) {
		assert(run_plan_encode(&plan, &again) == 0);
		assert(slice_equal(payload, buffer_slice(&again)));
	}
	buffer_done(&again);
	arena_done(&memory);
	return 0;
}
