/* SPDX-License-Identifier: Apache-2.0
 *
 * shape: the first pass over text: where could a number, an address or an encoded run stand?
 *
 * 48 positions at a time, as bit masks of 64 bytes. A shape's condition is only ever about bytes
 * that belong to the thing looked for, never about its neighbours. So it holds however the text is
 * cut into cells, and binary length words between cells can add shapes, but can't hide one.
 * SHAPE_DIGITS and SHAPE_ENCODED are reported once per run, at the last place where 13 or 12 bytes
 * of it are left. So fewer than 12 digits, or base64 letters, may stand between the end of a cell
 * and the next byte that is neither.
 */
#ifndef WAYLEAVE_MASKING_SHAPE_H
#define WAYLEAVE_MASKING_SHAPE_H

#include "base/slice.h"

enum shape {
	SHAPE_AT, /* "@" */
	SHAPE_ENCODED, /* 12 of the base64 alphabet in a row */
	SHAPE_IPV6, /* "::", or three ":" at most four hex digits apart */

	SHAPE_PHONE_PLUS, /* "+" and a digit from 1 on */
	SHAPE_WITHOUT_NUMBERS = SHAPE_PHONE_PLUS,
	SHAPE_PHONE_AREA, /* "(dd" */
	SHAPE_EXPONENT, /* de+dd */
	SHAPE_IPV4, /* d.d and another "." soon after */
	SHAPE_IBAN, /* two letters, two digits, 11 more letters, digits or spaces */

	SHAPE_DIGITS, /* 13 digits in a row */
	SHAPE_WITHOUT_LONG_NUMBERS = SHAPE_DIGITS,
	SHAPE_CARD, /* dddd-ddd, "-" or space */
	SHAPE_THOUSANDS, /* d,ddd,ddd,ddd, */
	SHAPE_SSN, /* ddd-dd-dddd */
	SHAPE_PHONE_US, /* ddd-ddd-dddd */
	SHAPE_PHONE_ZERO, /* "0", a digit, and 9 more digits or separators of one kind */
	SHAPE_COUNT
};

/* Text at [start, start + 1) that one or more shapes begin at; `shapes` has a bit for each. */
struct shape_hit {
	uint32_t start;
	uint32_t shapes;
};

#define SHAPE_STRIDE 48
enum shape_variant { SHAPE_PORTABLE, SHAPE_SSE2, SHAPE_AVX2, SHAPE_VARIANT_COUNT };

/* Looks at the bytes of `text` from `from` on, until all are seen or fewer than SHAPE_STRIDE places
 * are left in `hits` (which has room for `capacity`, at least SHAPE_STRIDE). Only `wanted` shapes
 * (bits) are reported, in rising order of start. Stores where to go on; returns the number of hits.
 */
struct shape_scan {
	struct slice text;
	size_t next;
	uint32_t wanted;
};
size_t shape_scan_portable(struct shape_scan *s, struct shape_hit *hits, size_t capacity);
size_t shape_scan_sse2(struct shape_scan *s, struct shape_hit *hits, size_t capacity);
size_t shape_scan_avx2(struct shape_scan *s, struct shape_hit *hits, size_t capacity);

struct shape_method {
	const char *name;
	size_t (*scan)(struct shape_scan *s, struct shape_hit *hits, size_t capacity);
};
/* What this processor can do best; static. */
const struct shape_method *shape_method_best(void);
/* NULL where this processor or build does not have it. */
const struct shape_method *shape_method_get(enum shape_variant variant);

#endif
