/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs tests/policy/mistakes: every message that a file must get stands in the file itself, in a
 * comment on its line (tests/policy/README.md). One run has to find them all, and no others.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <glob.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "policy/config.h"

/* Messages as "FILE:LINE: error: TEXT", sorted. */
struct messages {
	char **items;
	size_t count;
};

static void add_message(struct messages *m, char *text)
{
	m->items = memory_resize_array(m->items, m->count + 1, sizeof(*m->items));
	m->items[m->count++] = text;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void messages_done(struct messages *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->items[i]);
	free(m->items);
}

/* "FILE" in a message stands for the file's own name. */
static char *with_file(const char *text, const char *file)
{
	const char *hole = strstr(text, "FILE:");

	if (!hole || strncmp(hole, "FILE:", 5) != 0)
		return memory_copy_string(text);
	return memory_format("%.*s%s%s", (int)(hole - text), text, file, hole + 4);
}

/* The messages that one line asks for. */
static void expect_of_line(struct messages *m, const char *file, unsigned number, char *line)
{
	static const char *const marks[] = {
		"# error: ", "# warning: ", "#! error: ", "#! warning: "};
	char *next = line;

	while (next) {
		char *mark = NULL, *end;
		const char *kind = NULL;
		char *text;

		for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
			char *found = strstr(next, marks[i]);

			if (found && (!mark || found < mark)) {
				mark = found;
				kind = marks[i];
			}
		}
		if (!mark)
			return;
		text = mark + strlen(kind);
		end = strstr(text, "  # ");
		next = end ? end + 2 : NULL;
		if (end)
			*end = '\0';
		text = with_file(text, file);
		if (kind[1] == '!')
			add_message(m, memory_format("%s: %s%s", file, kind + 3, text));
		else
			add_message(m, memory_format("%s:%u: %s%s", file, number, kind + 2, text));
		free(text);
	}
}

static void expect_of_file(struct messages *m, const char *file)
{
	struct buffer content;
	struct error e;
	unsigned number = 1;
	char *text, *rest;

	buffer_init(&content, 1 << 20);
	cr_assert_eq(file_read(file, &content, &e), 0, "%s", e.text);
	buffer_append_byte(&content, '\0');
	text = memory_copy_string((const char *)buffer_slice(&content).data);
	rest = text;
	for (char *line; (line = strsep(&rest, "\n")); number++)
		expect_of_line(m, file, number, line);
	free(text);
	buffer_done(&content);
}

static void take_found(struct messages *m, const struct diagnostics *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct diagnostic *item = &d->items[i];
		const char *level = item->level == DIAGNOSTIC_ERROR ? "error" : "warning";

		if (item->line)
			add_message(m,
				memory_format("%s:%u: %s: %s", item->file, item->line, level,
					item->text));
		else
			add_message(m, memory_format("%s: %s: %s", item->file, level, item->text));
	}
}

static void compare_messages(struct messages *expected, struct messages *found)
{
	size_t i = 0, j = 0;

	if (expected->count)
		qsort(expected->items, expected->count, sizeof(char *), compare);
	if (found->count)
		qsort(found->items, found->count, sizeof(char *), compare);
	while (i < expected->count || j < found->count) {
		int order = i == expected->count ? 1
			: j == found->count      ? -1
						 : strcmp(expected->items[i], found->items[j]);

		cr_expect(order >= 0, "missing: %s", order < 0 ? expected->items[i] : "");
		cr_expect(order <= 0, "found:   %s", order > 0 ? found->items[j] : "");
		i += order <= 0;
		j += order >= 0;
	}
}

/* The policy files of config-NAME.yaml lie in config-NAME.d. */
static void expect_of_policies(struct messages *m, const char *file)
{
	char *pattern = memory_format("%.*s.d/*.yaml", (int)(strlen(file) - 5), file);
	glob_t found = {0};

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			expect_of_file(m, found.gl_pathv[i]);
	}
	globfree(&found);
	free(pattern);
}

static bool has_errors(const struct messages *m)
{
	for (size_t i = 0; i < m->count; i++) {
		if (strstr(m->items[i], " error: "))
			return true;
	}
	return false;
}

static void run_file(const char *file)
{
	struct messages expected = {0}, found = {0};
	struct diagnostics d;
	struct config *c = NULL;
	int r;

	diagnostics_init(&d);
	if (strstr(file, "/config-"))
		r = config_load(file, 0, &d, &c);
	else
		r = config_load_policies(&file, 1, 0, &d, &c);
	expect_of_file(&expected, file);
	expect_of_policies(&expected, file);
	if (has_errors(&expected)) {
		cr_expect_eq(r, -EINVAL, "%s is taken for a good one", file);
		cr_expect_null(c);
	} else {
		cr_expect_eq(r, 0, "%s is refused, and only warned of", file);
		config_free(c);
	}
	take_found(&found, &d);
	cr_expect(expected.count, "%s expects nothing", file);
	compare_messages(&expected, &found);
	messages_done(&expected);
	messages_done(&found);
	diagnostics_done(&d);
}

Test(config_mistakes, all)
{
	glob_t found;

	cr_assert_eq(glob("tests/policy/mistakes/*.yaml", 0, NULL, &found), 0,
		"run from the top folder of the sources");
	cr_expect_gt(found.gl_pathc, 10);
	for (size_t i = 0; i < found.gl_pathc; i++)
		run_file(found.gl_pathv[i]);
	globfree(&found);
}

Test(config_mistakes, unreadable)
{
	static const char *const files[] = {"/nonexistent/wayleave.yaml", "/"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct diagnostics d;
		struct config *c = NULL;

		diagnostics_init(&d);
		cr_expect_eq(config_load(files[i], 0, &d, &c), -EINVAL);
		cr_expect_eq(d.errors, 1);
		diagnostics_done(&d);
		diagnostics_init(&d);
		cr_expect_eq(config_load_policies(&files[i], 1, 0, &d, &c), -EINVAL);
		cr_expect_eq(d.errors, 1);
		diagnostics_done(&d);
	}
}
