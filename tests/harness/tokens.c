/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/tokens.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "identity/base64url.h"

#define TEXT_MOST (1u << 20)

EVP_PKEY *tokens_make_rsa(unsigned bits)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
}

EVP_PKEY *tokens_make_ec(const char *curve)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

static char *encoded(struct slice bytes)
{
	struct buffer text;
	char *copy;

	buffer_init(&text, TEXT_MOST);
	base64url_encode(bytes, &text);
	copy = memory_copy_text(buffer_slice(&text).data, buffer_length(&text));
	buffer_done(&text);
	return copy;
}

/* A number of the key in base64url; `length` 0: as long as it is. */
static char *number(EVP_PKEY *key, const char *name, int length)
{
	uint8_t bytes[2048];
	BIGNUM *n = NULL;
	int written;

	EVP_PKEY_get_bn_param(key, name, &n);
	written = BN_bn2binpad(n, bytes, length ? length : BN_num_bytes(n));
	BN_free(n);
	return encoded(slice_of(bytes, (size_t)written));
}

char *tokens_jwk(EVP_PKEY *key, const char *id, const char *more)
{
	bool rsa = EVP_PKEY_is_a(key, "RSA");
	int length = (EVP_PKEY_get_bits(key) + 7) / 8;
	char *first = rsa ? number(key, OSSL_PKEY_PARAM_RSA_N, 0)
			  : number(key, OSSL_PKEY_PARAM_EC_PUB_X, length);
	char *second = rsa ? number(key, OSSL_PKEY_PARAM_RSA_E, 0)
			   : number(key, OSSL_PKEY_PARAM_EC_PUB_Y, length);
	char *text = rsa
		? memory_format("{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", id,
			  first, second, more)
		: memory_format("{\"kty\":\"EC\",\"kid\":\"%s\",\"crv\":\"P-%d\",\"x\":\"%s\","
				"\"y\":\"%s\"%s}",
			  id, EVP_PKEY_get_bits(key), first, second, more);

	free(first);
	free(second);
	return text;
}

char *tokens_join(struct slice header, struct slice claims, struct slice signature)
{
	char *parts[] = {encoded(header), encoded(claims), encoded(signature)};
	char *text = memory_format("%s.%s.%s", parts[0], parts[1], parts[2]);

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		free(parts[i]);
	return text;
}

/* What is signed; for free(). */
static char *message_of(struct slice header, struct slice claims)
{
	char *text = tokens_join(header, claims, SLICE_EMPTY);

	text[strlen(text) - 1] = '\0';
	return text;
}

char *tokens_sign(enum algorithm a, EVP_PKEY *key, struct slice header, struct slice claims)
{
	char *message = message_of(header, claims), *token;
	struct buffer signature;

	buffer_init(&signature, 4096);
	if (algorithm_sign(a, key, slice_from_string(message), &signature) < 0)
		abort();
	token = tokens_join(header, claims, buffer_slice(&signature));
	buffer_done(&signature);
	free(message);
	return token;
}

char *tokens_sign_with_secret(const char *secret, const char *header, const char *claims)
{
	struct slice head = slice_from_string(header), body = slice_from_string(claims);
	char *message = message_of(head, body);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)message, strlen(message),
		digest, &length);
	free(message);
	return tokens_join(head, body, slice_of(digest, length));
}
