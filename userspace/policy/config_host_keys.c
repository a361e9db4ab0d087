/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines of `host_keys` that would be passed over: whoever wrote them means a host to be known
 * by them.
 */
#include "base/file.h"
#include "base/limits.h"
#include "policy/config_check.h"

static struct slice first_word(struct slice line)
{
	size_t start = 0, end;

	while (start < line.length && strchr(" \t", line.data[start]))
		start++;
	end = start;
	while (end < line.length && !strchr(" \t\r", line.data[end]))
		end++;
	return slice_head(slice_from(line, start), end - start);
}

static void check_marker(
	struct loader *l, const struct config_text *path, unsigned number, struct slice word)
{
	if (word.length == 0 || word.data[0] != '@' || slice_equal_string(word, "@revoked") ||
		slice_equal_string(word, "@cert-authority"))
		return;
	loader_error(l, path->place,
		"\"host_keys\": %s, line %u: expected no marker but \"@cert-authority\" and "
		"\"@revoked\"",
		path->text, number);
}

void config_check_host_keys(struct loader *l, const struct config_text *path)
{
	struct buffer content;
	struct slice rest;
	struct error e;

	buffer_init(&content, LIMIT_HOST_KEYS_BYTES);
	if (file_read(path->text, &content, &e) < 0)
		loader_error(l, path->place,
			"\"host_keys\": %s; expected a file of at most %u bytes", e.text,
			LIMIT_HOST_KEYS_BYTES);
	rest = buffer_slice(&content);
	for (unsigned number = 1; rest.length; number++) {
		const uint8_t *end = memchr(rest.data, '\n', rest.length);
		struct slice line = slice_head(rest, end ? (size_t)(end - rest.data) : rest.length);

		check_marker(l, path, number, first_word(line));
		rest = slice_from(rest, line.length + 1);
	}
	buffer_done(&content);
}
