/* SPDX-License-Identifier: Apache-2.0
 *
 * The provider has one kind of key, under the names of RSA and EC: the public key, as OpenSSL's own
 * provider holds it. It can be compared, and asked for its parameters; the only thing that is ours
 * is DigestSign (OpenSSL's provider-keymgmt(7) and provider-signature(7)).
 */
#include "worker/tls_key.h"

#include <errno.h>
#include <openssl/async.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/memory.h"

#define PROVIDER "wayleave"
#define OURS "provider=" PROVIDER
/* Everything else is OpenSSL's own. */
#define OTHERS "?provider=default"

static OSSL_LIB_CTX *library;
static __thread struct tls_key_wait *waiting;

void tls_key_enter(struct tls_key_wait *wait)
{
	waiting = wait;
}

/* --- keys --- */

struct key {
	EVP_PKEY *public;
};

static void *key_new(void *provider)
{
	(void)provider;
	return memory_new(sizeof(struct key));
}

static void key_free(void *data)
{
	struct key *key = data;

	if (!key)
		return;
	EVP_PKEY_free(key->public);
	free(key);
}

static int key_has(const void *data, int selection)
{
	(void)selection;
	return ((const struct key *)data)->public != NULL;
}

static int key_import(struct key *key, const char *type, const OSSL_PARAM parameters[])
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(library, type, "provider=default");
	int ok = context && EVP_PKEY_fromdata_init(context) == 1 &&
		EVP_PKEY_fromdata(
			context, &key->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)parameters) == 1;

	EVP_PKEY_CTX_free(context);
	return ok;
}

static int key_import_rsa(void *key, int selection, const OSSL_PARAM parameters[])
{
	(void)selection;
	return key_import(key, "RSA", parameters);
}

static int key_import_ec(void *key, int selection, const OSSL_PARAM parameters[])
{
	(void)selection;
	return key_import(key, "EC", parameters);
}

/* The public half alone: who wants more would sign with it. */
static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *argument)
{
	struct key *key = data;
	OSSL_PARAM *parameters = NULL;
	int ok;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	ok = EVP_PKEY_todata(key->public, EVP_PKEY_PUBLIC_KEY, &parameters) == 1 &&
		callback(parameters, argument);
	OSSL_PARAM_free(parameters);
	return ok;
}

static int key_match(const void *a, const void *b, int selection)
{
	(void)selection;
	return EVP_PKEY_eq(((const struct key *)a)->public, ((const struct key *)b)->public) == 1;
}

static int key_get_parameters(void *data, OSSL_PARAM parameters[])
{
	return EVP_PKEY_get_params(((struct key *)data)->public, parameters);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return list;
}

static const OSSL_PARAM *key_types(int selection)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)selection;
	return list;
}

