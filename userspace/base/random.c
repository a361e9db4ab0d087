/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_fill(void *ret, size_t size)
{
	uint8_t *at = ret;

	while (size) {
		ssize_t n = getrandom(at, size, 0);

		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
}

int random_append(struct buffer *ret, size_t size)
{
	uint8_t *space;
	int r = buffer_reserve(ret, size, &space);

	if (r < 0)
		return r;
	random_fill(space, size);
	buffer_commit(ret, size);
	return 0;
}
