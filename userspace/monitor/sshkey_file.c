/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sshkey_file.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/ssh_wire.h"
#include "monitor/sshkey.h"

#define BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* and its NUL */
#define ED25519_SEED 32

bool sshkey_file_is(struct slice text)
{
	return slice_starts_with(text, slice_from_string(BEGIN));
}

/* --- the envelope --- */

static int decode(struct slice text, struct buffer *ret)
{
	EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
	const uint8_t *end;
	int length = 0, last = 0, r = -EINVAL;
	uint8_t *space;

	text = slice_from(text, strlen(BEGIN));
	end = memmem(text.data, text.length, END, strlen(END));
	if (context && end && buffer_reserve(ret, text.length, &space) == 0) {
		EVP_DecodeInit(context);
		if (EVP_DecodeUpdate(context, space, &length, text.data, (int)(end - text.data)) >=
				0 &&
			EVP_DecodeFinal(context, space + length, &last) == 1) {
			buffer_commit(ret, (size_t)length + (size_t)last);
			r = 0;
		}
	}
	EVP_ENCODE_CTX_free(context);
	return r;
}

/* The part that would be encrypted; its two first numbers say that it was read rightly. */
static int open_envelope(struct slice in, struct slice *ret, struct error *e)
{
	struct slice cipher, kdf, options, public;

	if (!slice_starts_with(in, slice_of(MAGIC, sizeof(MAGIC))))
		return error_set(e, -EINVAL, "not a private key");
	in = slice_from(in, sizeof(MAGIC));
	if (!ssh_wire_take_string(&in, &cipher) || !ssh_wire_take_string(&in, &kdf) ||
		!ssh_wire_take_string(&in, &options) || in.length < 4 ||
		bytes_get_u32(in.data) != 1)
		return error_set(e, -EINVAL, "a damaged private key");
	if (!slice_equal_string(cipher, "none"))
		return error_set(
			e, -EINVAL, "the private key has a passphrase; expected one without");
	in = slice_from(in, 4);
	if (!ssh_wire_take_string(&in, &public) || !ssh_wire_take_string(&in, ret) ||
		ret->length < 8 || memcmp(ret->data, ret->data + 4, 4) != 0)
		return error_set(e, -EINVAL, "a damaged private key");
	*ret = slice_from(*ret, 8);
	return 0;
}

/* --- the keys --- */

static BIGNUM *take_number(struct slice *in)
{
	struct slice bytes;

	return ssh_wire_take_string(in, &bytes) ? BN_bin2bn(bytes.data, (int)bytes.length, NULL)
						: NULL;
}

static EVP_PKEY *make(const char *kind, OSSL_PARAM_BLD *builder, bool complete)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	OSSL_PARAM *parameters = complete ? OSSL_PARAM_BLD_to_param(builder) : NULL;
	EVP_PKEY *key = NULL;

	if (!context || !parameters || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) != 1)
		key = NULL;
	OSSL_PARAM_free(parameters);
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

/* n, e, d, iqmp, p, q */
static EVP_PKEY *read_rsa(struct slice in)
{
	static const char *const names[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
		OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
		OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2};
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *numbers[8] = {NULL}, *one = BN_new();
	BN_CTX *context = BN_CTX_new();
	bool ok = builder && one && context && BN_one(one);
	EVP_PKEY *key;

	for (size_t i = 0; ok && i < ARRAY_SIZE(names); i++) {
		numbers[i] = take_number(&in);
		ok = numbers[i] && OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]);
	}
	/* The exponents of the Chinese remainder: d mod (p - 1), d mod (q - 1). */
	for (size_t i = 0; ok && i < 2; i++) {
		BIGNUM *less = BN_new();

		numbers[6 + i] = BN_new();
		ok = less && numbers[6 + i] && BN_sub(less, numbers[4 + i], one) &&
			BN_mod(numbers[6 + i], numbers[2], less, context) &&
			OSSL_PARAM_BLD_push_BN(builder,
				i ? OSSL_PKEY_PARAM_RSA_EXPONENT2 : OSSL_PKEY_PARAM_RSA_EXPONENT1,
				numbers[6 + i]);
		BN_clear_free(less);
	}
	key = make("RSA", builder, ok);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		BN_clear_free(numbers[i]);
	BN_free(one);
	BN_CTX_free(context);
	return key;
}

/* curve, point, d */
static EVP_PKEY *read_ecdsa(struct slice in)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	struct slice curve = SLICE_EMPTY, point = SLICE_EMPTY;
	BIGNUM *d = NULL;
	EVP_PKEY *key;
	bool ok = builder && ssh_wire_take_string(&in, &curve) && ssh_wire_take_string(&in, &point);

	if (ok)
		d = take_number(&in);
	/* "nistp256": OpenSSL says "P-256". */
	ok = d && curve.length == 8 && slice_starts_with(curve, slice_from_string("nistp"));
	if (ok) {
		char group[8] = {
			'P', '-', (char)curve.data[5], (char)curve.data[6], (char)curve.data[7]};

		ok = OSSL_PARAM_BLD_push_utf8_string(
			     builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
			OSSL_PARAM_BLD_push_octet_string(
				builder, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.length) &&
			OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d);
		key = make("EC", builder, ok);
	} else {
		key = make("EC", builder, false);
	}
	BN_clear_free(d);
	return key;
}

