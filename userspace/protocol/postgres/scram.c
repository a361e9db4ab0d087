/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/scram.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stringprep.h>

#include "base/memory.h"
#include "base/text.h"

#define SALT_MOST 1024

int scram_init(struct scram *s, const uint8_t *random, struct slice end_point)
{
	*s = (struct scram){0};
	if (end_point.length > sizeof(s->binding))
		return -E2BIG;
	text_to_hex(slice_of(random, SCRAM_NONCE_SIZE), s->nonce);
	s->binds = end_point.length > 0;
	s->binding_length = end_point.length;
	if (end_point.length)
		memcpy(s->binding, end_point.data, end_point.length);
	return 0;
}

void scram_done(struct scram *s)
{
	memory_wipe(s, sizeof(*s));
}

static const char *gs2_header(const struct scram *s)
{
	return s->binds ? "p=tls-server-end-point,," : "n,,";
}

static int append_first_bare(const struct scram *s, struct buffer *ret)
{
	return buffer_append_format(ret, "n=,r=%s", s->nonce);
}

int scram_first(const struct scram *s, struct buffer *ret)
{
	int r = buffer_append_string(ret, gs2_header(s));

	return r < 0 ? r : append_first_bare(s, ret);
}

static int append_base64(struct buffer *b, const uint8_t *data, size_t length)
{
	uint8_t *space;
	int r = buffer_reserve(b, 4 * ((length + 2) / 3) + 1, &space);

	if (r < 0)
		return r;
	buffer_commit(b, (size_t)EVP_EncodeBlock(space, data, (int)length));
	return 0;
}

/* Strict base 64 with padding; the decoded length or -EBADMSG. `ret` has room for 3/4 of the text.
 */
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

struct server_first {
	struct slice nonce;
	uint8_t salt[SALT_MOST];
	int salt_length;
	uint64_t iterations;
};

static int parse_server_first(const struct scram *s, struct slice text, struct server_first *ret)
{
	struct slice salt, iterations;

	if (text.length > SCRAM_MESSAGE_MOST || take_attribute(&text, 'r', &ret->nonce) < 0 ||
		take_attribute(&text, 's', &salt) < 0 ||
		take_attribute(&text, 'i', &iterations) < 0)
		return -EBADMSG;
	/* RFC 5802, 5.1: the server's nonce begins with ours and adds to it. */
	if (!slice_starts_with(ret->nonce, slice_from_string(s->nonce)) ||
		ret->nonce.length == strlen(s->nonce))
		return -EBADMSG;
	if (salt.length > sizeof(ret->salt))
		return -EBADMSG;
	ret->salt_length = decode_base64(salt, ret->salt);
	if (ret->salt_length <= 0 || text_to_number(iterations, UINT32_MAX, &ret->iterations) < 0 ||
		ret->iterations == 0)
		return -EBADMSG;
	return ret->iterations > SCRAM_ITERATIONS_MOST ? -E2BIG : 0;
}

static int hmac(const uint8_t *key, struct slice text, uint8_t *ret)
{
	unsigned length;

	return HMAC(EVP_sha256(), key, SCRAM_DIGEST, text.data, text.length, ret, &length) ? 0
											   : -EIO;
}

/* client-final-message-without-proof: the channel binding and both nonces. */
static int append_final_without_proof(
	const struct scram *s, const struct server_first *first, struct buffer *ret)
{
	const char *header = gs2_header(s);
	uint8_t input[128];
	size_t n = strlen(header);
	int r;

	memcpy(input, header, n);
	memcpy(input + n, s->binding, s->binding_length);
	r = buffer_append_string(ret, "c=");
	if (r == 0)
		r = append_base64(ret, input, n + s->binding_length);
	if (r == 0)
		r = buffer_append_format(ret, ",r=%.*s", SLICE_PRINT(first->nonce));
	return r;
}

/* RFC 5802, 2.2: the password as SASLprep (RFC 4013) normalises it. What it prohibits is taken as
 * it is, as the server does. Heap; text that ends with a NUL. */
static char *normalise_password(struct slice password)
{
	char *copy = memory_copy_text(password.data, password.length);
	char *prepared = NULL;

	if (stringprep_profile(copy, &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED) !=
		STRINGPREP_OK)
		return copy;
	memory_wipe(copy, password.length);
	free(copy);
	return prepared;
}

/* RFC 5802, 3: keys and signatures; `proof` gets ClientProof. */
static int prove(struct scram *s, struct slice password, const struct server_first *first,
	struct slice message, uint8_t *proof)
{
	uint8_t salted[SCRAM_DIGEST], client_key[SCRAM_DIGEST], server_key[SCRAM_DIGEST];
	uint8_t stored[SCRAM_DIGEST], signature[SCRAM_DIGEST];
	char *normal = normalise_password(password);
	int r = -EIO;

	if (PKCS5_PBKDF2_HMAC(normal, (int)strlen(normal), first->salt, first->salt_length,
		    (int)first->iterations, EVP_sha256(), SCRAM_DIGEST, salted) != 1)
		goto out;
	if (hmac(salted, slice_from_string("Client Key"), client_key) < 0 ||
		hmac(salted, slice_from_string("Server Key"), server_key) < 0 ||
		EVP_Digest(client_key, SCRAM_DIGEST, stored, NULL, EVP_sha256(), NULL) != 1 ||
		hmac(stored, message, signature) < 0 ||
		hmac(server_key, message, s->server_signature) < 0)
		goto out;
	for (size_t i = 0; i < SCRAM_DIGEST; i++)
		proof[i] = client_key[i] ^ signature[i];
	r = 0;
out:
	memory_wipe(normal, strlen(normal));
	free(normal);
	memory_wipe(salted, sizeof(salted));
	memory_wipe(client_key, sizeof(client_key));
	memory_wipe(server_key, sizeof(server_key));
	return r;
}

int scram_answer(
	struct scram *s, struct slice password, struct slice server_first, struct buffer *ret)
{
	struct server_first first;
	struct buffer message; /* AuthMessage */
	uint8_t proof[SCRAM_DIGEST];
	size_t final_mark, before = buffer_length(ret);
	int r = parse_server_first(s, server_first, &first);

	if (r < 0)
		return r;
	buffer_init(&message, 4 * SCRAM_MESSAGE_MOST);
	r = append_first_bare(s, &message);
	if (r == 0)
		r = buffer_append_byte(&message, ',');
	if (r == 0)
		r = buffer_append_slice(&message, server_first);
	if (r == 0)
		r = buffer_append_byte(&message, ',');
	final_mark = buffer_length(&message);
	if (r == 0)
		r = append_final_without_proof(s, &first, &message);
	if (r == 0)
		r = prove(s, password, &first, buffer_slice(&message), proof);
	if (r == 0)
		r = buffer_append_slice(ret, slice_from(buffer_slice(&message), final_mark));
	if (r == 0)
		r = buffer_append_string(ret, ",p=");
	if (r == 0)
		r = append_base64(ret, proof, sizeof(proof));
	if (r < 0)
		buffer_truncate(ret, before);
	buffer_done(&message);
	return r;
}

int scram_check(const struct scram *s, struct slice server_final)
{
	uint8_t signature[48];
	struct slice text;

	if (take_attribute(&server_final, 'v', &text) < 0 || text.length > 64 ||
		decode_base64(text, signature) != SCRAM_DIGEST)
		return -EACCES;
	return CRYPTO_memcmp(signature, s->server_signature, SCRAM_DIGEST) == 0 ? 0 : -EACCES;
}
