/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/encoding.h"

#include <ctype.h>
#include <errno.h>

#include "base/memory.h"

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
