/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unseen.h"

#include "base/memory.h"

/* Characters beyond ASCII that can't be seen, or whose work is to change how others are seen: the
 * categories Cc, Cf, Zl, Zp and Zs, and what Unicode calls default ignorable or fonts leave blank
 * (Unicode 15, DerivedCoreProperties.txt). Marks that strike through what they follow are here too.
 */
static const struct {
	uint32_t first, last;
} unseen[] = {
	{0x0080, 0x00a0},
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x0334, 0x0338},
	{0x0600, 0x0605},
	{0x061c, 0x061c},
	{0x06dd, 0x06dd},
	{0x070f, 0x070f},
	{0x0890, 0x0891},
	{0x08e2, 0x08e2},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x20d2, 0x20d3},
	{0x20d8, 0x20e0},
	{0x20e2, 0x20eb},
	{0x2800, 0x2800},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xe000, 0xf8ff},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0x110bd, 0x110bd},
	{0x110cd, 0x110cd},
	{0x13430, 0x1343f},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0x10ffff},
};

uint32_t unseen_code_point(struct slice s, size_t n)
{
	uint32_t c = n == 1 ? s.data[0] : s.data[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s.data[i] & 0x3f);
	return c;
}

bool unseen_is(struct slice s, size_t n)
{
	uint32_t c = unseen_code_point(s, n);

	if (c < 0x80)
		return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
	for (size_t i = 0; i < ARRAY_SIZE(unseen); i++) {
		if (c >= unseen[i].first && c <= unseen[i].last)
			return true;
	}
	return false;
}
