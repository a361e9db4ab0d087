/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/known_hosts.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/memory.h"
#include "base/text.h"

struct line {
	struct slice marker, hosts, type, key;
};

static struct slice take_word(struct slice *line)
{
	struct slice word;
	size_t n = 0;

	while (line->length && (line->data[0] == ' ' || line->data[0] == '\t'))
		*line = slice_from(*line, 1);
	while (n < line->length && !memchr(" \t\r", line->data[n], 3))
		n++;
	word = slice_head(*line, n);
	*line = slice_from(*line, n);
	return word;
}

static bool parse(struct slice text, struct line *ret)
{
	*ret = (struct line){.hosts = take_word(&text)};
	if (ret->hosts.length == 0 || ret->hosts.data[0] == '#')
		return false;
	if (ret->hosts.data[0] == '@') {
		ret->marker = ret->hosts;
		ret->hosts = take_word(&text);
	}
	ret->type = take_word(&text);
	ret->key = take_word(&text);
	return ret->key.length > 0;
}

/* --- names --- */

/* "*" and "?", without regard to case. */
static bool matches_pattern(struct slice pattern, struct slice name)
{
	size_t p = 0, n = 0, star = SIZE_MAX, mark = 0;

	while (n < name.length) {
		struct slice a = slice_head(slice_from(pattern, p), 1);
		struct slice b = slice_head(slice_from(name, n), 1);

		if (a.length && a.data[0] == '*') {
			star = p++;
			mark = n;
		} else if (a.length && (a.data[0] == '?' || text_equal_ignore_case(a, b))) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			n = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.length && pattern.data[p] == '*')
		p++;
	return p == pattern.length;
}

/* One that is negated and matches rules the line out. */
static bool matches_list(struct slice list, struct slice name)
{
	bool found = false;

	while (list.length) {
		const uint8_t *comma = memchr(list.data, ',', list.length);
		struct slice pattern =
			slice_head(list, comma ? (size_t)(comma - list.data) : list.length);
		bool negated = pattern.length && pattern.data[0] == '!';

		list = slice_from(list, pattern.length + 1);
		if (!matches_pattern(slice_from(pattern, negated), name))
			continue;
		if (negated)
			return false;
		found = true;
	}
	return found;
}

static bool decode(struct slice text, uint8_t ret[static SHA_DIGEST_LENGTH])
{
	uint8_t room[24];

	/* 20 bytes are 28 characters, of which one is padding. */
	if (text.length != 28 || EVP_DecodeBlock(room, text.data, 28) != 21)
		return false;
	memcpy(ret, room, SHA_DIGEST_LENGTH);
	return true;
}

/* "|1|SALT|HMAC-SHA1 of the name" */
static bool matches_hash(struct slice text, struct slice name)
{
	uint8_t salt[SHA_DIGEST_LENGTH], known[SHA_DIGEST_LENGTH], digest[SHA_DIGEST_LENGTH];
	char lower[256];

	if (text.length != 3 + 28 + 1 + 28 || text.data[31] != '|' ||
		name.length >= sizeof(lower) || !decode(slice_of(text.data + 3, 28), salt) ||
		!decode(slice_of(text.data + 32, 28), known))
		return false;
	for (size_t i = 0; i < name.length; i++)
		lower[i] = (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32
									     : name.data[i]);
	if (!HMAC(EVP_sha1(), salt, sizeof(salt), (const uint8_t *)lower, name.length, digest,
		    NULL))
		return false;
	return memcmp(digest, known, sizeof(known)) == 0;
}

static bool is_about(const struct line *line, const struct known_host_names *names)
{
	for (size_t i = 0; i < ARRAY_SIZE(names->items); i++) {
		if (names->items[i].length == 0)
			continue;
		if (slice_starts_with(line->hosts, slice_from_string("|1|"))
				? matches_hash(line->hosts, names->items[i])
				: matches_list(line->hosts, names->items[i]))
			return true;
	}
	return false;
}

/* --- keys --- */

enum known_host known_hosts_check(struct slice file, const struct known_host_names *names,
	struct slice type, struct slice key)
{
	enum known_host found = KNOWN_HOST_UNKNOWN;
	struct line line;

	while (file.length) {
		bool same;

		if (!parse(slice_take_until(&file, '\n'), &line) || !is_about(&line, names))
			continue;
		same = slice_equal(line.type, type) && slice_equal(line.key, key);
		if (slice_equal_string(line.marker, "@revoked") && same)
			return KNOWN_HOST_REVOKED;
		if (slice_equal_string(line.marker, "@cert-authority") &&
			found == KNOWN_HOST_UNKNOWN)
			found = KNOWN_HOST_AUTHORITY;
		if (line.marker.length)
			continue;
		if (same)
			found = KNOWN_HOST_SAME;
		else if (found <= KNOWN_HOST_AUTHORITY)
			found = KNOWN_HOST_CHANGED;
	}
	return found;
}

bool known_hosts_wants_certificate(struct slice file, const struct known_host_names *names)
{
	/* No key is like this one. */
	return known_hosts_check(file, names, SLICE_EMPTY, SLICE_EMPTY) == KNOWN_HOST_AUTHORITY;
}

enum known_host known_hosts_check_authority(struct slice file, const struct known_host_names *names,
	struct slice type, struct slice key)
{
	enum known_host found = KNOWN_HOST_UNKNOWN;
	struct line line;

	while (file.length) {
		if (!parse(slice_take_until(&file, '\n'), &line) || !is_about(&line, names) ||
			!slice_equal(line.type, type) || !slice_equal(line.key, key))
			continue;
		if (slice_equal_string(line.marker, "@revoked"))
			return KNOWN_HOST_REVOKED;
		if (slice_equal_string(line.marker, "@cert-authority"))
			found = KNOWN_HOST_SAME;
	}
	return found;
}

static const struct {
	const char *type, *algorithms;
} supported[] = {
	{"ssh-ed25519", "ssh-ed25519"},
	{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
	{"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
	{"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
	{"ssh-rsa", "rsa-sha2-512,rsa-sha2-256"},
};

static bool knows_type(struct slice file, const struct known_host_names *names, const char *type)
{
	struct line line;

	while (file.length) {
		if (parse(slice_take_until(&file, '\n'), &line) && line.marker.length == 0 &&
			slice_equal_string(line.type, type) && is_about(&line, names))
			return true;
	}
	return false;
}

int known_hosts_algorithms(
	struct slice file, const struct known_host_names *names, struct buffer *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(supported); i++) {
		if (knows_type(file, names, supported[i].type))
			r = buffer_append_format(ret, "%s%s", buffer_length(ret) ? "," : "",
				supported[i].algorithms);
	}
	return r;
}
