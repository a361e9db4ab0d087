/* SPDX-License-Identifier: Apache-2.0
 *
 * policy_seeds: makes the corpus of fuzz_policy_image from tests of policies. Once more when the
 * image's format has another version (tests/unit/test_policy_image.c says so).
 *
 *   policy_seeds FOLDER tests/policy/FILE.yaml…
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "policy/private.h"
#include "tests/unit/policy_test.h"

static void save(const char *folder, const char *file)
{
	char *copy = memory_copy_string(file);
	char *name = basename(copy), *path;
	struct buffer text, image;
	struct diagnostics d;
	struct error e = {""};
	struct config *c;

	buffer_init(&text, 1 << 20);
	buffer_init(&image, LIMIT_POLICY_IMAGE);
	diagnostics_init(&d);
	if (file_read(file, &text, &e) < 0 || buffer_append_byte(&text, 0) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	c = policy_test_load_text((const char *)buffer_slice(&text).data, &d);
	if (!c || policy_image_build(c, 1, NULL, 0, &image) < 0) {
		diagnostics_print(&d, stderr);
		exit(1);
	}
	name[strcspn(name, ".")] = '\0';
	path = memory_format("%s/%s", folder, name);
	if (file_write(path, buffer_slice(&image), 0644, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	config_free(c);
	diagnostics_done(&d);
	buffer_done(&image);
	buffer_done(&text);
	free(path);
	free(copy);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: policy_seeds FOLDER FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		save(argv[1], argv[i]);
	return 0;
}
