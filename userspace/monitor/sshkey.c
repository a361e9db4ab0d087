/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sshkey.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#include "base/memory.h"
#include "base/private_key.h"
#include "base/ssh_wire.h"
#include "monitor/sshkey_file.h"

static const struct curve {
	const char *group, *type, *name;
	const EVP_MD *(*hash)(void);
} curves[] = {
	{"P-256", "ecdsa-sha2-nistp256", "nistp256", EVP_sha256},
	{"P-384", "ecdsa-sha2-nistp384", "nistp384", EVP_sha384},
	{"P-521", "ecdsa-sha2-nistp521", "nistp521", EVP_sha512},
};

static const struct curve *curve_of(const EVP_PKEY *key)
{
	char name[32];

	if (!EVP_PKEY_get_group_name(key, name, sizeof(name), NULL))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++) {
		if (strcmp(name, curves[i].group) == 0 ||
			OBJ_txt2nid(name) == EC_curve_nist2nid(curves[i].group))
			return &curves[i];
	}
	return NULL;
}

const char *sshkey_type(const EVP_PKEY *key)
{
	const struct curve *curve;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return "ssh-ed25519";
	case EVP_PKEY_RSA:
		return "ssh-rsa";
	case EVP_PKEY_EC:
		curve = curve_of(key);
		return curve ? curve->type : NULL;
	default:
		return NULL;
	}
}

/* --- parts --- */

static int append_text(struct buffer *b, const char *text)
{
	return ssh_wire_append_string(b, slice_from_string(text));
}

/* "mpint" of a number that is not negative. */
static int append_number(struct buffer *b, const BIGNUM *n)
{
	size_t length = (size_t)BN_num_bytes(n);
	bool zero = length && BN_is_bit_set(n, (int)length * 8 - 1);
	uint8_t *space;
	int r = buffer_append_u32(b, (uint32_t)(length + zero));

	if (r == 0 && zero)
		r = buffer_append_byte(b, 0);
	if (r == 0)
		r = buffer_reserve(b, length, &space);
	if (r == 0) {
		BN_bn2bin(n, space);
		buffer_commit(b, length);
	}
	return r;
}

/* --- public keys --- */

static int append_rsa(const EVP_PKEY *key, struct buffer *ret)
{
	BIGNUM *e = NULL, *n = NULL;
	int r = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) &&
			EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n)
		? append_number(ret, e)
		: -EIO;

	if (r == 0)
		r = append_number(ret, n);
	BN_free(e);
	BN_free(n);
	return r;
}

static int append_point(const EVP_PKEY *key, struct buffer *ret)
{
	const struct curve *curve = curve_of(key);
	uint8_t point[256];
	size_t length = 0;
	int r;

	/* Uncompressed, whatever form the file had. */
	if (!curve ||
		!EVP_PKEY_set_utf8_string_param((EVP_PKEY *)key,
			OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") ||
		!EVP_PKEY_get_octet_string_param(
			key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof(point), &length))
		return -EIO;
	r = append_text(ret, curve->name);
	return r < 0 ? r : ssh_wire_append_string(ret, slice_of(point, length));
}

static int append_ed25519(const EVP_PKEY *key, struct buffer *ret)
{
	uint8_t raw[32];
	size_t length = sizeof(raw);

	return EVP_PKEY_get_raw_public_key(key, raw, &length)
		? ssh_wire_append_string(ret, slice_of(raw, length))
		: -EIO;
}

int sshkey_append_public(const EVP_PKEY *key, struct buffer *ret)
{
	const char *type = sshkey_type(key);
	int r = type ? append_text(ret, type) : -ENOTSUP;

	if (r < 0)
		return r;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return append_ed25519(key, ret);
	case EVP_PKEY_RSA:
		return append_rsa(key, ret);
	default:
		return append_point(key, ret);
	}
}

