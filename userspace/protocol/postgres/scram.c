/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/scram.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stringprep.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

static const char *const gs2_headers[] = {
	[SCRAM_BINDS_NOT] = "n,,",
	[SCRAM_COULD_BIND] = "y,,",
	[SCRAM_BINDS] = "p=tls-server-end-point,,",
};

/* --- the parts of messages --- */

static int put_base64(struct buffer *b, const uint8_t *data, size_t length)
{
	uint8_t *space;
	int r = buffer_reserve(b, 4 * ((length + 2) / 3) + 1, &space);

	if (r < 0)
		return r;
	buffer_commit(b, (size_t)EVP_EncodeBlock(space, data, (int)length));
	return 0;
}

/* Base 64 with padding; the decoded length or -EBADMSG. `ret` has room for 3/4 of the text. */
static int decode_base64(struct slice text, uint8_t *ret)
{
	int n, padding = 0;

	if (text.length == 0 || text.length % 4)
		return -EBADMSG;
	for (size_t i = text.length - 2; i < text.length; i++)
		padding += text.data[i] == '=';
	n = EVP_DecodeBlock(ret, text.data, (int)text.length);
	return n < padding ? -EBADMSG : n - padding;
}

/* Takes "x=value" up to the next comma. */
static int take_attribute(struct slice *rest, char name, struct slice *ret)
{
	const uint8_t *comma;

	if (rest->length < 2 || rest->data[0] != (uint8_t)name || rest->data[1] != '=')
		return -EBADMSG;
	*rest = slice_from(*rest, 2);
	comma = rest->length ? memchr(rest->data, ',', rest->length) : NULL;
	*ret = comma ? slice_head(*rest, (size_t)(comma - rest->data)) : *rest;
	*rest = slice_from(*rest, ret->length + (comma ? 1 : 0));
	return 0;
}

static int put_nonce(const struct scram_exchange *x, struct buffer *ret)
{
	int r = buffer_append_string(ret, "r=");

	if (r == 0)
		r = buffer_append(ret, x->nonce, sizeof(x->nonce));
	return r < 0 ? r : buffer_append(ret, x->server_nonce, x->server_nonce_length);
}

/* client-first-message-bare: the nonce is our half alone. */
static int put_first_bare(const struct scram_exchange *x, struct buffer *ret)
{
	int r = buffer_append_string(ret, "n=,r=");

	return r < 0 ? r : buffer_append(ret, x->nonce, sizeof(x->nonce));
}

static int put_server_first(const struct scram_exchange *x, struct buffer *ret)
{
	int r = put_nonce(x, ret);

	if (r == 0)
		r = buffer_append_string(ret, ",s=");
	if (r == 0)
		r = put_base64(ret, x->salt, x->salt_length);
	return r < 0 ? r : buffer_append_format(ret, ",i=%u", x->iterations);
}

/* client-final-message-without-proof: the channel binding and both nonces. */
static int put_final_bare(const struct scram_exchange *x, struct buffer *ret)
{
	const char *header = gs2_headers[x->binding];
	uint8_t input[32 + SCRAM_BINDING_MOST];
	size_t n = strlen(header);
	int r;

	memcpy(input, header, n);
	memcpy(input + n, x->end_point, x->end_point_length);
	r = buffer_append_string(ret, "c=");
	if (r == 0)
		r = put_base64(ret, input, n + x->end_point_length);
	if (r == 0)
		r = buffer_append_byte(ret, ',');
	return r < 0 ? r : put_nonce(x, ret);
}

/* --- who talks --- */

void scram_begin(struct scram_exchange *x, const uint8_t *random, enum scram_binding binding,
	struct slice end_point)
{
	char nonce[SCRAM_NONCE_TEXT + 1];

	*x = (struct scram_exchange){.binding = binding};
	text_to_hex(slice_of(random, SCRAM_NONCE_SIZE), nonce);
	memcpy(x->nonce, nonce, sizeof(x->nonce));
	if (binding != SCRAM_BINDS)
		return;
	x->end_point_length = (uint32_t)end_point.length;
	memcpy(x->end_point, end_point.data, end_point.length);
}

