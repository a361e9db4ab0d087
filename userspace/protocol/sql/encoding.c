/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/encoding.h"

#include <ctype.h>
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"

#define CHARACTER_BYTES 4 /* at most, in any encoding of a server's */

/* Those whose later bytes are all above 0x7f, clean. Anything else is taken to be unsafe. */
static const char *const safe_encodings[] = {"abc", "alt", "euccn", "eucjis2004", "eucjp", "euckr",
	"euctw", "iso88591", "iso885910", "iso885913", "iso885914", "iso885915", "iso885916",
	"iso88592", "iso88593", "iso88594", "iso88595", "iso88596", "iso88597", "iso88598",
	"iso88599", "koi8", "koi8r", "koi8u", "latin1", "latin10", "latin2", "latin3", "latin4",
	"latin5", "latin6", "latin7", "latin8", "latin9", "sqlascii", "tcvn", "tcvn5712", "unicode",
	"utf8", "vscii", "win", "win1250", "win1251", "win1252", "win1253", "win1254", "win1255",
	"win1256", "win1257", "win1258", "win866", "win874", "windows1250", "windows1251",
	"windows1252", "windows1253", "windows1254", "windows1255", "windows1256", "windows1257",
	"windows1258", "windows866", "windows874"};

int sql_encoding_clean(struct slice name, char *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < name.length; i++) {
		if (!isalnum(name.data[i]))
			continue;
		if (n == SQL_ENCODING_MOST - 1)
			return -E2BIG;
		ret[n++] = (char)tolower(name.data[i]);
	}
	ret[n] = '\0';
	return 0;
}

bool sql_encoding_is_safe(struct slice name)
{
	char clean[SQL_ENCODING_MOST];

	if (sql_encoding_clean(name, clean) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(safe_encodings); i++) {
		if (strcmp(clean, safe_encodings[i]) == 0)
			return true;
	}
	return false;
}

/* Ranges of letters of which some encoding has one as a byte, and none is upper case. */
static const struct {
	uint32_t first, last;
} never_upper[] = {
	{0x80, 0xbf},
	{0xd7, 0xd7},
	{0xdf, 0xff},
	{0x3ac, 0x3ce}, /* Greek */
	{0x430, 0x45f}, /* Cyrillic */
	{0x590, 0x6ff}, /* Hebrew, Arabic */
	{0xe00, 0xe7f}, /* Thai */
	{0x2000, 0x10ffff},
};

static bool may_be_upper(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(never_upper); i++) {
		if (c >= never_upper[i].first && c <= never_upper[i].last)
			return false;
	}
	/* Latin Extended-A: pairs of upper and lower case. */
	if (c >= 0x100 && c <= 0x137)
		return c % 2 == 0;
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
		return c % 2 == 1;
	return !(c >= 0x14a && c <= 0x177 && c % 2 == 1);
}

/* The first character of s, which is valid and n bytes long. */
static uint32_t code_point(struct slice s, size_t n)
{
	uint32_t c = n == 1 ? s.data[0] : s.data[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s.data[i] & 0x3f);
	return c;
}

/* SQL_ASCII takes each byte of a character for one, and folds it where its locale has a letter. */
static bool has_characters(const char *server)
{
	return *server && strcmp(server, "sqlascii") != 0;
}

bool sql_encoding_keeps_name(struct slice name, const char *server)
{
	size_t bytes = 0;

	if (strcmp(server, "utf8") == 0)
		return true;
	/* Of these lengths is what was cut here, in front of a character that is shorter there. */
	if (name.length > SQL_NAME_BYTES - CHARACTER_BYTES && name.length < SQL_NAME_BYTES)
		return false;
	if (text_is_ascii(name))
		return true;
	if (!has_characters(server))
		return false;
	while (name.length) {
		size_t n = text_utf8_sequence(name);

		if (n == 0 || (n > 1 && may_be_upper(code_point(name, n))))
			return false;
		bytes += n == 1 ? 1 : CHARACTER_BYTES;
		name = slice_of(name.data + n, name.length - n);
	}
	/* One that was cut here has lost less than a character of it. */
	return bytes <= SQL_NAME_BYTES - CHARACTER_BYTES;
}
