/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/jwks.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/algorithm.h"
#include "identity/base64url.h"
#include "identity/document.h"

#define EXPONENT_MOST 8 /* bytes of an RSA exponent: a long one only costs time */

/* --- key material --- */

/* Bytes of a member in base64url, at most as the buffer holds. */
static int get_bytes(const cJSON *jwk, const char *name, struct buffer *ret)
{
	const char *text = document_get_text(jwk, name);

	return text ? base64url_decode(slice_from_string(text), ret) : -EBADMSG;
}

static EVP_PKEY *build(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!parameters || !context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	ERR_clear_error();
	return key;
}

static bool is_odd(struct slice number)
{
	return number.length && number.data[number.length - 1] & 1;
}

static EVP_PKEY *build_rsa(struct slice modulus, struct slice exponent)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(modulus.data, (int)modulus.length, NULL);
	BIGNUM *e = BN_bin2bn(exponent.data, (int)exponent.length, NULL);
	EVP_PKEY *key = NULL;

	if (builder && n && e && !BN_is_one(e) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		key = build("RSA", builder);
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *make_rsa(const cJSON *jwk)
{
	struct buffer modulus, exponent;
	EVP_PKEY *key = NULL;

	buffer_init(&modulus, LIMIT_RSA_BITS_MOST / 8 + 1);
	buffer_init(&exponent, EXPONENT_MOST);
	if (get_bytes(jwk, "n", &modulus) == 0 && get_bytes(jwk, "e", &exponent) == 0 &&
		is_odd(buffer_slice(&modulus)) && is_odd(buffer_slice(&exponent)))
		key = build_rsa(buffer_slice(&modulus), buffer_slice(&exponent));
	buffer_done(&modulus);
	buffer_done(&exponent);
	return key;
}

static EVP_PKEY *build_ec(const char *curve, struct slice point)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;

	/* A point that is not on the curve is refused here. */
	if (builder &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) ==
			1 &&
		OSSL_PARAM_BLD_push_octet_string(
			builder, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.length) == 1)
		key = build("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return key;
}

static EVP_PKEY *make_ec(const cJSON *jwk)
{
	static const struct {
		const char *name, *curve;
		size_t coordinate; /* bytes; RFC 7518 section 6.2.1.2: always all of them */
	} curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}};
	const char *name = document_get_text(jwk, "crv");
	EVP_PKEY *key = NULL;
	struct buffer point;

	for (size_t i = 0; name && i < ARRAY_SIZE(curves); i++) {
		size_t coordinate = curves[i].coordinate;

		if (strcmp(name, curves[i].name) != 0)
			continue;
		buffer_init(&point, 1 + 2 * coordinate);
		if (buffer_append_byte(&point, 4) == 0 && get_bytes(jwk, "x", &point) == 0 &&
			buffer_length(&point) == 1 + coordinate &&
			get_bytes(jwk, "y", &point) == 0 &&
			buffer_length(&point) == 1 + 2 * coordinate)
			key = build_ec(curves[i].curve, buffer_slice(&point));
		buffer_done(&point);
	}
	return key;
}

/* --- what it may be used for --- */

static bool has_text(const cJSON *list, const char *wanted)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		if (cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0)
			return true;
	}
	return false;
}

/* Why the key is not for verifying; NULL: it may be. */
static const char *find_misuse(const cJSON *jwk)
{
	const cJSON *use = document_get(jwk, "use"), *operations = document_get(jwk, "key_ops");

	if (use && (!cJSON_IsString(use) || strcmp(use->valuestring, "sig") != 0))
		return "it is not for signatures (\"use\")";
	if (operations && !has_text(operations, "verify"))
		return "it is not for verifying (\"key_ops\")";
	/* RFC 7518 sections 6.2.2 and 6.3.2: whoever reads this can sign. */
	if (document_get(jwk, "d"))
		return "its private part is published";
	return NULL;
}

/* The algorithms that "alg" leaves of those. */
static unsigned restrict_algorithms(const cJSON *jwk, unsigned algorithms)
{
	const cJSON *member = document_get(jwk, "alg");
	enum algorithm a;

	if (!member)
		return algorithms;
	a = cJSON_IsString(member) ? algorithm_find(member->valuestring) : ALGORITHM_COUNT;
	return a == ALGORITHM_COUNT ? 0 : algorithms & 1u << a;
}

static int take_key(const cJSON *jwk, struct jwk *ret, struct error *e)
{
	const char *type = document_get_text(jwk, "kty"), *misuse;
	const cJSON *id = document_get(jwk, "kid");

	if (!type || (id && (!cJSON_IsString(id) || strlen(id->valuestring) > LIMIT_KEY_ID)))
		return error_set(e, -EBADMSG, "no key");
	if (strcmp(type, "RSA") != 0 && strcmp(type, "EC") != 0)
		return error_set(e, -EBADMSG, "a key of type \"%.20s\"", type);
	misuse = find_misuse(jwk);
	if (misuse)
		return error_set(e, -EBADMSG, "%s", misuse);
	ret->key = strcmp(type, "RSA") == 0 ? make_rsa(jwk) : make_ec(jwk);
	if (!ret->key)
		return error_set(e, -EBADMSG, "its numbers make no key");
	ret->algorithms = algorithms_of(ret->key, e);
	if (ret->algorithms) {
		ret->algorithms = restrict_algorithms(jwk, ret->algorithms);
		if (!ret->algorithms)
			error_set(e, -EBADMSG, "its \"alg\" is none for tokens");
	}
	if (!ret->algorithms) {
		EVP_PKEY_free(ret->key);
		return -EBADMSG;
	}
	ret->id = id ? memory_copy_string(id->valuestring) : NULL;
	return 0;
}

/* --- the document --- */

static void take_keys(struct jwks *k, const cJSON *list)
{
	const cJSON *item;
	struct error e;

	k->keys = memory_new_array((size_t)cJSON_GetArraySize(list), sizeof(*k->keys));
	cJSON_ArrayForEach(item, list)
	{
		struct jwk key = {0};

		if (take_key(item, &key, &e) == 0)
			k->keys[k->count++] = key;
		else if (k->skipped++ == 0)
			snprintf(k->why, sizeof(k->why), "%.*s", (int)sizeof(k->why) - 1, e.text);
	}
}

int jwks_parse(struct slice document, struct jwks **ret, struct error *e)
{
	const cJSON *list;
	struct jwks *k;
	cJSON *json;
	int r = document_parse(document, &json, e);

	if (r < 0)
		return r;
	list = document_get(json, "keys");
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > LIMIT_KEYS) {
		cJSON_Delete(json);
		return error_set(
			e, -EBADMSG, "expected \"keys\", a list of at most %d", LIMIT_KEYS);
	}
	k = memory_new(sizeof(*k));
	take_keys(k, list);
	cJSON_Delete(json);
	if (k->count == 0) {
		error_set(e, -EBADMSG, "no key in it can be used%s%s", k->skipped ? ": " : "",
			k->why);
		jwks_free(k);
		return -EBADMSG;
	}
	*ret = k;
	return 0;
}

void jwks_free(struct jwks *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->count; i++) {
		free(k->keys[i].id);
		EVP_PKEY_free(k->keys[i].key);
	}
	free(k->keys);
	free(k);
}
