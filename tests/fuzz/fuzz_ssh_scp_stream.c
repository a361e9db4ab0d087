/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_scp_stream: both sides of an scp, in pieces; nothing that is told grows without end.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "protocol/ssh/scp_stream.h"

static unsigned told;

static void note(void *context, struct slice text)
{
	(void)context;
	if (++told > LIMIT_SCP_FILES + 3 || text.length == 0)
		abort();
}

/* A byte: whose piece it is, and of what length; the piece. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scp_stream *s = scp_stream_new("read", note, NULL);
	struct slice rest = slice_of(data, size);

	told = 0;
	while (rest.length) {
		struct slice piece = slice_head(slice_from(rest, 1), rest.data[0] >> 1);

		if (rest.data[0] & 1)
			scp_stream_from_source(s, piece);
		else
			scp_stream_from_sink(s, piece);
		rest = slice_from(rest, 1 + piece.length);
	}
	scp_stream_end(s);
	return 0;
}
