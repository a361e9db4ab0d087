/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_kubernetes: lines that name a request of the API, and what is written to a Secret. What is
 * understood has objects that rules can name; of what is hidden something else is shown.
 *
 * Input: the line, or the content.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "policy/object.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_pairs pairs;
	struct buffer room;

	if (size > LIMIT_HTTP_HEAD)
		return 0;
	check_shown(slice_of(data, size));
	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_of_line(slice_of(data, size), &room, &pairs);
	check(pairs.unknown ? pairs.problem != NULL : pairs.count > 0, "neither read nor refused");
	/* The words of people are taken as they are. */
	for (size_t i = 0; i < pairs.count && data[0] < 'a'; i++)
		check_pair(&pairs.items[i]);
	buffer_done(&room);
	return 0;
}