int sshkey_append_line(const EVP_PKEY *key, struct buffer *ret)
{
	struct buffer blob;
	uint8_t *space;
	int r;

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	r = sshkey_append_public(key, &blob);
	if (r == 0)
		r = buffer_append_format(ret, "%s ", sshkey_type(key));
	if (r == 0)
		r = buffer_reserve(ret, 4 * (buffer_length(&blob) + 2) / 3 + 1, &space);
	if (r == 0)
		buffer_commit(ret,
			(size_t)EVP_EncodeBlock(
				space, buffer_slice(&blob).data, (int)buffer_length(&blob)));
	buffer_done(&blob);
	return r;
}

/* --- signatures --- */

static int sign(EVP_PKEY *key, const EVP_MD *hash, struct slice data, struct buffer *ret)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = (size_t)EVP_PKEY_get_size(key);
	uint8_t *space;
	int r = context && EVP_DigestSignInit(context, NULL, hash, NULL, key) == 1 ? 0 : -EIO;

	if (r == 0)
		r = buffer_reserve(ret, length, &space);
	if (r == 0 && EVP_DigestSign(context, space, &length, data.data, data.length) != 1)
		r = -EIO;
	if (r == 0)
		buffer_commit(ret, length);
	EVP_MD_CTX_free(context);
	return r;
}

/* From ASN.1 to RFC 5656, 3.1.2. */
static int rewrite_ecdsa(struct slice der, struct buffer *ret)
{
	const uint8_t *p = der.data;
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &p, (long)der.length);
	int r = signature ? append_number(ret, ECDSA_SIG_get0_r(signature)) : -EIO;

	if (r == 0)
		r = append_number(ret, ECDSA_SIG_get0_s(signature));
	ECDSA_SIG_free(signature);
	return r;
}

static int sign_as(EVP_PKEY *key, const char *algorithm, const EVP_MD *hash, struct slice data,
	struct buffer *ret)
{
	struct buffer raw, numbers;
	int r;

	buffer_init(&raw, SSHKEY_BLOB_MOST);
	buffer_init(&numbers, SSHKEY_BLOB_MOST);
	r = append_text(ret, algorithm);
	if (r == 0)
		r = sign(key, hash, data, &raw);
	if (r == 0 && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
		r = rewrite_ecdsa(buffer_slice(&raw), &numbers);
		if (r == 0)
			r = ssh_wire_append_string(ret, buffer_slice(&numbers));
	} else if (r == 0) {
		r = ssh_wire_append_string(ret, buffer_slice(&raw));
	}
	buffer_done(&numbers);
	buffer_done(&raw);
	return r;
}

int sshkey_append_signature(EVP_PKEY *key, struct slice data, unsigned flags, struct buffer *ret)
{
	const struct curve *curve;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return sign_as(key, "ssh-ed25519", NULL, data, ret);
	case EVP_PKEY_RSA:
		if (flags & SSHKEY_RSA_SHA2_512)
			return sign_as(key, "rsa-sha2-512", EVP_sha512(), data, ret);
		if (flags & SSHKEY_RSA_SHA2_256)
			return sign_as(key, "rsa-sha2-256", EVP_sha256(), data, ret);
		return -ENOTSUP;
	case EVP_PKEY_EC:
		curve = curve_of(key);
		return curve ? sign_as(key, curve->type, curve->hash(), data, ret) : -ENOTSUP;
	default:
		return -ENOTSUP;
	}
}

/* --- files --- */

int sshkey_read(struct slice text, EVP_PKEY **ret, struct error *e)
{
	EVP_PKEY *key = NULL;
	int r = 0;

	if (text.length > SSHKEY_TEXT_MOST)
		return error_set(e, -E2BIG, "too large for a private key");
	if (sshkey_file_is(text))
		r = sshkey_file_read(text, &key, e);
	else
		key = private_key_parse(text);
	if (r < 0)
		return r;
	if (!key || !sshkey_type(key)) {
		EVP_PKEY_free(key);
		return error_set(e, -EINVAL,
			"expected a private key without a passphrase: Ed25519, ECDSA or RSA");
	}
	*ret = key;
	return 0;
}
