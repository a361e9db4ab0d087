/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/client_proof.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/private_key.h"
#include "monitor/messages.h"

#define PADDING 64 /* spaces */
#define HANDSHAKE_HEADER 4 /* type, length in three bytes */

static const char context[] = "TLS 1.3, client CertificateVerify"; /* its NUL is a part of it */

/* The transcript's digest is that of the cipher suite: SHA-256 or SHA-384. */
static bool is_text(struct slice text)
{
	size_t before = PADDING + sizeof(context);

	if (text.length != before + 32 && text.length != before + 48)
		return false;
	for (size_t i = 0; i < PADDING; i++) {
		if (text.data[i] != ' ')
			return false;
	}
	return memcmp(text.data + PADDING, context, sizeof(context)) == 0;
}

/* RFC 5246, 7.3: what stands before the client's CertificateVerify. */
static const struct {
	uint8_t type;
	bool may_lack;
	bool has_version; /* it begins with that of the protocol */
} handshake[] = {
	{1, false, true}, /* ClientHello */
	{2, false, true}, /* ServerHello */
	{11, false, false}, /* Certificate */
	{22, true, false}, /* CertificateStatus (RFC 6066, 8) */
	{12, true, false}, /* ServerKeyExchange */
	{13, false, false}, /* CertificateRequest */
	{14, false, false}, /* ServerHelloDone */
	{11, false, false}, /* Certificate, the client's */
	{16, false, false}, /* ClientKeyExchange */
};

/* The next message, which must be whole: of this type, and of TLS 1.2 where it says so. */
static bool take_message(struct slice *rest, uint8_t type, bool has_version)
{
	size_t length;

	if (rest->length < HANDSHAKE_HEADER || rest->data[0] != type)
		return false;
	length = (size_t)rest->data[1] << 16 | (size_t)rest->data[2] << 8 | rest->data[3];
	*rest = slice_from(*rest, HANDSHAKE_HEADER);
	if (length > rest->length ||
		(has_version && (length < 2 || rest->data[0] != 3 || rest->data[1] != 3)))
		return false;
	*rest = slice_from(*rest, length);
	return true;
}

/* It begins with a byte that no text of TLS 1.3, SSH or X.509 that a key signs begins with. */
static bool is_transcript(struct slice text)
{
	for (size_t i = 0; i < ARRAY_SIZE(handshake); i++) {
		if (handshake[i].may_lack &&
			(text.length == 0 || text.data[0] != handshake[i].type))
			continue;
		if (!take_message(&text, handshake[i].type, handshake[i].has_version))
			return false;
	}
	return text.length == 0;
}

bool client_proof_is_sound(const struct proof_signature *wanted)
{
	return wanted->digest < PROOF_DIGEST_COUNT && wanted->padding < PROOF_PADDING_COUNT &&
		wanted->text.length <= PROOF_SIGNED_MOST &&
		(is_text(wanted->text) || is_transcript(wanted->text));
}

int client_proof_take(struct slice challenge, struct proof_signature *ret)
{
	struct message_signature head;
	struct proof_signature wanted;
	uint8_t *copy;

	if (challenge.length < sizeof(head))
		return -EINVAL;
	memcpy(&head, challenge.data, sizeof(head));
	wanted = (struct proof_signature){
		head.digest, head.padding, slice_from(challenge, sizeof(head))};
	if (!client_proof_is_sound(&wanted))
		return -EINVAL;
	copy = memory_new(wanted.text.length);
	memcpy(copy, wanted.text.data, wanted.text.length);
	wanted.text.data = copy;
	*ret = wanted;
	return 0;
}

void client_proof_done(struct proof_signature *wanted)
{
	free((void *)wanted->text.data);
	wanted->text = SLICE_EMPTY;
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

/* RFC 8446, 4.2.3: in TLS 1.3 RSA signs by PSS, with a salt as long as the digest. */
static int set_padding(
	EVP_PKEY *key, EVP_PKEY_CTX *parameters, const struct proof_signature *wanted)
{
	bool pss = wanted->padding == PROOF_PSS || is_text(wanted->text);

	return !EVP_PKEY_is_a(key, "RSA") || !pss ||
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
		set_padding(key, parameters, wanted) &&
		EVP_DigestSign(signing, ret, &length, wanted->text.data, wanted->text.length) == 1;
	EVP_MD_CTX_free(signing);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (!ok)
		return error_set(e, -EIO, "%s: the key does not sign", key_file);
	*ret_length = length;
	return 0;
}
