/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/source.h"

#include <errno.h>
#include <unistd.h>
#include <zstd.h>

#include "base/limits.h"
#include "base/memory.h"

#define INFLATER_INPUT 65536
/* What we write needs 2 MiB; a file that asks for more is refused rather than given the memory. */
#define INFLATER_WINDOW_LOG 23

struct source_inflater {
	ZSTD_DCtx *context;
	ZSTD_inBuffer input;
	bool complete; /* at the end of a frame */
	uint8_t bytes[INFLATER_INPUT];
};

void source_init(struct source *s, int fd, bool compressed)
{
	*s = (struct source){.fd = fd};
	if (!compressed)
		return;
	s->inflater = memory_new(sizeof(*s->inflater));
	s->inflater->input.src = s->inflater->bytes;
	s->inflater->context = ZSTD_createDCtx();
	if (!s->inflater->context)
		memory_exhausted(0);
	ZSTD_DCtx_setParameter(s->inflater->context, ZSTD_d_windowLogMax, INFLATER_WINDOW_LOG);
}

void source_done(struct source *s)
{
	if (s->inflater)
		ZSTD_freeDCtx(s->inflater->context);
	free(s->inflater);
	*s = (struct source){.fd = -1};
}

static ssize_t source_read_file(struct source *s, void *ret, size_t size)
{
	ssize_t n;

	do {
		n = pread(s->fd, ret, size, (off_t)s->position);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	s->position += (uint64_t)n;
	return n;
}

/* Until at least one byte is there. */
static ssize_t source_inflate(struct source *s, void *ret, size_t size)
{
	struct source_inflater *inflater = s->inflater;
	ZSTD_outBuffer output = {ret, size, 0};

	while (output.pos == 0) {
		size_t left;

		if (inflater->input.pos == inflater->input.size) {
			ssize_t n = source_read_file(s, inflater->bytes, sizeof(inflater->bytes));

			if (n < 0)
				return n;
			if (n == 0)
				return inflater->complete ? 0 : -EBADMSG;
			inflater->input.size = (size_t)n;
			inflater->input.pos = 0;
		}
		left = ZSTD_decompressStream(inflater->context, &output, &inflater->input);
		if (ZSTD_isError(left))
			return -EBADMSG;
		inflater->complete = left == 0;
	}
	return (ssize_t)output.pos;
}

ssize_t source_read(struct source *s, void *ret, size_t size)
{
	ssize_t n = s->inflater ? source_inflate(s, ret, size) : source_read_file(s, ret, size);

	if (n > 0) {
		s->produced += (uint64_t)n;
		if (s->produced > LIMIT_SEGMENT_BYTES)
			return -EFBIG;
	}
	return n;
}
