/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/corpus/http/paths: paths as sent, with what they are read as.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/path.h"

static void check(char *line, unsigned number)
{
	char *columns[1 + HTTP_PATH_READINGS] = {line};
	struct http_path path;
	struct buffer room;
	size_t count = 1;

	for (char *tab = strchr(line, '\t'); tab && count < ARRAY_SIZE(columns);
		tab = strchr(tab, '\t')) {
		*tab++ = '\0';
		columns[count++] = tab;
	}
	buffer_init(&room, 1 << 16);
	http_path_read(slice_from_string(columns[0]), &room, &path);
	if (columns[1][0] == '-') {
		cr_assert(path.problem && strstr(path.problem, columns[1] + 2), "line %u: %s: %s",
			number, columns[0], path.problem ? path.problem : "it is understood");
	} else {
		cr_assert_not(path.problem, "line %u: %s: %s", number, columns[0], path.problem);
		cr_assert_eq(path.count, count - 1, "line %u: %s: %zu readings", number, columns[0],
			path.count);
		for (size_t i = 0; i < path.count; i++)
			cr_assert(slice_equal_string(path.readings[i], columns[i + 1]),
				"line %u: %s is read as %.*s", number, columns[0],
				SLICE_PRINT(path.readings[i]));
	}
	buffer_done(&room);
}

Test(http_path, corpus)
{
	FILE *file = fopen("tests/corpus/http/paths", "re");
	char line[1024];
	unsigned number = 0, checked = 0;

	cr_assert(file, "run from the top of the repository");
	while (fgets(line, sizeof(line), file)) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '/')
			continue;
		check(line, number);
		checked++;
	}
	fclose(file);
	cr_assert_gt(checked, 100);
}

Test(http_path, what_is_not_a_path)
{
	struct http_path path;
	struct buffer room;

	buffer_init(&room, 1024);
	http_path_read(SLICE_EMPTY, &room, &path);
	cr_assert(path.problem);
	http_path_read(slice_from_string("a/b"), &room, &path);
	cr_assert(path.problem);
	http_path_read(slice_from_string("/a\tb"), &room, &path);
	cr_assert(path.problem);
	http_path_read(slice_from_string("/a#b"), &room, &path);
	cr_assert(path.problem);
	buffer_done(&room);
}

static void check_same(struct slice plain, struct slice encoded)
{
	struct buffer room, other;
	struct http_path a, b;

	buffer_init(&room, 1024);
	buffer_init(&other, 1024);
	http_path_read(plain, &room, &a);
	http_path_read(encoded, &other, &b);
	cr_assert_eq(a.count, b.count, "%.*s", SLICE_PRINT(plain));
	cr_assert_eq(!a.problem, !b.problem, "%.*s", SLICE_PRINT(plain));
	for (size_t i = 0; i < a.count; i++)
		cr_assert(slice_equal(a.readings[i], b.readings[i]), "%.*s", SLICE_PRINT(plain));
	buffer_done(&room);
	buffer_done(&other);
}

/* Where nothing is encoded, a path is read as one in which a letter is: at the begin, in the middle
 * and at the end of a segment, and beside each other byte. */
Test(http_path, what_is_plain_is_read_as_what_is_not)
{
	static const char seconds[] = "./%;\\#ab";
	static const struct {
		const char *before, *behind;
	} frames[] = {{"/", ""}, {"/", "b"}, {"/a", ""}, {"/a", "b"}, {"/a", "/b"}, {"/a/", "/b"},
		{"/a", "."}};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]) * sizeof(seconds); i++) {
		const char *before = frames[i / sizeof(seconds)].before;
		const char *behind = frames[i / sizeof(seconds)].behind;

		for (unsigned first = 1; first < 256; first++) {
			const char bytes[] = {(char)first, seconds[i % sizeof(seconds)], '\0'};
			char plain[32], encoded[32];

			snprintf(plain, sizeof(plain), "/x%s%s%s", before, bytes, behind);
			snprintf(encoded, sizeof(encoded), "/%%78%s%s%s", before, bytes, behind);
			check_same(slice_from_string(plain), slice_from_string(encoded));
		}
	}
}

/* What is read once is read the same again: a rule that names a reading means it. */
Test(http_path, a_reading_is_stable)
{
	static const char *const paths[] = {
		"/a/../b/%7e", "/a%20b", "/%2A/./x", "/v1/customers%3Aexport", "/caf%C3%A9"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct http_path once, twice;
		struct buffer room, again;

		buffer_init(&room, 1024);
		buffer_init(&again, 1024);
		http_path_read(slice_from_string(paths[i]), &room, &once);
		http_path_read(once.readings[0], &again, &twice);
		cr_assert_not(twice.problem);
		cr_assert(slice_equal(once.readings[0], twice.readings[0]), "%s", paths[i]);
		buffer_done(&room);
		buffer_done(&again);
	}
}
