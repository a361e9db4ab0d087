/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/signature.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/memory.h"
#include "base/ssh_wire.h"

struct algorithm {
	const char *name, *key; /* of the signature, and of the keys that make such */
	const char *group, *curve; /* of a key of ECDSA, for OpenSSL and here */
	const EVP_MD *(*hash)(void); /* NULL: Ed25519's own */
	int (*read)(const struct algorithm *a, struct slice fields, EVP_PKEY **ret);
};

/* --- keys --- */

static int build(const char *kind, OSSL_PARAM_BLD *parts, EVP_PKEY **ret)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	OSSL_PARAM *all = OSSL_PARAM_BLD_to_param(parts);
	int r = context && all && EVP_PKEY_fromdata_init(context) == 1 &&
			EVP_PKEY_fromdata(context, ret, EVP_PKEY_PUBLIC_KEY, all) == 1
		? 0
		: -EBADMSG;

	OSSL_PARAM_free(all);
	EVP_PKEY_CTX_free(context);
	return r;
}

static int read_ed25519(const struct algorithm *a, struct slice fields, EVP_PKEY **ret)
{
	struct slice raw;

	(void)a;
	if (!ssh_wire_take_string(&fields, &raw) || fields.length || raw.length != 32)
		return -EBADMSG;
	*ret = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw.data, raw.length);
	return *ret ? 0 : -EBADMSG;
}

/* That the point is one of the curve the library looks at when it reads it. */
static int read_ecdsa(const struct algorithm *a, struct slice fields, EVP_PKEY **ret)
{
	struct slice curve, point;
	OSSL_PARAM_BLD *parts;
	int r;

	if (!ssh_wire_take_string(&fields, &curve) || !ssh_wire_take_string(&fields, &point) ||
		fields.length || !slice_equal_string(curve, a->curve))
		return -EBADMSG;
	parts = OSSL_PARAM_BLD_new();
	r = parts &&
			OSSL_PARAM_BLD_push_utf8_string(
				parts, OSSL_PKEY_PARAM_GROUP_NAME, a->group, 0) &&
			OSSL_PARAM_BLD_push_octet_string(
				parts, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.length)
		? build("EC", parts, ret)
		: -ENOMEM;
	OSSL_PARAM_BLD_free(parts);
	return r;
}

/* "mpint" of a number that is not negative; NULL: it is none. */
static BIGNUM *take_number(struct slice *from)
{
	struct slice number;

	if (!ssh_wire_take_string(from, &number) || number.length > SIGNATURE_RSA_MOST / 8 + 1 ||
		(number.length && number.data[0] & 0x80))
		return NULL;
	return BN_bin2bn(number.data, (int)number.length, NULL);
}

static int read_rsa(const struct algorithm *a, struct slice fields, EVP_PKEY **ret)
{
	OSSL_PARAM_BLD *parts = OSSL_PARAM_BLD_new();
	BIGNUM *e = take_number(&fields), *n = take_number(&fields);
	int r = -EBADMSG;

	(void)a;
	if (e && n && fields.length == 0)
		r = BN_num_bits(n) < SIGNATURE_RSA_LEAST ? -ENOTSUP : 0;
	if (r == 0)
		r = parts && OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, e) &&
				OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, n)
			? build("RSA", parts, ret)
			: -ENOMEM;
	BN_free(e);
	BN_free(n);
	OSSL_PARAM_BLD_free(parts);
	return r;
}

/* Those of OpenSSH's CASignatureAlgorithms that there are without hardware. */
static const struct algorithm algorithms[] = {
	{"ssh-ed25519", "ssh-ed25519", .read = read_ed25519},
	{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "P-256", "nistp256", EVP_sha256, read_ecdsa},
	{"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "P-384", "nistp384", EVP_sha384, read_ecdsa},
	{"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "P-521", "nistp521", EVP_sha512, read_ecdsa},
	{"rsa-sha2-512", "ssh-rsa", .hash = EVP_sha512, .read = read_rsa},
	{"rsa-sha2-256", "ssh-rsa", .hash = EVP_sha256, .read = read_rsa},
};

/* --- signatures --- */

/* From RFC 5656, 3.1.2 to ASN.1, which is for OPENSSL_free(). */
static int rewrite_ecdsa(struct slice numbers, uint8_t **ret, size_t *ret_length)
{
	ECDSA_SIG *both = ECDSA_SIG_new();
	BIGNUM *r = take_number(&numbers), *s = take_number(&numbers);
	int length = -1;

	if (both && r && s && numbers.length == 0 && ECDSA_SIG_set0(both, r, s) == 1) {
		length = i2d_ECDSA_SIG(both, ret);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(both);
	if (length < 0)
		return -EBADMSG;
	*ret_length = (size_t)length;
	return 0;
}

static int verify(EVP_PKEY *key, const EVP_MD *hash, struct slice data, struct slice signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int r = -ENOMEM;

	if (context && EVP_DigestVerifyInit(context, NULL, hash, NULL, key) == 1)
		r = EVP_DigestVerify(
			    context, signature.data, signature.length, data.data, data.length) == 1
			? 0
			: -EKEYREJECTED;
	EVP_MD_CTX_free(context);
	return r;
}

static int verify_as(
	const struct algorithm *a, EVP_PKEY *key, struct slice data, struct slice signature)
{
	uint8_t *der = NULL;
	size_t length;
	int r;

	if (!a->curve)
		return verify(key, a->hash ? a->hash() : NULL, data, signature);
	r = rewrite_ecdsa(signature, &der, &length);
	if (r == 0)
		r = verify(key, a->hash(), data, slice_of(der, length));
	OPENSSL_free(der);
	return r;
}

static const struct algorithm *find_algorithm(struct slice name, struct slice key)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (slice_equal_string(name, algorithms[i].name) &&
			slice_equal_string(key, algorithms[i].key))
			return &algorithms[i];
	}
	return NULL;
}

int signature_verify(struct slice key, struct slice data, struct slice signature)
{
	const struct algorithm *a;
	struct slice type, name, raw;
	EVP_PKEY *public = NULL;
	int r;

	if (!ssh_wire_take_string(&key, &type) || !ssh_wire_take_string(&signature, &name) ||
		!ssh_wire_take_string(&signature, &raw) || signature.length)
		return -EBADMSG;
	a = find_algorithm(name, type);
	if (!a)
		return -ENOTSUP;
	r = a->read(a, key, &public);
	if (r == 0)
		r = verify_as(a, public, data, raw);
	EVP_PKEY_free(public);
	return r;
}
