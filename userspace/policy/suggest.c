/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/suggest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"

#define SUGGESTION_LENGTH 64

/* Another case is the smallest of mistakes. */
static bool is_same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: three rows of the matrix are enough. */
size_t suggestion_distance(const char *a, const char *b)
{
	size_t rows[3][SUGGESTION_LENGTH + 1];
	size_t length_a = strlen(a), length_b = strlen(b);

	if (length_a >= SUGGESTION_LENGTH || length_b >= SUGGESTION_LENGTH)
		return SIZE_MAX;
	for (size_t j = 0; j <= length_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= length_a; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= length_b; j++) {
			size_t change = !is_same_letter(a[i - 1], b[j - 1]);

			row[j] = smallest(row[j - 1] + 1, above[j] + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && is_same_letter(a[i - 1], b[j - 2]) &&
				is_same_letter(a[i - 2], b[j - 1]) && twice[j - 2] + 1 < row[j])
				row[j] = twice[j - 2] + 1;
		}
	}
	return rows[length_a % 3][length_b];
}

void suggestion_init(struct suggestion *s, const char *wanted)
{
	size_t length = strlen(wanted);

	/* A third of the letters may be wrong, three at most. */
	*s = (struct suggestion){.wanted = wanted, .distance = 1 + (length < 9 ? length / 3 : 3)};
}

void suggestion_offer(struct suggestion *s, const char *name)
{
	size_t distance = suggestion_distance(s->wanted, name);

	if (distance >= s->distance)
		return;
	s->best = name;
	s->distance = distance;
}
