/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/strategy.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/memory.h"
#include "base/text.h"

#define KEPT 4 /* characters that MASK_PARTIAL shows */
#define HASH_BLOCK 64
#define HASH_SHOWN 8 /* bytes of the HMAC */

static const char masked_text[] = "[masked]";
static const char masked_base64[] = "W21hc2tlZF0=";

/* The states of both hashes after their padded keys, copied for each value: half the time of
 * starting from the key. */
struct mask_hasher {
	EVP_MD_CTX *inner, *outer, *work;
};

static EVP_MD_CTX *keyed(const EVP_MD *md, const uint8_t key[MASK_KEY_BYTES], uint8_t pad)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t block[HASH_BLOCK];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < MASK_KEY_BYTES; i++)
		block[i] ^= key[i];
	if (context &&
		(EVP_DigestInit_ex(context, md, NULL) != 1 ||
			EVP_DigestUpdate(context, block, sizeof(block)) != 1)) {
		EVP_MD_CTX_free(context);
		context = NULL;
	}
	memory_wipe(block, sizeof(block));
	return context;
}

struct mask_hasher *mask_hasher_new(const uint8_t key[MASK_KEY_BYTES])
{
	struct mask_hasher *hasher = memory_new(sizeof(*hasher));
	EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);

	if (md) {
		hasher->inner = keyed(md, key, 0x36);
		hasher->outer = keyed(md, key, 0x5c);
		hasher->work = EVP_MD_CTX_new();
	}
	EVP_MD_free(md);
	if (!hasher->inner || !hasher->outer || !hasher->work) {
		mask_hasher_free(hasher);
		return NULL;
	}
	return hasher;
}

void mask_hasher_free(struct mask_hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->inner);
	EVP_MD_CTX_free(hasher->outer);
	EVP_MD_CTX_free(hasher->work);
	free(hasher);
}

static int digest(EVP_MD_CTX *work, const EVP_MD_CTX *keyed_context, struct slice text,
	uint8_t ret[EVP_MAX_MD_SIZE])
{
	unsigned length;

	if (EVP_MD_CTX_copy_ex(work, keyed_context) != 1 ||
		EVP_DigestUpdate(work, text.data, text.length) != 1 ||
		EVP_DigestFinal_ex(work, ret, &length) != 1)
		return -EIO;
	return (int)length;
}

static int append_hash(const struct mask_hasher *hasher, struct slice text, struct buffer *out)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	char shown[sizeof("[hash:]") + 2 * HASH_SHOWN] = "[hash:";
	int r = digest(hasher->work, hasher->inner, text, hash);

	if (r >= 0)
		r = digest(hasher->work, hasher->outer, slice_of(hash, (size_t)r), hash);
	if (r < 0)
		return r;
	text_to_hex(slice_of(hash, HASH_SHOWN), shown + sizeof("[hash:") - 1);
	shown[sizeof(shown) - 2] = ']';
	return buffer_append(out, shown, sizeof(shown) - 1);
}

/* Where the last KEPT characters begin, and how many stand before. */
static size_t count_hidden(struct slice text, size_t *ret_kept_from)
{
	size_t starts[KEPT] = {0}, count = 0;

	for (size_t at = 0; at < text.length; count++) {
		size_t n = text_utf8_sequence(slice_from(text, at));

		starts[count % KEPT] = at;
		at += n ? n : 1;
	}
	if (count <= KEPT) {
		*ret_kept_from = text.length;
		return count;
	}
	*ret_kept_from = starts[count % KEPT];
	return count - KEPT;
}

/* In an encoding that is not UTF-8 two or three bytes from 0x80 on may be one character (EUC): a
 * row of them is not cut anywhere. */
static size_t whole_characters(struct slice text, size_t from)
{
	size_t at = from;

	while (at > 0 && at < text.length && text.data[at] >= 0x80 && text.data[at - 1] >= 0x80)
		at++;
	return at == from || text_is_utf8(text) ? from : at;
}

static int append_partial(struct slice text, struct buffer *out)
{
	size_t kept_from, hidden = count_hidden(text, &kept_from);
	size_t whole_from = whole_characters(text, kept_from);
	uint8_t *space;
	int r;

	if (text.length == 0)
		return 0;
	hidden += whole_from - kept_from;
	kept_from = whole_from;
	r = buffer_reserve(out, hidden + text.length - kept_from, &space);
	if (r < 0)
		return r;
	memset(space, '*', hidden);
	buffer_commit(out, hidden);
	return buffer_append_slice(out, slice_from(text, kept_from));
}

int masker_append(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out)
{
	switch (strategy) {
	case MASK_PARTIAL:
		return append_partial(text, out);
	case MASK_HASH:
		return append_hash(m->hasher, text, out);
	case MASK_REDACT:
		return buffer_append(out, masked_text, sizeof(masked_text) - 1);
	case MASK_BASE64:
		return buffer_append(out, masked_base64, sizeof(masked_base64) - 1);
	default:
		return 0;
	}
}

void masker_init(struct masker *m, struct detector_engine *engine, struct mask_hasher *hasher,
	const struct mask_rules *rules)
{
	*m = (struct masker){.engine = engine, .hasher = hasher};
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		m->strategies[i] = rules->detectors[i];
		if (rules->detectors[i] != MASK_NONE)
			m->detectors |= 1u << i;
	}
}

enum mask_strategy masker_strictest(const struct masker *m, unsigned detectors)
{
	enum mask_strategy strictest = MASK_NONE;

	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if ((detectors >> i & 1) && m->strategies[i] > strictest)
			strictest = m->strategies[i];
	}
	return strictest;
}

bool masker_findings_null(const struct masker *m, const struct detector_findings *findings)
{
	unsigned detectors = 0;

	for (size_t i = 0; i < findings->count; i++)
		detectors |= findings->items[i].detectors;
	return masker_strictest(m, detectors) == MASK_NULL;
}

int masker_append_findings(const struct masker *m, struct slice text,
	const struct detector_findings *findings, struct buffer *out)
{
	size_t done = 0;
	int r;

	for (size_t i = 0; i < findings->count; i++) {
		const struct detector_finding *f = &findings->items[i];
		enum mask_strategy strategy = masker_strictest(m, f->detectors);

		r = buffer_append(out, text.data + done, f->start - done);
		if (r == 0)
			r = masker_append(m, strategy == MASK_NULL ? MASK_REDACT : strategy,
				slice_of(text.data + f->start, f->end - f->start), out);
		if (r < 0)
			return r;
		done = f->end;
	}
	return buffer_append_slice(out, slice_from(text, done));
}

int masker_append_text(
	const struct masker *m, struct slice text, struct buffer *out, bool *ret_replaced)
{
	struct detector_findings findings = {0};
	size_t before = buffer_length(out);
	int r = 0;

	if (m->detectors)
		r = detector_scan(m->engine, m->detectors, text, &findings);
	if (r == 0 && findings.count)
		r = masker_append_findings(m, text, &findings, out);
	if (r < 0) {
		buffer_truncate(out, before);
		return r;
	}
	*ret_replaced = findings.count > 0;
	return 0;
}
