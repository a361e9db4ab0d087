/* SPDX-License-Identifier: Apache-2.0
 *
 * strategy: what stands in a value's place: "[masked]", "*******6789", "[hash:0123456789abcdef]".
 *
 * Text is UTF-8 or of any encoding whose characters are ASCII or made of bytes from 0x80 on
 * (LATIN1, EUC_JP). A byte that begins no valid UTF-8 sequence counts as one character; no
 * character is ever cut.
 */
#ifndef WAYLEAVE_MASKING_STRATEGY_H
#define WAYLEAVE_MASKING_STRATEGY_H

#include "base/buffer.h"
#include "masking/detector.h"

#define MASK_KEY_BYTES 32

/* HMAC-SHA-256 (RFC 2104) under the host's key, which is only kept in its hashed form. */
struct mask_hasher;

/* NULL where OpenSSL has no SHA-256. The key may be wiped afterwards. For one thread. */
struct mask_hasher *mask_hasher_new(const uint8_t key[MASK_KEY_BYTES]);
void mask_hasher_free(struct mask_hasher *hasher); /* takes NULL */

/* How to mask in one session or statement. Plain data; engine and hasher are borrowed and are the
 * worker's own. */
struct masker {
	struct detector_engine *engine;
	struct mask_hasher *hasher;
	unsigned detectors; /* bits of those that are on */
	enum mask_strategy strategies[DETECTOR_COUNT];
};

void masker_init(struct masker *m, struct detector_engine *engine, struct mask_hasher *hasher,
	const struct mask_rules *rules);

/* The strictest strategy of the detectors in a finding. */
enum mask_strategy masker_strictest(const struct masker *m, unsigned detectors);

/* Appends what stands for the whole text: MASK_PARTIAL, MASK_HASH or MASK_REDACT; MASK_NULL appends
 * nothing. Of four characters or fewer MASK_PARTIAL keeps none. Errors of buffer.h; -EIO where
 * OpenSSL fails. */
int masker_append(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out);
/* Appends the text with its findings replaced, each by its strictest strategy; MASK_NULL as
 * MASK_REDACT: whether a value is to be NULL as a whole, the caller asks masker_findings_null()
 * first. */
int masker_append_findings(const struct masker *m, struct slice text,
	const struct detector_findings *findings, struct buffer *out);
/* Whether some finding's strategy is MASK_NULL. */
bool masker_findings_null(const struct masker *m, const struct detector_findings *findings);

/* For messages to people (errors, notices, notifications, parameters): searches the text, and where
 * something is found appends it with the findings replaced and stores true. Else appends nothing.
 */
int masker_append_text(
	const struct masker *m, struct slice text, struct buffer *out, bool *ret_replaced);

#endif
