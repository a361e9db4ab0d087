/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/compress.h"

#include <errno.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "base/file.h"
#include "base/memory.h"
#include "recording/source.h"

#define COMPRESS_LEVEL 3
#define COMPRESS_CHUNK (128u << 10)

struct compressor {
	struct source source;
	ZSTD_CCtx *context;
	EVP_MD_CTX *digest;
	int fd_out;
	uint64_t written;
	uint8_t in[COMPRESS_CHUNK], out[COMPRESS_CHUNK];
};

/* Compresses `n` bytes of c->in; 0 of them end the frame. */
static int compress_chunk(struct compressor *c, size_t n)
{
	ZSTD_inBuffer input = {c->in, n, 0};
	ZSTD_EndDirective directive = n ? ZSTD_e_continue : ZSTD_e_end;
	size_t left;

	do {
		ZSTD_outBuffer output = {c->out, sizeof(c->out), 0};
		int r;

		left = ZSTD_compressStream2(c->context, &output, &input, directive);
		if (ZSTD_isError(left))
			return -ENOMEM;
		r = file_write_all(c->fd_out, slice_of(c->out, output.pos));
		if (r < 0)
			return r;
		c->written += output.pos;
	} while (n ? input.pos < input.size : left > 0);
	return 0;
}

static int compress_all(struct compressor *c, struct compress_result *ret)
{
	ssize_t n;

	do {
		int r;

		n = source_read(&c->source, c->in, sizeof(c->in));
		if (n < 0)
			return (int)n;
		if (EVP_DigestUpdate(c->digest, c->in, (size_t)n) != 1)
			return -ENOMEM;
		r = compress_chunk(c, (size_t)n);
		if (r < 0)
			return r;
	} while (n > 0);
	ret->plain_bytes = c->source.produced;
	ret->compressed_bytes = c->written;
	return EVP_DigestFinal_ex(c->digest, ret->digest, NULL) == 1 ? 0 : -ENOMEM;
}

static int compress_compare(struct compressor *c, const struct compress_result *result)
{
	uint8_t digest[HASH_SIZE];
	ssize_t n;

	source_done(&c->source);
	source_init(&c->source, c->fd_out, true);
	if (EVP_DigestInit_ex2(c->digest, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	while ((n = source_read(&c->source, c->in, sizeof(c->in))) > 0) {
		if (EVP_DigestUpdate(c->digest, c->in, (size_t)n) != 1)
			return -ENOMEM;
	}
	if (n < 0)
		return (int)n;
	if (EVP_DigestFinal_ex(c->digest, digest, NULL) != 1)
		return -ENOMEM;
	return memcmp(digest, result->digest, HASH_SIZE) == 0 ? 0 : -EBADMSG;
}

int compress_segment(int fd_in, int fd_out, struct compress_result *ret)
{
	struct compressor *c = memory_new(sizeof(*c));
	struct compress_result result = {0};
	int r = -ENOMEM;

	source_init(&c->source, fd_in, false);
	c->fd_out = fd_out;
	c->context = ZSTD_createCCtx();
	c->digest = EVP_MD_CTX_new();
	if (c->context && c->digest && EVP_DigestInit_ex2(c->digest, EVP_sha256(), NULL) == 1) {
		ZSTD_CCtx_setParameter(c->context, ZSTD_c_compressionLevel, COMPRESS_LEVEL);
		ZSTD_CCtx_setParameter(c->context, ZSTD_c_checksumFlag, 1);
		r = compress_all(c, &result);
		if (r == 0)
			r = compress_compare(c, &result);
	}
	source_done(&c->source);
	ZSTD_freeCCtx(c->context);
	EVP_MD_CTX_free(c->digest);
	free(c);
	if (r == 0)
		*ret = result;
	return r;
}