int scram_put_first(const struct scram_exchange *x, struct buffer *ret)
{
	int r = buffer_append_string(ret, gs2_headers[x->binding]);

	return r < 0 ? r : put_first_bare(x, ret);
}

static int take_nonce(struct scram_exchange *x, struct slice nonce)
{
	struct slice added;

	/* RFC 5802, 5.1: the server's nonce begins with ours and adds to it. */
	if (!slice_starts_with(nonce, slice_of(x->nonce, sizeof(x->nonce))))
		return -EBADMSG;
	added = slice_from(nonce, sizeof(x->nonce));
	if (added.length == 0 || added.length > sizeof(x->server_nonce))
		return -EBADMSG;
	memcpy(x->server_nonce, added.data, added.length);
	x->server_nonce_length = (uint32_t)added.length;
	return 0;
}

static int take_salt(struct scram_exchange *x, struct slice text)
{
	uint8_t salt[SCRAM_SALT_MOST + 3];
	int n;

	if (text.length / 4 * 3 > sizeof(salt))
		return -EBADMSG;
	n = decode_base64(text, salt);
	if (n <= 0 || n > (int)sizeof(x->salt))
		return -EBADMSG;
	memcpy(x->salt, salt, (size_t)n);
	x->salt_length = (uint32_t)n;
	return 0;
}

/* What is signed is made of the parts, so they must be all that the server said. */
static bool is_all_there_is(const struct scram_exchange *x, struct slice server_first)
{
	struct buffer again;
	bool same;

	buffer_init(&again, SCRAM_MESSAGE_MOST);
	same = put_server_first(x, &again) == 0 && slice_equal(buffer_slice(&again), server_first);
	buffer_done(&again);
	return same;
}

int scram_take_challenge(struct scram_exchange *x, struct slice server_first)
{
	struct slice rest = server_first, nonce, salt, iterations;
	uint64_t number;

	if (server_first.length > SCRAM_MESSAGE_MOST || take_attribute(&rest, 'r', &nonce) < 0 ||
		take_attribute(&rest, 's', &salt) < 0 ||
		take_attribute(&rest, 'i', &iterations) < 0 || take_nonce(x, nonce) < 0 ||
		take_salt(x, salt) < 0 || text_to_number(iterations, UINT32_MAX, &number) < 0 ||
		number == 0)
		return -EBADMSG;
	if (number > LIMIT_SCRAM_ITERATIONS)
		return -E2BIG;
	x->iterations = (uint32_t)number;
	return scram_exchange_is_sound(x) && is_all_there_is(x, server_first) ? 0 : -EBADMSG;
}

int scram_put_final(
	const struct scram_exchange *x, const struct scram_proof *proof, struct buffer *ret)
{
	int r = put_final_bare(x, ret);

	if (r == 0)
		r = buffer_append_string(ret, ",p=");
	return r < 0 ? r : put_base64(ret, proof->client, sizeof(proof->client));
}

int scram_check(const struct scram_proof *proof, struct slice server_final)
{
	uint8_t signature[48], digest[SCRAM_DIGEST];
	struct slice text;

	if (take_attribute(&server_final, 'v', &text) < 0 || server_final.length ||
		text.length > 64 || decode_base64(text, signature) != SCRAM_DIGEST ||
		EVP_Digest(signature, SCRAM_DIGEST, digest, NULL, EVP_sha256(), NULL) != 1)
		return -EACCES;
	return CRYPTO_memcmp(digest, proof->server, SCRAM_DIGEST) == 0 ? 0 : -EACCES;
}

/* --- who holds the password --- */

/* RFC 5802, 7: a nonce is printable ASCII without the comma. */
static bool is_nonce(const uint8_t *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == ',')
			return false;
	}
	return length > 0;
}

