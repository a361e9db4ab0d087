/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleaved --teardown. A host must get rid of what a daemon left in its kernel also where the
 * configuration is broken or gone: of the file, only the state folder matters, and a daemon notes
 * beside its hooks which file it was started with (capture.h).
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "capture/capture.h"
#include "capture/pins.h"
#include "monitor/monitor.h"
#include "policy/node.h"

struct instances {
	char (*names)[PINS_INSTANCE_MOST + 1];
	size_t count;
};

static void add(void *context, const char *name)
{
	struct instances *list = context;

	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->names[i], name) == 0)
			return;
	}
	if (!pins_instance_is_valid(name))
		return; /* somebody else's folder */
	list->names = memory_resize_array(list->names, list->count + 1, sizeof(*list->names));
	strcpy(list->names[list->count++], name);
}

/* The state folder that a configuration names, whatever else it says; the arena's, NULL where that
 * can't be known. */
static const char *find_state_folder(struct arena *a, const char *file, struct diagnostics *d)
{
	const struct node *root = node_read_file(a, file, d), *folder;

	if (!root)
		return NULL;
	folder = node_find(root, "state_dir");
	if (!folder)
		return SETTINGS_STATE_DIR;
	return folder->kind == NODE_TEXT && folder->text[0] == '/' ? folder->text : NULL;
}

static void add_of_file(const char *file, struct instances *list)
{
	char name[PINS_INSTANCE_MOST + 1];
	struct diagnostics d;
	const char *folder;
	struct arena a;

	arena_init(&a, SIZE_MAX);
	diagnostics_init(&d);
	folder = find_state_folder(&a, file, &d);
	diagnostics_print(&d, stderr);
	if (!folder)
		log_warning("%s does not tell the state folder", file);
	if (!folder && strcmp(file, CONFIG_DEFAULT_FILE) == 0)
		folder = SETTINGS_STATE_DIR;
	if (folder) {
		settings_instance(folder, name, sizeof(name));
		add(list, name);
	}
	diagnostics_done(&d);
	arena_done(&a);
}

/* As monitor_run() names it, also where it is not there any more; free with free(). */
static char *absolute(const char *file)
{
	char *found = realpath(file, NULL), *copy, *folder;

	if (found)
		return found;
	copy = memory_copy_string(file);
	folder = realpath(dirname(copy), NULL);
	strcpy(copy, file);
	found = folder ? memory_format("%s/%s", folder, basename(copy)) : memory_copy_string(file);
	free(folder);
	free(copy);
	return found;
}

static void tell(void *context, const char *text)
{
	log_info("%s: %s", (const char *)context, text);
}

static int remove_all(struct instances *list)
{
	int status = EXIT_SUCCESS;
	struct error e;

	for (size_t i = 0; i < list->count; i++) {
		if (capture_teardown(list->names[i], tell, list->names[i], &e) == 0)
			continue;
		log_error("%s: %s", list->names[i], e.text);
		status = EXIT_FAILURE;
	}
	return status;
}

int monitor_teardown(const char *config_file)
{
	struct instances list = {0};
	char *file = absolute(config_file);
	int status = EXIT_FAILURE;
	struct error e;

	log_set_name("teardown");
	add_of_file(file, &list);
	if (capture_find_instances(file, add, &list, &e) < 0)
		log_error("%s", e.text);
	else if (list.count == 0)
		log_error("no daemon was started with %s: name the file that it was started with",
			file);
	else
		status = remove_all(&list);
	free(list.names);
	free(file);
	return status;
}
