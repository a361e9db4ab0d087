/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_process: what agents' processes have as arguments, and their programs as paths. What people
 * see of it is bounded text without anything that drives a terminal; it comes whatever the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "tests/fuzz/masking_tools.h"
#include "worker/process.h"

static void check(char *shown)
{
	struct slice rest = slice_from_string(shown);

	if (!shown || rest.length > LIMIT_RECORD_NAME)
		abort();
	while (rest.length) {
		size_t n = text_utf8_sequence(rest);

		if (n == 0 || rest.data[0] < ' ' || text_is_control(rest, n))
			abort();
		rest = slice_from(rest, n);
	}
	free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size > LIMIT_PROCESS_ARGUMENTS ? 0 : size);

	masking_tools_set_up();
	check(process_command_line(bytes, false, engine, hasher));
	check(process_command_line(bytes, true, engine, hasher));
	check(process_parents(bytes, false));
	check(process_parents(bytes, true));
	return 0;
}
