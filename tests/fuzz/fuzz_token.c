/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_token: tokens and key documents as anybody might write them. The first byte chooses: a
 * document of keys; a token as it is; a header and claims (behind a line break) that are signed, so
 * that what stands behind the signature is reached; any JSON; a list of principals as the broker
 * and the monitor send them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/principals.h"
#include "identity/token.h"
#include "tests/harness/tokens.h"

#define NOW 1800000000ULL

static EVP_PKEY *signer;
static struct jwks *keys;

static void check(bool good)
{
	if (!good)
		abort();
}

static void prepare(void)
{
	char *jwk, *document;

	if (signer)
		return;
	signer = tokens_make_ec("P-256");
	jwk = tokens_jwk(signer, "k", "");
	document = memory_format("{\"keys\":[%s]}", jwk);
	check(jwks_parse(slice_from_string(document), &keys, NULL) == 0);
	free(document);
	free(jwk);
}

static void try_token(struct slice text, const struct jwks *with, bool is_signed)
{
	const struct token_rules rules = {
		.issuer = "i",
		.audience = "a",
		.groups_claim = "g.h",
		.algorithms = ALGORITHMS_ALL,
	};
	struct token token;
	struct error e;

	if (token_check(text, with, &rules, NOW, &token, &e) < 0)
		return;
	check(is_signed);
	check(token.subject.length > 0 && token.expires + TOKEN_LEEWAY > NOW);
	token_done(&token);
}

static void try_claims(struct slice input)
{
	const uint8_t *line = input.length ? memchr(input.data, '\n', input.length) : NULL;
	struct slice header = slice_head(input, line ? (size_t)(line - input.data) : 0);
	char *text = tokens_sign(
		ALGORITHM_ES256, signer, header, slice_from(input, header.length + (line != NULL)));

	try_token(slice_from_string(text), keys, true);
	free(text);
}

static void try_keys(struct slice document)
{
	struct jwks *parsed;
	struct error e;

	if (jwks_parse(document, &parsed, &e) < 0)
		return;
	check(parsed->count > 0);
	for (size_t i = 0; i < parsed->count; i++)
		check(parsed->keys[i].algorithms && parsed->keys[i].key);
	jwks_free(parsed);
}

/* What is read means the same when it is written and read again. */
static void try_document(struct slice text)
{
	cJSON *json, *again;
	char *printed;

	if (document_parse(text, &json, NULL) < 0)
		return;
	printed = cJSON_PrintUnformatted(json);
	/* Numbers beyond those of cJSON are printed as null, and escapes make it longer. */
	if (document_parse(slice_from_string(printed), &again, NULL) == 0)
		cJSON_Delete(again);
	else
		check(strlen(printed) > LIMIT_DOCUMENT_BYTES);
	free(printed);
	cJSON_Delete(json);
}

/* What decodes is written back as the same bytes. */
static void try_principals(struct slice bytes)
{
	struct principal_entry *entries;
	struct buffer again;
	size_t count;

	if (principals_decode(bytes, &entries, &count) < 0)
		return;
	buffer_init(&again, bytes.length + 1);
	for (size_t i = 0; i < count; i++)
		check(principals_encode(&entries[i], &again) == 0);
	check(slice_equal(buffer_slice(&again), bytes));
	buffer_done(&again);
	free(entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = slice_of(data, size);

	prepare();
	if (size == 0)
		return 0;
	input = slice_from(input, 1);
	switch (data[0] % 5) {
	case 0:
		try_keys(input);
		break;
	case 1:
		try_token(input, keys, false);
		break;
	case 2:
		try_claims(input);
		break;
	case 3:
		try_document(input);
		break;
	default:
		try_principals(input);
	}
	return 0;
}
