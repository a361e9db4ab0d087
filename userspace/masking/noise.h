/* SPDX-License-Identifier: Apache-2.0
 *
 * noise: what only looks like a finding, in bytes that are no text. In those of any kind there are
 * always some before and behind an "@" that make an e-mail address, as that may have other letters
 * than ASCII's: to change them would break what they are of (an archive, an image), and hide
 * nothing. Other detectors want more than chance has.
 */
#ifndef WAYLEAVE_MASKING_NOISE_H
#define WAYLEAVE_MASKING_NOISE_H

#include "masking/detector.h"

/* What was seen of a stream; begins as zeros. */
struct noise {
	bool has_nul, has_controls;
};

/* Looks at bytes more; the same may come again. */
void noise_look(struct noise *n, struct slice bytes);
/* Whether the stream is no text. Programs' records have NULs between them, and texts of other
 * encodings bytes that are no UTF-8: neither is enough. */
static inline bool noise_is_no_text(const struct noise *n)
{
	return n->has_nul && n->has_controls;
}
/* Takes the noise out of findings in a part of such a stream; returns how many are left. */
size_t noise_drop(struct slice bytes, struct detector_finding *findings, size_t count);

#endif