static const char *key_signature_rsa(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *key_signature_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION(id, function)                                                                     \
	{                                                                                          \
		OSSL_FUNC_##id, (void (*)(void))(function)                                         \
	}
#define KEY_FUNCTIONS(type)                                                                        \
	{                                                                                          \
		FUNCTION(KEYMGMT_NEW, key_new), FUNCTION(KEYMGMT_FREE, key_free),                  \
			FUNCTION(KEYMGMT_HAS, key_has),                                            \
			FUNCTION(KEYMGMT_IMPORT, key_import_##type),                               \
			FUNCTION(KEYMGMT_IMPORT_TYPES, key_types),                                 \
			FUNCTION(KEYMGMT_EXPORT, key_export),                                      \
			FUNCTION(KEYMGMT_EXPORT_TYPES, key_types),                                 \
			FUNCTION(KEYMGMT_MATCH, key_match),                                        \
			FUNCTION(KEYMGMT_GET_PARAMS, key_get_parameters),                          \
			FUNCTION(KEYMGMT_GETTABLE_PARAMS, key_gettable),                           \
			FUNCTION(KEYMGMT_QUERY_OPERATION_NAME, key_signature_##type), {0, NULL},   \
	}
static const OSSL_DISPATCH rsa_functions[] = KEY_FUNCTIONS(rsa);
static const OSSL_DISPATCH ec_functions[] = KEY_FUNCTIONS(ec);
static const OSSL_ALGORITHM key_algorithms[] = {
	{"RSA:rsaEncryption", OURS, rsa_functions, NULL},
	{"EC:id-ecPublicKey", OURS, ec_functions, NULL},
	{NULL, NULL, NULL, NULL},
};

/* --- signatures --- */

struct signing {
	const struct key *key;
	unsigned digest;
	enum proof_padding padding;
};

static void *signing_new(void *provider, const char *query)
{
	(void)provider;
	(void)query;
	return memory_new(sizeof(struct signing));
}

static void signing_free(void *signing)
{
	free(signing);
}

static int signing_begin(void *data, const char *digest, void *key, const OSSL_PARAM parameters[])
{
	static const char *const names[PROOF_DIGEST_COUNT] = {
		[PROOF_SHA256] = "SHA2-256",
		[PROOF_SHA384] = "SHA2-384",
		[PROOF_SHA512] = "SHA2-512",
	};
	struct signing *signing = data;
	EVP_MD *md = EVP_MD_fetch(library, digest ? digest : "", NULL);

	(void)parameters;
	signing->key = key;
	signing->digest = PROOF_DIGEST_COUNT;
	signing->padding = PROOF_PKCS1;
	for (unsigned i = 0; md && i < PROOF_DIGEST_COUNT; i++) {
		if (EVP_MD_is_a(md, names[i]))
			signing->digest = i;
	}
	EVP_MD_free(md);
	return signing->digest < PROOF_DIGEST_COUNT;
}

/* Runs within a handshake's own stack (SSL_MODE_ASYNC), which stands still here. */
static int wait_for(struct tls_key_wait *wait, const struct signing *signing, struct slice text)
{
	const struct proof_signature wanted = {signing->digest, signing->padding, text};

	if (text.length > PROOF_SIGNED_MOST)
		return 0;
	wait->asked = true;
	if (wait->ask(wait, &wanted) < 0)
		return 0;
	while (!wait->answered) {
		if (!ASYNC_pause_job())
			return 0;
	}
	return wait->length > 0;
}

static int signing_sign(void *data, unsigned char *signature, size_t *length, size_t room,
	const unsigned char *text, size_t text_length)
{
	const struct signing *signing = data;
	struct tls_key_wait *wait = waiting;

	if (!signature) {
		*length = (size_t)EVP_PKEY_get_size(signing->key->public);
		return 1;
	}
	if (!wait || wait->asked || !ASYNC_get_current_job() ||
		!wait_for(wait, signing, slice_of(text, text_length)) || wait->length > room)
		return 0;
	memcpy(signature, wait->signature, wait->length);
	*length = wait->length;
	return 1;
}

/* The padding's name, or number. */
static bool is_pss(const OSSL_PARAM *mode)
{
	const char *name;
	int number;

	if (OSSL_PARAM_get_int(mode, &number))
		return number == RSA_PKCS1_PSS_PADDING;
	return OSSL_PARAM_get_utf8_string_ptr(mode, &name) &&
		strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
}

/* PSS, or in TLS 1.2 nothing. The salt is as long as the digest in both (RFC 8446, 4.2.3). */
static int signing_set(void *data, const OSSL_PARAM parameters[])
{
	const OSSL_PARAM *mode = OSSL_PARAM_locate_const(parameters, OSSL_SIGNATURE_PARAM_PAD_MODE);
	struct signing *signing = data;

	if (!mode)
		return 1;
	if (!is_pss(mode))
		return 0;
	signing->padding = PROOF_PSS;
	return 1;
}

static const OSSL_PARAM *signing_settable(void *data, void *provider)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)data;
	(void)provider;
	return list;
}

static const OSSL_DISPATCH signing_functions[] = {
	FUNCTION(SIGNATURE_NEWCTX, signing_new),
	FUNCTION(SIGNATURE_FREECTX, signing_free),
	FUNCTION(SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
	FUNCTION(SIGNATURE_DIGEST_SIGN, signing_sign),
	FUNCTION(SIGNATURE_SET_CTX_PARAMS, signing_set),
	FUNCTION(SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable),
	{0, NULL},
};
static const OSSL_ALGORITHM signing_algorithms[] = {
	{"RSA:rsaEncryption", OURS, signing_functions, NULL},
	{"ECDSA", OURS, signing_functions, NULL},
	{NULL, NULL, NULL, NULL},
};

/* --- the provider --- */

static const OSSL_ALGORITHM *query(void *provider, int operation, int *ret_no_cache)
{
	(void)provider;
	*ret_no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return key_algorithms;
	case OSSL_OP_SIGNATURE:
		return signing_algorithms;
	default:
		return NULL;
	}
}

static int begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
	void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		FUNCTION(PROVIDER_QUERY_OPERATION, query),
		{0, NULL},
	};

	(void)in;
	*provider = (void *)handle;
	*out = functions;
	return 1;
}

