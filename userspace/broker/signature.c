/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/signature.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/text.h"

#define VERSION "v0"
#define DIGEST_SIZE 32

static int compute(
	struct slice secret, struct slice timestamp, struct slice body, uint8_t ret[DIGEST_SIZE])
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t length = 0;
	bool good = context && EVP_MAC_init(context, secret.data, secret.length, parameters) == 1 &&
		EVP_MAC_update(context, (const uint8_t *)VERSION ":", sizeof(VERSION)) == 1 &&
		EVP_MAC_update(context, timestamp.data, timestamp.length) == 1 &&
		EVP_MAC_update(context, (const uint8_t *)":", 1) == 1 &&
		EVP_MAC_update(context, body.data, body.length) == 1 &&
		EVP_MAC_final(context, ret, &length, DIGEST_SIZE) == 1 && length == DIGEST_SIZE;

	EVP_MAC_CTX_free(context);
	EVP_MAC_free(mac);
	return good ? 0 : -EIO;
}

int signature_check(struct slice secret, struct slice timestamp, struct slice signature,
	struct slice body, uint64_t now, uint64_t *ret_sent)
{
	const struct slice prefix = slice_from_string(VERSION "=");
	uint8_t expected[DIGEST_SIZE], given[DIGEST_SIZE];
	uint64_t sent;
	int r;

	if (secret.length == 0 || !slice_starts_with(signature, prefix) ||
		text_from_hex(slice_from(signature, prefix.length), given, sizeof(given)) < 0 ||
		text_to_number(timestamp, UINT32_MAX, &sent) < 0)
		return -EACCES;
	r = compute(secret, timestamp, body, expected);
	if (r < 0)
		return r;
	if (CRYPTO_memcmp(expected, given, sizeof(given)) != 0)
		return -EACCES;
	if (sent + SIGNATURE_AGE_MOST < now || sent > now + SIGNATURE_AGE_MOST)
		return -ETIME;
	*ret_sent = sent;
	return 0;
}