/* public, private: the seed and the public key again */
static EVP_PKEY *read_ed25519(struct slice in)
{
	struct slice public, private;

	if (!ssh_wire_take_string(&in, &public) || !ssh_wire_take_string(&in, &private) ||
		private.length != 2 * ED25519_SEED)
		return NULL;
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private.data, ED25519_SEED);
}

static const struct {
	const char *type;
	EVP_PKEY *(*read)(struct slice in);
} kinds[] = {
	{"ssh-ed25519", read_ed25519},
	{"ssh-rsa", read_rsa},
	{"ecdsa-sha2-nistp256", read_ecdsa},
	{"ecdsa-sha2-nistp384", read_ecdsa},
	{"ecdsa-sha2-nistp521", read_ecdsa},
};

static int read_key(struct slice in, EVP_PKEY **ret, struct error *e)
{
	struct slice type;

	if (!ssh_wire_take_string(&in, &type))
		return error_set(e, -EINVAL, "a damaged private key");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!slice_equal_string(type, kinds[i].type))
			continue;
		*ret = kinds[i].read(in);
		return *ret ? 0 : error_set(e, -EINVAL, "a damaged private key");
	}
	return error_set(e, -EINVAL, "a key of type %.*s; expected Ed25519, ECDSA or RSA",
		(int)(type.length < 64 ? type.length : 64), (const char *)type.data);
}

int sshkey_file_read(struct slice text, EVP_PKEY **ret, struct error *e)
{
	struct buffer bytes;
	struct slice inside;
	int r;

	buffer_init(&bytes, SSHKEY_TEXT_MOST);
	r = decode(text, &bytes);
	if (r < 0)
		error_set(e, r, "a damaged private key");
	else
		r = open_envelope(buffer_slice(&bytes), &inside, e);
	if (r == 0)
		r = read_key(inside, ret, e);
	buffer_wipe(&bytes);
	return r;
}

/* --- writing --- */

/* The part that would be encrypted, padded to 8 bytes by 1, 2, 3, …; the two equal numbers in front
 * say nothing where there is no cipher. */
static int append_inside(struct slice public, struct slice private, struct buffer *ret)
{
	uint8_t both[2 * ED25519_SEED];
	int r = buffer_append_u64(ret, 0);

	memcpy(both, private.data, ED25519_SEED);
	memcpy(both + ED25519_SEED, public.data, ED25519_SEED);
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string("ssh-ed25519"));
	if (r == 0)
		r = ssh_wire_append_string(ret, public);
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_of(both, sizeof(both)));
	if (r == 0)
		r = ssh_wire_append_string(ret, SLICE_EMPTY);
	for (uint8_t i = 1; r == 0 && buffer_length(ret) % 8; i++)
		r = buffer_append_byte(ret, i);
	memory_wipe(both, sizeof(both));
	return r;
}

static int append_envelope(EVP_PKEY *key, struct slice inside, struct buffer *ret)
{
	struct buffer blob;
	int r = buffer_append(ret, MAGIC, sizeof(MAGIC));

	buffer_init(&blob, SSHKEY_BLOB_MOST);
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string("none"));
	if (r == 0)
		r = ssh_wire_append_string(ret, slice_from_string("none"));
	if (r == 0)
		r = ssh_wire_append_string(ret, SLICE_EMPTY);
	if (r == 0)
		r = buffer_append_u32(ret, 1);
	if (r == 0)
		r = sshkey_append_public(key, &blob);
	if (r == 0)
		r = ssh_wire_append_string(ret, buffer_slice(&blob));
	if (r == 0)
		r = ssh_wire_append_string(ret, inside);
	buffer_done(&blob);
	return r;
}

/* In lines of at most 70 characters, as ssh-keygen(1) has them. */
static int append_text(struct slice bytes, struct buffer *ret)
{
	int r = buffer_append_string(ret, BEGIN "\n");

	while (r == 0 && bytes.length) {
		struct slice part = slice_head(bytes, 51);
		uint8_t line[72];
		int length = EVP_EncodeBlock(line, part.data, (int)part.length);

		r = buffer_append(ret, line, (size_t)length);
		if (r == 0)
			r = buffer_append_byte(ret, '\n');
		bytes = slice_from(bytes, part.length);
		memory_wipe(line, sizeof(line));
	}
	return r < 0 ? r : buffer_append_string(ret, END "\n");
}

int sshkey_file_append(EVP_PKEY *key, struct buffer *ret)
{
	uint8_t public[ED25519_SEED], private[ED25519_SEED];
	size_t public_length = sizeof(public), private_length = sizeof(private);
	struct buffer inside, all;
	int r = -EINVAL;

	buffer_init(&inside, SSHKEY_BLOB_MOST);
	buffer_init(&all, SSHKEY_BLOB_MOST);
	if (EVP_PKEY_get_raw_public_key(key, public, &public_length) == 1 &&
		EVP_PKEY_get_raw_private_key(key, private, &private_length) == 1)
		r = append_inside(slice_of(public, public_length),
			slice_of(private, private_length), &inside);
	if (r == 0)
		r = append_envelope(key, buffer_slice(&inside), &all);
	if (r == 0)
		r = append_text(buffer_slice(&all), ret);
	memory_wipe(private, sizeof(private));
	buffer_wipe(&inside);
	buffer_wipe(&all);
	return r;
}