/* Apart from the library that everything else uses, so that nothing else finds these keys. */
static OSSL_LIB_CTX *own_library(void)
{
	if (library)
		return library;
	library = OSSL_LIB_CTX_new();
	if (library && OSSL_PROVIDER_add_builtin(library, PROVIDER, begin) == 1 &&
		OSSL_PROVIDER_load(library, "default") && OSSL_PROVIDER_load(library, PROVIDER))
		return library;
	OSSL_LIB_CTX_free(library);
	library = NULL;
	return NULL;
}

/* --- contexts --- */

/* The certificate's public key, as a key of the provider's. */
static EVP_PKEY *make_key(X509 *certificate)
{
	EVP_PKEY *public = X509_get0_pubkey(certificate), *key = NULL;
	const char *type = public ? EVP_PKEY_get0_type_name(public) : NULL;
	EVP_PKEY_CTX *context = type ? EVP_PKEY_CTX_new_from_name(library, type, OURS) : NULL;
	OSSL_PARAM *parameters = NULL;

	if (context && EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &parameters) == 1 &&
		EVP_PKEY_fromdata_init(context) == 1)
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
	OSSL_PARAM_free(parameters);
	EVP_PKEY_CTX_free(context);
	return key;
}

static X509 *read_certificate(BIO *text)
{
	X509 *certificate = X509_new_ex(library, OTHERS);

	if (certificate && PEM_read_bio_X509(text, &certificate, NULL, NULL))
		return certificate;
	X509_free(certificate);
	return NULL;
}

static int use(SSL_CTX *context, BIO *text)
{
	X509 *certificate = read_certificate(text);
	EVP_PKEY *key = certificate ? make_key(certificate) : NULL;
	int ok = key && SSL_CTX_use_certificate(context, certificate) == 1 &&
		SSL_CTX_use_PrivateKey(context, key) == 1;

	X509_free(certificate);
	EVP_PKEY_free(key);
	while (ok && (certificate = read_certificate(text))) {
		ok = SSL_CTX_add1_chain_cert(context, certificate) == 1;
		X509_free(certificate);
	}
	return ok ? 0 : -EINVAL;
}

SSL_CTX *tls_key_context(struct slice chain, struct error *e)
{
	SSL_CTX *context =
		own_library() ? SSL_CTX_new_ex(library, OTHERS, TLS_client_method()) : NULL;
	BIO *text = BIO_new_mem_buf(chain.data, (int)chain.length);

	if (!context || !text || use(context, text) < 0 ||
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		error_set(e, -EINVAL, "the client certificate can't be used");
		SSL_CTX_free(context);
		context = NULL;
	}
	ERR_clear_error();
	BIO_free(text);
	return context;
}
