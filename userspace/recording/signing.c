/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/private_key.h"

#define KEY_FILE_MOST 4096
/* So that no signature of a checkpoint can be taken for one of anything else. */
#define MESSAGE_DOMAIN "wayleave checkpoint 1"

static int key_adopt(struct signing_key *ret, EVP_PKEY *key, struct error *e)
{
	struct signing_key k = {.key = key};
	uint8_t raw[32];
	size_t length = sizeof(raw);

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519 ||
		EVP_PKEY_get_raw_public_key(key, raw, &length) != 1 ||
		EVP_Digest(raw, length, k.digest, NULL, EVP_sha256(), NULL) != 1) {
		EVP_PKEY_free(key);
		return error_set(e, -EINVAL, "not an Ed25519 key");
	}
	memcpy(k.id, k.digest, KEY_ID_SIZE);
	*ret = k;
	return 0;
}

static EVP_PKEY *public_key_parse(struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return key;
}

/* Appends what a BIO holds and frees it. */
static int take_bio(BIO *bio, int ok, struct buffer *ret)
{
	char *data;
	long length = BIO_get_mem_data(bio, &data);
	int r = ok == 1 && length > 0 ? buffer_append(ret, data, (size_t)length) : -ENOMEM;

	memory_wipe(data, length > 0 ? (size_t)length : 0);
	BIO_free(bio);
	return r;
}

static int key_make(const char *path, struct error *e)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_mem());
	struct buffer pem;
	int r;

	if (!key || !bio) {
		EVP_PKEY_free(key);
		BIO_free(bio);
		return error_set(e, -ENOMEM, "a key could not be made");
	}
	buffer_init(&pem, KEY_FILE_MOST);
	r = take_bio(bio, PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), &pem);
	if (r == 0)
		r = file_write(path, buffer_slice(&pem), 0600, e);
	else
		error_set(e, r, "a key could not be made");
	buffer_wipe(&pem);
	EVP_PKEY_free(key);
	return r;
}

int signing_key_load(struct signing_key *ret, const char *key_path, struct error *e)
{
	struct buffer pem;
	EVP_PKEY *key;
	int r = 0;

	if (access(key_path, F_OK) < 0) {
		if (errno != ENOENT)
			return error_set_errno(e, -errno, "%s", key_path);
		r = key_make(key_path, e);
	}
	if (r < 0)
		return r;
	buffer_init(&pem, KEY_FILE_MOST);
	r = file_read(key_path, &pem, e);
	key = r == 0 ? private_key_parse(buffer_slice(&pem)) : NULL;
	buffer_wipe(&pem);
	if (r < 0)
		return r;
	if (!key)
		return error_set(e, -EINVAL, "%s: not a private key in PEM", key_path);
	return key_adopt(ret, key, e);
}

int signing_key_load_public(struct signing_key *ret, struct slice pem, struct error *e)
{
	EVP_PKEY *key = pem.length <= KEY_FILE_MOST ? public_key_parse(pem) : NULL;

	if (!key)
		return error_set(e, -EINVAL, "not a public key in PEM");
	return key_adopt(ret, key, e);
}

void signing_key_done(struct signing_key *k)
{
	EVP_PKEY_free(k->key);
	*k = (struct signing_key){0};
}

int signing_key_public(const struct signing_key *k, struct buffer *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio)
		return -ENOMEM;
	return take_bio(bio, PEM_write_bio_PUBKEY(bio, k->key), ret);
}

int checkpoint_message(const uint8_t previous[HASH_SIZE], uint64_t sequence, uint64_t time,
	struct slice heads, struct buffer *ret)
{
	int r = buffer_append(ret, MESSAGE_DOMAIN, sizeof(MESSAGE_DOMAIN));

	if (r == 0)
		r = buffer_append(ret, previous, HASH_SIZE);
	if (r == 0)
		r = buffer_append_u64(ret, sequence);
	if (r == 0)
		r = buffer_append_u64(ret, time);
	return r < 0 ? r : buffer_append_slice(ret, heads);
}

int signing_sign(const struct signing_key *k, struct slice message, uint8_t ret[SIGNATURE_SIZE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = SIGNATURE_SIZE;
	int r = -ENOMEM;

	if (context && EVP_DigestSignInit(context, NULL, NULL, NULL, k->key) == 1 &&
		EVP_DigestSign(context, ret, &length, message.data, message.length) == 1)
		r = 0;
	EVP_MD_CTX_free(context);
	return r;
}

bool signing_verify(const struct signing_key *k, struct slice message, struct slice signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && signature.length == SIGNATURE_SIZE &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, k->key) == 1 &&
		EVP_DigestVerify(context, signature.data, signature.length, message.data,
			message.length) == 1;

	EVP_MD_CTX_free(context);
	return ok;
}
