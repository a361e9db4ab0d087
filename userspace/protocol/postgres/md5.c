/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/md5.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "base/text.h"

#define MD5_BYTES 16

/* Digits of the MD5 of both, with a NUL. */
static int digest(struct slice a, struct slice b, char ret[2 * MD5_BYTES + 1])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t bytes[MD5_BYTES];
	int ok = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
		EVP_DigestUpdate(context, a.data, a.length) == 1 &&
		EVP_DigestUpdate(context, b.data, b.length) == 1 &&
		EVP_DigestFinal_ex(context, bytes, NULL) == 1;

	EVP_MD_CTX_free(context);
	if (!ok)
		return -EIO;
	text_to_hex(slice_of(bytes, sizeof(bytes)), ret);
	memory_wipe(bytes, sizeof(bytes));
	return 0;
}

int pg_md5_answer(
	struct slice password, struct slice user, const uint8_t *salt, char ret[PG_MD5_ANSWER + 1])
{
	char inner[2 * MD5_BYTES + 1];
	int r = digest(password, user, inner);

	if (r == 0)
		r = digest(slice_of(inner, 2 * MD5_BYTES), slice_of(salt, PG_MD5_SALT), ret + 3);
	if (r == 0)
		memcpy(ret, "md5", 3);
	memory_wipe(inner, sizeof(inner));
	return r;
}