bool scram_exchange_is_sound(const struct scram_exchange *x)
{
	return x->binding <= SCRAM_BINDS && x->end_point_length <= sizeof(x->end_point) &&
		(x->end_point_length > 0) == (x->binding == SCRAM_BINDS) &&
		x->server_nonce_length <= sizeof(x->server_nonce) &&
		is_nonce(x->nonce, sizeof(x->nonce)) &&
		is_nonce(x->server_nonce, x->server_nonce_length) && x->salt_length > 0 &&
		x->salt_length <= sizeof(x->salt) && x->iterations > 0 &&
		x->iterations <= LIMIT_SCRAM_ITERATIONS;
}

static int hmac(const uint8_t *key, struct slice text, uint8_t *ret)
{
	unsigned length;

	return HMAC(EVP_sha256(), key, SCRAM_DIGEST, text.data, text.length, ret, &length) ? 0
											   : -EIO;
}

/* RFC 5802, 2.2: the password as SASLprep (RFC 4013) normalises it. What it prohibits is taken as
 * it is, as the server does. ASCII stays as it is either way (NULL), and so is copied nowhere; else
 * heap, text that ends with a NUL. */
static char *normalise_password(struct slice password)
{
	char *copy, *prepared = NULL;

	if (text_is_ascii(password))
		return NULL;
	copy = memory_copy_text(password.data, password.length);
	if (stringprep_profile(copy, &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED) !=
		STRINGPREP_OK)
		return copy;
	memory_wipe(copy, password.length);
	free(copy);
	return prepared;
}

int scram_derive(const struct scram_exchange *x, struct slice password, struct scram_keys *ret)
{
	char *normal = normalise_password(password);
	const char *text = normal ? normal : (const char *)password.data;
	size_t length = normal ? strlen(normal) : password.length;
	uint8_t salted[SCRAM_DIGEST];
	int r = -EIO;

	if (PKCS5_PBKDF2_HMAC(text, (int)length, x->salt, (int)x->salt_length, (int)x->iterations,
		    EVP_sha256(), SCRAM_DIGEST, salted) == 1 &&
		hmac(salted, slice_from_string("Client Key"), ret->client) == 0 &&
		hmac(salted, slice_from_string("Server Key"), ret->server) == 0)
		r = 0;
	memory_wipe(salted, sizeof(salted));
	if (normal)
		memory_wipe(normal, length);
	free(normal);
	return r;
}

/* RFC 5802, 3: AuthMessage. */
static int put_signed(const struct scram_exchange *x, struct buffer *ret)
{
	int r = put_first_bare(x, ret);

	if (r == 0)
		r = buffer_append_byte(ret, ',');
	if (r == 0)
		r = put_server_first(x, ret);
	if (r == 0)
		r = buffer_append_byte(ret, ',');
	return r < 0 ? r : put_final_bare(x, ret);
}

int scram_prove(
	const struct scram_exchange *x, const struct scram_keys *keys, struct scram_proof *ret)
{
	uint8_t stored[SCRAM_DIGEST], signature[SCRAM_DIGEST];
	struct buffer message;
	int r;

	buffer_init(&message, SCRAM_MESSAGE_MOST);
	r = put_signed(x, &message);
	if (r == 0 &&
		(EVP_Digest(keys->client, SCRAM_DIGEST, stored, NULL, EVP_sha256(), NULL) != 1 ||
			hmac(stored, buffer_slice(&message), signature) < 0))
		r = -EIO;
	for (size_t i = 0; r == 0 && i < SCRAM_DIGEST; i++)
		ret->client[i] = keys->client[i] ^ signature[i];
	if (r == 0 &&
		(hmac(keys->server, buffer_slice(&message), signature) < 0 ||
			EVP_Digest(signature, SCRAM_DIGEST, ret->server, NULL, EVP_sha256(),
				NULL) != 1))
		r = -EIO;
	memory_wipe(signature, sizeof(signature));
	memory_wipe(stored, sizeof(stored));
	buffer_done(&message);
	return r;
}
