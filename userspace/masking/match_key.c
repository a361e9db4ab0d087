/* SPDX-License-Identifier: Apache-2.0
 *
 * match_key: what shows by itself that it is a key: JSON Web Tokens, PEM blocks, keys of vendors,
 * hashed passwords.
 */
#include "masking/match.h"

#include "masking/decode.h"

#define JWT_HEADER_MOST 1024 /* bytes decoded of a JOSE header */

#define PASSWORD_HASH_MOST 256 /* bytes */
#define RUN_BEFORE 32

/* Whether a key may begin here: not within a word, and not far behind other bytes of the same
 * classes
 * ("KEY-sk-…" is taken), which keeps the search linear where many keys seem to begin in one run. */
static bool begins_run(struct slice text, size_t at, unsigned classes)
{
	return match_begins_word(text, at) &&
		character_run_before(text, at, classes, RUN_BEFORE + 1) <= RUN_BEFORE;
}

static size_t base64url_run(struct slice text, size_t at)
{
	return character_run(text, at, CHARACTER_BASE64_URL, SIZE_MAX);
}

/* Whether the first part decodes to a JSON object with a member "alg" (RFC 7515, section 4.1.1). */
static bool jwt_header_is_right(struct slice part)
{
	uint8_t header[JWT_HEADER_MOST];
	size_t n = decode_base64(slice_head(part, JWT_HEADER_MOST / 3 * 4), header);

	return n > 8 && header[0] == '{' && memmem(header, n, "\"alg\"", 5);
}

/* Three parts (RFC 7515), five where it is encrypted (RFC 7516); the last may be empty. */
bool match_jwt(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t header, end, parts = 1;

	if (!begins_run(text, at, CHARACTER_BASE64_URL))
		return false;
	header = base64url_run(text, at);
	end = at + header;
	if (header < strlen(l->text))
		return false;
	while (parts < 5 && end < text.length && text.data[end] == '.') {
		size_t n = base64url_run(text, end + 1);

		if (n == 0 && parts < 2)
			break;
		end += 1 + n;
		parts++;
	}
	if (parts < 3 || !jwt_header_is_right(slice_of(text.data + at, header)))
		return false;
	*ret = (struct match){at, end};
	return true;
}

/* The length of "-----BEGIN … PRIVATE KEY…-----" or END, or 0. */
static size_t pem_line(struct slice text, size_t at, struct slice begin)
{
	struct slice line = slice_head(slice_from(text, at), begin.length + 64);
	const uint8_t *end;

	if (!slice_starts_with(line, begin))
		return 0;
	end = memmem(line.data + begin.length, line.length - begin.length, "-----", 5);
	if (!end || !memmem(line.data, (size_t)(end - line.data), "PRIVATE KEY", 11))
		return 0;
	return (size_t)(end - line.data) + 5;
}

/* The whole block, however its lines end; without its end, the rest of the text. */
bool match_pem(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	static const char end_line[] = "-----END";
	size_t n = pem_line(text, at, slice_from_string(l->text));

	if (n == 0)
		return false;
	*ret = (struct match){at, text.length};
	for (size_t from = at + n; from < text.length;) {
		const uint8_t *end = memmem(
			text.data + from, text.length - from, end_line, sizeof(end_line) - 1);

		if (!end)
			break;
		from = (size_t)(end - text.data);
		n = pem_line(text, from, slice_from_string(end_line));
		if (n) {
			ret->end = from + n;
			break;
		}
		from += sizeof(end_line) - 1;
	}
	return true;
}

/* PuTTY's files have the private lines behind a header; all to the end of the file is secret. */
bool match_putty_key(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	(void)l;
	*ret = (struct match){at, text.length};
	return true;
}

/* Random letters have digits, or both cases; words don't. */
static bool looks_random(struct slice token)
{
	bool upper = false, lower = false;

	for (size_t i = 0; i < token.length; i++) {
		uint8_t c = token.data[i];

		if (character_is(c, CHARACTER_DIGIT))
			return true;
		if (character_is(c, CHARACTER_UPPER))
			upper = true;
		else if (character_is(c, CHARACTER_LETTER))
			lower = true;
	}
	return upper && lower;
}

bool match_token(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t prefix = strlen(l->text), from = at + prefix, n;

	if (!begins_run(text, at, l->classes))
		return false;
	n = character_run(text, from, l->classes, SIZE_MAX);
	while (n > 0 && memchr(".-", text.data[from + n - 1], 2))
		n--;
	if (n < l->least || (l->most && n > l->most) ||
		!looks_random(slice_of(text.data + from, n)))
		return false;
	*ret = (struct match){at, from + n};
	return true;
}

/* 123456789:AA…: the number of a bot, and 33 characters behind ":AA". */
bool match_telegram(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t bot = character_run_before(text, at, CHARACTER_DIGIT, 11);
	size_t end = at + strlen(l->text);
	size_t n = character_run(text, end, CHARACTER_BASE64_URL, l->most + 1);

	if (bot < 8 || bot > 10 || n < l->least || n > l->most ||
		!match_begins_word(text, at - bot))
		return false;
	*ret = (struct match){at - bot, end + n};
	return true;
}

/* The path of an incoming webhook: T…/B…/… */
bool match_slack_hook(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text), n = character_run(text, from, CHARACTER_BASE64, 128);

	if (n < l->least || !memchr(text.data + from, '/', n))
		return false;
	*ret = (struct match){from, from + n};
	return true;
}

/* crypt(5), bcrypt, Argon2, PBKDF2 and PostgreSQL's own: a salt, "$" or ":", and a hash. */
bool match_password_hash(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t end = at + strlen(l->text);
	unsigned separators = 0;

	if (!match_begins_word(text, at))
		return false;
	while (end < text.length && end - at < PASSWORD_HASH_MOST &&
		(character_is(text.data[end], CHARACTER_BASE64 | CHARACTER_TOKEN) ||
			memchr("$:,", text.data[end], 3))) {
		separators += text.data[end] == '$' || text.data[end] == ':';
		end++;
	}
	while (memchr(":,.", text.data[end - 1], 3))
		end--;
	if (end - at < l->least || separators < l->most)
		return false;
	*ret = (struct match){at, end};
	return true;
}
