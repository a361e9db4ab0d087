/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests of the API do: verbs and objects, as the API server's own reading of them goes.
 * tests/corpus/kubernetes/requests: requests with what they are read as.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/kubernetes/kubernetes.h"

static struct buffer room;
static char shown[1024];

/* "get prod/pods/web", pairs separated by ", "; "- and why" where it is not understood. */
static const char *read_line(const char *text)
{
	struct http_pairs pairs;
	size_t n = 0;

	buffer_done(&room);
	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_of_line(slice_from_string(text), &room, &pairs);
	shown[0] = '\0';
	for (size_t i = 0; i < pairs.count; i++)
		n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%s %.*s", i ? ", " : "",
			operation_name(pairs.items[i].operation),
			SLICE_PRINT(pairs.items[i].object));
	if (pairs.unknown)
		snprintf(shown, sizeof(shown), "- %s", pairs.problem);
	return shown;
}

#define POD "/api/v1/namespaces/prod/pods/web"

/* In place. */
static void take_escapes(char *text)
{
	char *to = text;

	for (; *text; text++)
		*to++ = text[0] == '\\' && text[1] == 'n' ? (text++, '\n') : *text;
	*to = '\0';
}

static void check(char *line, unsigned number)
{
	char *expected = strchr(line, '\t');
	bool reads;

	cr_assert(expected, "line %u", number);
	*expected++ = '\0';
	take_escapes(line);
	read_line(line);
	reads = expected[0] == '-' ? strncmp(shown, expected, strlen(expected)) == 0
				   : strcmp(shown, expected) == 0;
	cr_expect(reads, "line %u: %s is read as %s", number, line, shown);
}

Test(kubernetes_action, corpus)
{
	FILE *file = fopen("tests/corpus/kubernetes/requests", "re");
	char line[1024];
	unsigned number = 0, checked = 0;

	cr_assert(file, "run from the top of the repository");
	while (fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		check(line, number);
		checked++;
	}
	fclose(file);
	buffer_done(&room);
	cr_assert_gt(checked, 130);
	cr_expect_eq(read_line("")[0], '-');
	buffer_done(&room);
}

Test(kubernetes_action, server_side_apply)
{
	struct kubernetes_request r = {.method = slice_from_string("PATCH"),
		.path = slice_from_string(POD),
		.applies = true};
	struct http_pairs pairs;

	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_read(&r, &room, &pairs);
	cr_assert_eq(pairs.count, 2);
	cr_expect_eq(pairs.items[0].operation, OPERATION_KUBE_PATCH);
	cr_expect_eq(pairs.items[1].operation, OPERATION_KUBE_CREATE);
	cr_expect(slice_equal_string(pairs.items[1].object, "prod/pods/web"));
	buffer_done(&room);
}
