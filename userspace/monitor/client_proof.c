/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/client_proof.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/private_key.h"

#define PADDING 64 /* spaces */

static const char context[] = "TLS 1.3, client CertificateVerify"; /* its NUL is a part of it */

/* The transcript's digest is that of the cipher suite: SHA-256 or SHA-384. */
bool client_proof_is_sound(const struct proof_signature *wanted)
{
	size_t before = PADDING + sizeof(context);

	if (wanted->digest >= PROOF_DIGEST_COUNT ||
		(wanted->length != before + 32 && wanted->length != before + 48) ||
		wanted->length > sizeof(wanted->text))
		return false;
	for (size_t i = 0; i < PADDING; i++) {
		if (wanted->text[i] != ' ')
			return false;
	}
	return memcmp(wanted->text + PADDING, context, sizeof(context)) == 0;
}

static const EVP_MD *digest_of(const struct proof_signature *wanted)
{
	switch (wanted->digest) {
	case PROOF_SHA256:
		return EVP_sha256();
	case PROOF_SHA384:
		return EVP_sha384();
	default:
		return EVP_sha512();
	}
}

/* RFC 8446, 4.2.3: RSA signs by PSS, with a salt as long as the digest. */
static int set_padding(EVP_PKEY *key, EVP_PKEY_CTX *parameters)
{
	return !EVP_PKEY_is_a(key, "RSA") ||
		(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
}

int client_proof_make(const struct proof_signature *wanted, const char *key_file, uint8_t *ret,
	size_t *ret_length, struct error *e)
{
	EVP_MD_CTX *signing;
	EVP_PKEY_CTX *parameters;
	EVP_PKEY *key;
	size_t length = CLIENT_PROOF_MOST;
	int ok, r = private_key_read(key_file, &key, e);

	if (r < 0)
		return r;
	signing = EVP_MD_CTX_new();
	ok = signing &&
		EVP_DigestSignInit(signing, &parameters, digest_of(wanted), NULL, key) == 1 &&
		set_padding(key, parameters) &&
		EVP_DigestSign(signing, ret, &length, wanted->text, wanted->length) == 1;
	EVP_MD_CTX_free(signing);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (!ok)
		return error_set(e, -EIO, "%s: the key does not sign", key_file);
	*ret_length = length;
	return 0;
}
