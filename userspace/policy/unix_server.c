/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/unix_server.h"

#include <string.h>

#include "base/sha256.h"

struct unix_server unix_server_of(struct slice path)
{
	uint8_t digest[SHA256_SIZE];
	struct unix_server ret;
	struct sha256 hash;

	sha256_begin(&hash);
	sha256_add(&hash, path);
	sha256_get(&hash, digest);
	memcpy(ret.digest, digest, sizeof(ret.digest));
	return ret;
}
