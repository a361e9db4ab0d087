/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_kubernetes: lines that name a request of the API, what is written to a Secret, and what a
 * command is or writes. What is understood has objects that rules can name; of what is hidden
 * something else is shown.
 *
 * Input: the line, the content, the command or its output.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"
#include "policy/object.h"
#include "protocol/http/shown.h"
#include "protocol/kubernetes/archive.h"
#include "protocol/kubernetes/kubernetes.h"

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_kubernetes: %s\n", what);
	abort();
}

static bool matches(const char *pattern, struct slice object)
{
	return object_match(PROTOCOL_KUBERNETES, slice_from_string(pattern), object) ==
		OBJECT_MATCHES;
}

/* What a path was read as is an object as rules write them: two or three parts, or a path. */
static void check_pair(const struct action_pair *pair)
{
	check(operation_is_of(pair->operation, PROTOCOL_KUBERNETES), "another's operation");
	check(matches("*/*", pair->object) || matches("*/*/*", pair->object) ||
			matches("/**", pair->object),
		"an object that no rule can name");
}

static void check_shown(struct slice content)
{
	const struct http_pairs pairs = {.items = {{.operation = OPERATION_KUBE_PATCH,
						 .state = OBJECT_KNOWN,
						 .object = slice_from_string("prod/secrets/db")}},
		.count = 1};
	struct buffer shown;

	buffer_init(&shown, 4 * LIMIT_HTTP_BODY_HELD);
	if (kubernetes_content_hide(&pairs, content, &shown))
		check(buffer_length(&shown) > 0, "hidden, and nothing in its place");
	buffer_done(&shown);
}

/* What people are shown of content that is no text is text that does nothing to their terminal, and
 * not too much of it. */
static void check_readable(struct slice content)
{
	const struct mask_rules none = {.detects = false};
	struct http_fields fields = {.count = 0};
	struct protocol_value value = {.data = content, .binary = true, .length = content.length};
	struct masker masker;
	struct buffer shown;

	check(http_shown_of(&fields, content) != HTTP_SHOWN_TEXT || text_is_utf8(content),
		"text that is none");
	masker_init(&masker, NULL, NULL, &none);
	buffer_init(&shown, 4 * HTTP_SHOWN_MOST);
	for (unsigned kind = HTTP_SHOWN_BINARY; kind <= HTTP_SHOWN_KUBERNETES; kind++) {
		struct slice text;

		value.type = kind;
		buffer_clear(&shown);
		http_shown_put(&masker, &value, &shown);
		text = buffer_slice(&shown);
		check(text.length > 0 && text_is_utf8(text), "nothing that people can read");
		for (size_t i = 0; i < text.length; i++)
			check(text.data[i] == '\n' || text.data[i] >= ' ', "a control byte");
	}
	buffer_done(&shown);
}

/* What stands before or behind a command that writes one does not hide it; nor is a header one that
 * is cut. */
static void check_archive(struct slice in)
{
	bool begins = kubernetes_begins_archive(in);
	struct buffer command;

	check(!begins || kubernetes_begins_archive(slice_head(in, KUBERNETES_ARCHIVE_HEADER)),
		"an archive that is none by its header");
	check(!kubernetes_begins_archive(slice_head(in, KUBERNETES_ARCHIVE_HEADER - 1)),
		"an archive without a header");
	buffer_init(&command, LIMIT_HTTP_HEAD + 16);
	buffer_append_slice(&command, in);
	buffer_append_string(&command, " tar cf - .");
	check(kubernetes_writes_archive(buffer_slice(&command)), "a command that is hidden");
	buffer_done(&command);
	kubernetes_writes_archive(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_pairs pairs;
	struct buffer room;

	if (size > LIMIT_HTTP_HEAD)
		return 0;
	check_shown(slice_of(data, size));
	check_archive(slice_of(data, size));
	check_readable(slice_of(data, size));
	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_of_line(slice_of(data, size), &room, &pairs);
	check(pairs.unknown ? pairs.problem != NULL : pairs.count > 0, "neither read nor refused");
	/* The words of people are taken as they are. */
	for (size_t i = 0; i < pairs.count && data[0] < 'a'; i++)
		check_pair(&pairs.items[i]);
	buffer_done(&room);
	return 0;
}
