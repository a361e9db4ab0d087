/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/media.h"

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/mask.h"

static const char *const texts[] = {"application/json", "application/xml", "application/javascript",
	"application/ecmascript", "application/x-javascript", "application/x-www-form-urlencoded",
	"application/yaml", "application/x-yaml", "application/toml", "application/graphql",
	"application/sql", "application/csv", "application/ndjson", "application/x-ndjson",
	"application/jsonl", "application/json-seq", "application/rtf", "application/x-sh",
	"application/x-pem-file", "application/pem-certificate-chain", "message/http",
	"message/rfc822", "multipart/form-data", "multipart/mixed"};
static const char *const suffixes[] = {"+json", "+xml", "+yaml", "+json-seq"};

/* "application/json; charset=utf-8" → "application/json" */
static struct slice media_type(struct slice type)
{
	size_t n = 0;

	while (n < type.length && type.data[n] != ';' && type.data[n] != ' ' &&
		type.data[n] != '\t')
		n++;
	return slice_head(type, n);
}

static bool ends_with(struct slice s, const char *end)
{
	size_t n = strlen(end);

	return s.length >= n &&
		text_equal_ignore_case(slice_from(s, s.length - n), slice_from_string(end));
}

enum http_mask_mode http_mask_mode_of(struct slice type)
{
	static const char *const lines[] = {"application/x-ndjson", "application/ndjson",
		"application/jsonl", "application/json-seq", "application/stream+json"};

	type = media_type(type);
	if (ends_with(type, "text/event-stream"))
		return HTTP_MASK_EVENTS;
	if (ends_with(type, "application/x-www-form-urlencoded"))
		return HTTP_MASK_FORM;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (ends_with(type, lines[i]))
			return HTTP_MASK_LINES;
	}
	return ends_with(type, "/json") || ends_with(type, "+json") ? HTTP_MASK_JSON
								    : HTTP_MASK_TEXT;
}

bool http_type_is_text(struct slice type)
{
	type = media_type(type);
	if (type.length == 0 ||
		text_equal_ignore_case(slice_head(type, 5), slice_from_string("text/")))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (text_equal_ignore_case(type, slice_from_string(texts[i])))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (ends_with(type, suffixes[i]))
			return true;
	}
	return false;
}

/* What names of character sets begin with (https://www.iana.org/assignments/character-sets). Not of
 * these are UTF-7, -16 and -32, ISO 2022 and EBCDIC. */
static const char *const charsets[] = {"utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4",
	"iso-8859-", "iso_8859-", "iso8859-", "iso8859_", "latin1", "latin-1", "windows-125",
	"cp125", "koi8-", "gb18030", "gbk", "gb2312", "big5", "shift_jis", "shift-jis", "sjis",
	"x-sjis", "windows-31j", "cp932", "euc-", "tis-620", "windows-874", "macintosh", "ibm437",
	"cp437", "ibm850", "cp850", "ibm851", "ibm852", "cp852", "ibm855", "ibm857", "ibm00858",
	"ibm866", "cp866"};

static struct slice trim(struct slice s)
{
	while (s.length && memchr(" \t\"'", s.data[0], 4))
		s = slice_from(s, 1);
	while (s.length && memchr(" \t\"'", s.data[s.length - 1], 4))
		s.length--;
	return s;
}

static bool is_readable(struct slice charset)
{
	for (size_t i = 0; i < ARRAY_SIZE(charsets); i++) {
		struct slice begin = slice_from_string(charsets[i]);

		if (text_equal_ignore_case(slice_head(charset, begin.length), begin))
			return true;
	}
	return charset.length == 0;
}

bool http_type_is_readable(struct slice type)
{
	if (!http_type_is_text(type))
		return true;
	while (type.length) {
		struct slice value = slice_take_until(&type, ';');
		struct slice name = trim(slice_take_until(&value, '='));

		if (text_equal_ignore_case(name, slice_from_string("charset")) &&
			!is_readable(trim(value)))
			return false;
	}
	return true;
}

static bool is_character(uint8_t byte)
{
	return (byte >= ' ' && byte <= '~') || (byte >= '\t' && byte <= '\r');
}

bool http_begins_wide(const uint8_t begin[2])
{
	return memcmp(begin, "\xff\xfe", 2) == 0 || memcmp(begin, "\xfe\xff", 2) == 0 ||
		(begin[0] == 0 && is_character(begin[1])) ||
		(begin[1] == 0 && is_character(begin[0]));
}

bool http_holds_binary(struct slice content)
{
	/* Backspace to carriage return, escape, record separator */
	const uint32_t laid_out = 0x3fu << 8 | 1u << 0x1b | 1u << 0x1e;

	for (size_t i = 0; i < content.length; i++) {
		if (content.data[i] < ' ' && !(laid_out >> content.data[i] & 1))
			return true;
	}
	return false;
}
