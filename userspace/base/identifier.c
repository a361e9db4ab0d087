/* SPDX-License-Identifier: Apache-2.0 */
#include "base/identifier.h"

#include <assert.h>

#include "base/random.h"

static const char identifier_letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct identifier identifier_new(char prefix, unsigned digits)
{
	struct identifier id = {{prefix, '-'}};
	uint8_t random[20];

	assert(digits <= sizeof(random));
	random_fill(random, digits);
	for (unsigned i = 0; i < digits; i++)
		id.text[2 + i] = identifier_letters[random[i] & 31];
	return id;
}

bool identifier_is_valid(struct slice text, char prefix)
{
	if (text.length < 3 || text.length >= IDENTIFIER_SIZE || text.data[0] != (uint8_t)prefix ||
		text.data[1] != '-')
		return false;
	for (size_t i = 2; i < text.length; i++) {
		if (text.data[i] == '\0' || !strchr(identifier_letters, text.data[i]))
			return false;
	}
	return true;
}
