/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/written.h"

#include "base/memory.h"
#include "base/text.h"

#define DIGITS 16u

static bool holds(struct slice text, const char *what)
{
	return text.length && memmem(text.data, text.length, what, strlen(what));
}

static bool is_hash(struct slice text)
{
	struct slice digits = slice_head(slice_from(text, 6), DIGITS);

	for (size_t i = 0; i < digits.length; i++) {
		uint8_t c = digits.data[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
	}
	return text.length >= HTTP_WRITTEN_LONGEST && text.data[6 + DIGITS] == ']';
}

static bool holds_hash(struct slice text)
{
	while (text.length) {
		const uint8_t *found = memmem(text.data, text.length, "[hash:", 6);

		if (!found)
			return false;
		text = slice_from(text, (size_t)(found - text.data));
		if (is_hash(text))
			return true;
		text = slice_from(text, 1);
	}
	return false;
}

static bool holds_any(struct slice text)
{
	return holds(text, "[masked]") || holds(text, "W21hc2tlZF0=") || holds_hash(text);
}

bool http_written_find(struct http_written *w, struct slice content)
{
	struct slice begin = slice_head(content, HTTP_WRITTEN_LONGEST - 1), end;
	size_t kept;

	/* What straddles the end of what came before. */
	memcpy(w->tail + w->length, begin.data ? begin.data : w->tail, begin.length);
	if (holds_any(slice_of(w->tail, w->length + begin.length)) || holds_any(content))
		return true;
	if (content.length >= HTTP_WRITTEN_LONGEST - 1) {
		end = slice_from(content, content.length - (HTTP_WRITTEN_LONGEST - 1));
		memcpy(w->tail, end.data, end.length);
		w->length = end.length;
		return false;
	}
	w->length += begin.length;
	kept = w->length < HTTP_WRITTEN_LONGEST - 1 ? w->length : HTTP_WRITTEN_LONGEST - 1;
	memmove(w->tail, w->tail + w->length - kept, kept);
	w->length = kept;
	return false;
}

/* --- percent-encoding --- */

/* Puts what came of an escape that is none, or the byte that it stands for. */
static size_t put(struct http_written *w, uint8_t c, uint8_t *to)
{
	size_t n = 0;

	if (w->escape_length == 2 && text_hex_digit(c) >= 0) {
		*to = (uint8_t)(text_hex_digit(w->escape[1]) << 4 | text_hex_digit(c));
		w->escape_length = 0;
		return 1;
	}
	if (c == '%' || (w->escape_length == 1 && text_hex_digit(c) >= 0)) {
		if (c == '%') {
			memcpy(to, w->escape, w->escape_length);
			n = w->escape_length;
			w->escape_length = 0;
		}
		w->escape[w->escape_length++] = c;
		return n;
	}
	memcpy(to, w->escape, w->escape_length);
	n = w->escape_length;
	w->escape_length = 0;
	to[n++] = c;
	return n;
}

bool http_written_find_encoded(struct http_written *w, struct slice content)
{
	uint8_t plain[1024];
	size_t n = 0;

	for (size_t i = 0; i < content.length; i++) {
		n += put(w, content.data[i], plain + n);
		if (n + 3 <= sizeof(plain) && i + 1 < content.length)
			continue;
		if (http_written_find(w, slice_of(plain, n)))
			return true;
		n = 0;
	}
	return false;
}
