/* SPDX-License-Identifier: Apache-2.0 */
#include "base/private_key.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/limits.h"
#include "base/locked.h"
#include "base/memory.h"
#include "base/secret_file.h"

static void *allocate(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void wipe_and_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	if (memory)
		memory_wipe(memory, malloc_usable_size(memory));
	free(memory);
}

static void *reallocate(void *memory, size_t size, const char *file, int line)
{
	size_t old = memory ? malloc_usable_size(memory) : 0;
	void *moved = size ? malloc(size) : NULL;

	if (size && !moved)
		return NULL;
	if (size == 0)
		old = 0;
	if (old)
		memcpy(moved, memory, old < size ? old : size);
	wipe_and_free(memory, file, line);
	return moved;
}

void private_key_prepare(void)
{
	CRYPTO_set_mem_functions(allocate, reallocate, wipe_and_free);
}

/* Nobody is there to type it; without this, OpenSSL would ask the terminal. */
static int no_passphrase(char *room, int size, int writing, void *context)
{
	(void)room;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

EVP_PKEY *private_key_parse(struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static EVP_PKEY *parse(struct slice pem)
{
	EVP_PKEY *key = private_key_parse(pem);

	if (key && !EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC")) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int private_key_read(const char *path, EVP_PKEY **ret, struct error *e)
{
	uint8_t *text = locked_new(LIMIT_KEY_FILE_BYTES);
	size_t length;
	int r = secret_file_read(path, text, LIMIT_KEY_FILE_BYTES, &length, e);

	if (r == 0) {
		*ret = parse(slice_of(text, length));
		if (!*ret)
			r = error_set(e, -EINVAL,
				"%s: expected an RSA or EC key in PEM, without a passphrase", path);
	}
	locked_free(text, LIMIT_KEY_FILE_BYTES);
	return r;
}
