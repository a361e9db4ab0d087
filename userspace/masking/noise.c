/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/noise.h"

#include <string.h>

#include "base/text.h"

/* Chance makes one such address in some 10 GB. */
#define ADDRESS_LEAST 13u /* characters, all of ASCII */
#define TEXT_LEAST 24u /* bytes of text, an address among them */

/* What no text has. */
static bool is_control(uint8_t c)
{
	return (c >= 0x01 && c <= 0x06) || (c >= 0x10 && c <= 0x1a) || (c >= 0x1c && c <= 0x1f);
}

void noise_look(struct noise *n, struct slice bytes)
{
	for (size_t i = 0; i < bytes.length && !noise_is_no_text(n); i++) {
		n->has_nul |= bytes.data[i] == 0;
		n->has_controls |= is_control(bytes.data[i]);
	}
}

/* Bytes of the character of text that begins at `at`; 0: none does. */
static size_t text_at(struct slice bytes, size_t at)
{
	uint8_t c = bytes.data[at];

	if (c >= 0x80)
		return text_utf8_sequence(slice_from(bytes, at));
	return (c >= ' ' && c != 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

/* Whether it stands in enough of text, which is UTF-8; or what may become that. */
static bool is_in_text(struct slice bytes, const struct detector_finding *f)
{
	size_t at = f->start < TEXT_LEAST ? 0 : f->start - TEXT_LEAST, begin = at, n;

	for (; at < bytes.length && (at < f->end || at - begin < TEXT_LEAST); at += n) {
		n = text_at(bytes, at);
		if (n == 0 && at >= f->start)
			break;
		if (n == 0)
			begin = at + (n = 1);
	}
	return at >= f->end && (at - begin >= TEXT_LEAST || at == bytes.length);
}

size_t noise_drop(struct slice bytes, struct detector_finding *findings, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		const struct detector_finding *f = &findings[i];
		struct slice its = slice_of(bytes.data + f->start, f->end - f->start);

		if (f->detectors != 1u << DETECTOR_EMAIL ||
			(its.length >= ADDRESS_LEAST && text_is_ascii(its)) || is_in_text(bytes, f))
			findings[kept++] = *f;
	}
	return kept;
}
