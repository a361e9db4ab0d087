/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/algorithm.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/memory.h"

static const struct row {
	const char *name;
	const char *digest;
	unsigned number; /* bytes of each of the two numbers of an ECDSA signature; 0: RSA */
} rows[ALGORITHM_COUNT] = {
	[ALGORITHM_RS256] = {"RS256", "SHA256", 0},
	[ALGORITHM_RS384] = {"RS384", "SHA384", 0},
	[ALGORITHM_RS512] = {"RS512", "SHA512", 0},
	[ALGORITHM_ES256] = {"ES256", "SHA256", 32},
	[ALGORITHM_ES384] = {"ES384", "SHA384", 48},
};

const char *algorithm_name(enum algorithm a)
{
	return rows[a].name;
}

enum algorithm algorithm_find(const char *name)
{
	unsigned i = 0;

	while (i < ALGORITHM_COUNT && strcmp(rows[i].name, name) != 0)
		i++;
	return (enum algorithm)i;
}

unsigned algorithms_of(EVP_PKEY *key, struct error *e)
{
	int bits = EVP_PKEY_get_bits(key);
	char curve[32] = "";

	if (EVP_PKEY_is_a(key, "RSA")) {
		if (bits >= LIMIT_RSA_BITS_LEAST && bits <= LIMIT_RSA_BITS_MOST)
			return ALGORITHMS_RSA;
		error_set(e, -EINVAL, "an RSA key of %d bits (expected %d to %d)", bits,
			LIMIT_RSA_BITS_LEAST, LIMIT_RSA_BITS_MOST);
		return 0;
	}
	if (EVP_PKEY_is_a(key, "EC"))
		EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL);
	if (strcmp(curve, "prime256v1") == 0)
		return 1u << ALGORITHM_ES256;
	if (strcmp(curve, "secp384r1") == 0)
		return 1u << ALGORITHM_ES384;
	error_set(e, -EINVAL, "a key that is neither RSA nor EC on P-256 or P-384");
	return 0;
}

/* The two numbers of fixed length (RFC 7518 section 3.4) as the DER that OpenSSL takes; NULL: they
 * are none. For OPENSSL_free(). */
static uint8_t *number_pair_to_der(struct slice pair, unsigned number, size_t *ret_length)
{
	ECDSA_SIG *parts;
	uint8_t *der = NULL;
	BIGNUM *r, *s;
	int length;

	if (pair.length != 2 * (size_t)number)
		return NULL;
	parts = ECDSA_SIG_new();
	r = BN_bin2bn(pair.data, (int)number, NULL);
	s = BN_bin2bn(pair.data + number, (int)number, NULL);
	if (!parts || !r || !s || ECDSA_SIG_set0(parts, r, s) != 1)
		memory_exhausted(0);
	length = i2d_ECDSA_SIG(parts, &der);
	ECDSA_SIG_free(parts);
	if (length <= 0)
		return NULL;
	*ret_length = (size_t)length;
	return der;
}

static bool fits(enum algorithm a, EVP_PKEY *key)
{
	return algorithms_of(key, NULL) >> a & 1;
}

bool algorithm_verify(enum algorithm a, EVP_PKEY *key, struct slice message, struct slice signature)
{
	const struct row *row = &rows[a];
	uint8_t *der = NULL;
	EVP_MD_CTX *context;
	bool good;

	if (!fits(a, key))
		return false;
	if (row->number) {
		der = number_pair_to_der(signature, row->number, &signature.length);
		if (!der)
			return false;
		signature.data = der;
	}
	context = EVP_MD_CTX_new();
	/* RSA: PKCS #1 v1.5, which is the default. */
	good = context &&
		EVP_DigestVerifyInit_ex(context, NULL, row->digest, NULL, NULL, key, NULL) == 1 &&
		EVP_DigestVerify(context, signature.data, signature.length, message.data,
			message.length) == 1;
	EVP_MD_CTX_free(context);
	OPENSSL_free(der);
	ERR_clear_error();
	return good;
}

static int append_number_pair(struct slice der, unsigned number, struct buffer *ret)
{
	const uint8_t *position = der.data;
	ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &position, (long)der.length);
	uint8_t *space;
	int r = parts ? buffer_reserve(ret, 2 * (size_t)number, &space) : -EINVAL;

	if (r == 0 &&
		(BN_bn2binpad(ECDSA_SIG_get0_r(parts), space, (int)number) < 0 ||
			BN_bn2binpad(ECDSA_SIG_get0_s(parts), space + number, (int)number) < 0))
		r = -EINVAL;
	if (r == 0)
		buffer_commit(ret, 2 * (size_t)number);
	ECDSA_SIG_free(parts);
	return r;
}

int algorithm_sign(enum algorithm a, EVP_PKEY *key, struct slice message, struct buffer *ret)
{
	uint8_t signature[LIMIT_RSA_BITS_MOST / 8];
	size_t length = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && fits(a, key) &&
		EVP_DigestSignInit_ex(context, NULL, rows[a].digest, NULL, NULL, key, NULL) == 1 &&
		EVP_DigestSign(context, signature, &length, message.data, message.length) == 1;

	EVP_MD_CTX_free(context);
	ERR_clear_error();
	if (!good)
		return -EINVAL;
	return rows[a].number ? append_number_pair(slice_of(signature, length), rows[a].number, ret)
			      : buffer_append(ret, signature, length);
}
