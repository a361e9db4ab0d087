/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_kubeconfig: any text as a user's kubeconfig, which the launcher reads before it has given up
 * what it is. What is left out of the result is nothing, and a text without its key stays the same.
 */
#include <stdlib.h>

#include "base/kubeconfig_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size), rest = text, file;
	struct buffer out;
	int r;

	if (size > 1u << 16)
		return 0;
	buffer_init(&out, 4u << 20);
	r = kubeconfig_add_ca(text, slice_from_string("CA\n"), &out);
	if (r < 0 || buffer_length(&out) < size ||
		(r == 0 && !slice_equal(buffer_slice(&out), text)))
		abort();
	while (kubeconfig_next_ca_file(&rest, &file)) {
		if (file.length && (file.data < data || file.data + file.length > data + size))
			abort();
	}
	buffer_done(&out);
	return 0;
}
