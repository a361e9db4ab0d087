/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/config.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "policy/config_check.h"
#include "policy/unbuilt.h"

struct config *config_new(const char *file)
{
	struct config *c = memory_new(sizeof(*c));

	memcpy(c, config_schema.initial, config_schema.size);
	arena_init(&c->arena, SIZE_MAX);
	c->file = file ? node_copy_text(&c->arena, file) : NULL;
	return c;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	free(c->rules);
	free(c->policy_files);
	free(c->secret_files);
	arena_done(&c->arena);
	free(c);
}

struct loader config_loader(struct config *c, struct diagnostics *d)
{
	return (struct loader){.arena = &c->arena, .diagnostics = d, .file = c->file};
}

void config_read(struct config *c, struct loader *l, const struct node *root)
{
	schema_read(l, &config_schema, root, c);
}

void config_add_rules(struct config *c, struct loader *l, const char *file, const struct node *root)
{
	struct loader own = {.arena = l->arena, .diagnostics = l->diagnostics, .file = file};
	struct config_policy_file content = {0};

	schema_read(&own, &policy_file_schema, root, &content);
	if (content.rule_count == 0)
		return;
	c->rules = memory_resize_array(
		c->rules, c->rule_count + content.rule_count, sizeof(*c->rules));
	memcpy(c->rules + c->rule_count, content.rules, content.rule_count * sizeof(*c->rules));
	c->rule_count += content.rule_count;
}

/* Whoever can write the file decides what agents may do. */
static void warn_of_writers(struct loader *l, const char *file)
{
	struct stat s;

	if (stat(file, &s) == 0 && s.st_mode & S_IWOTH)
		loader_warning(l, ((struct place){file, 0}), "every user can write it (mode %04o)",
			s.st_mode & 07777u);
}

static bool has_policy_file(const struct config *c, const char *file)
{
	for (size_t i = 0; i < c->policy_file_count; i++) {
		if (strcmp(c->policy_files[i], file) == 0)
			return true;
	}
	return false;
}

static void read_policy_file(struct config *c, struct loader *l, const char *name)
{
	const char *file = node_copy_text(&c->arena, name);
	struct node *root;

	if (has_policy_file(c, file))
		return;
	c->policy_files = memory_resize_array(
		c->policy_files, c->policy_file_count + 1, sizeof(*c->policy_files));
	c->policy_files[c->policy_file_count++] = file;
	if (c->policy_file_count == LIMIT_CONFIG_FILES + 1)
		loader_error(l, ((struct place){file, 0}), "more than %u policy files",
			LIMIT_CONFIG_FILES);
	if (c->policy_file_count > LIMIT_CONFIG_FILES)
		return;
	warn_of_writers(l, file);
	root = node_read_file(&c->arena, file, l->diagnostics);
	if (root)
		config_add_rules(c, l, file, root);
}

/* "policies/x.yaml" beside the configuration, wherever the daemon was started. */
static char *beside_config(const struct config *c, const char *path)
{
	const char *slash = strrchr(c->file, '/');

	if (path[0] == '/' || !slash)
		return memory_copy_string(path);
	return memory_format("%.*s/%s", (int)(slash - c->file), c->file, path);
}

/* A folder that is not there has no files; one that can't be read is an error. */
static int is_unreadable(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static void read_policy_pattern(struct config *c, struct loader *l, const struct config_text *text)
{
	char *pattern = beside_config(c, text->text);
	bool magic = strpbrk(pattern, "*?[") != NULL;
	glob_t found = {0};
	int r = glob(pattern, 0, is_unreadable, &found);

	if (r == GLOB_NOMATCH && magic)
		loader_warning(l, text->place, "\"policies\": no file is named %s", pattern);
	else if (r == GLOB_NOMATCH)
		loader_error(l, text->place, "\"policies\": %s: there is no such file", pattern);
	else if (r != 0)
		loader_error(l, text->place, "\"policies\": %s: can't be read", pattern);
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
		read_policy_file(c, l, found.gl_pathv[i]);
	globfree(&found);
	free(pattern);
}

static void read_policies(struct config *c, struct loader *l)
{
	struct config_text usual = {.place = c->place, .text = "policies/*.yaml"};
	const struct config_texts *patterns = &c->policies;

	if (!patterns->place.file)
		read_policy_pattern(c, l, &usual);
	for (size_t i = 0; i < patterns->count; i++)
		read_policy_pattern(c, l, &patterns->items[i]);
}

/* Less than that and workers would not even start, or end with what one session may hold. */
static void check_worker_limits(const struct config *c, struct loader *l)
{
	const struct config_worker_limits *limits = c->worker_limits;

	if (!limits)
		return;
	if (limits->memory.place.file && limits->memory.value < LIMIT_WORKERS_LEAST_MEMORY)
		loader_error(l, limits->memory.place, "\"memory\": expected at least %uM",
			LIMIT_WORKERS_LEAST_MEMORY >> 20);
	if (limits->tasks.place.file && limits->tasks.value < LIMIT_WORKERS_LEAST_TASKS)
		loader_error(l, limits->tasks.place, "\"tasks\": expected at least %u",
			LIMIT_WORKERS_LEAST_TASKS);
}

void config_check(struct config *c, struct loader *l, unsigned flags)
{
	if (c->file) {
		check_worker_limits(c, l);
		config_check_agents(c, l);
		config_check_identity(c, l);
		config_check_people(c, l);
		config_check_metrics(c, l);
		config_check_resources(c, l);
		config_check_ca(c, l);
		config_check_files(c, l, flags);
		config_check_sockets(c, l, flags);
	}
	config_check_rules(c, l);
	config_check_shown(c, l);
	if (!(flags & CONFIG_WITH_UNBUILT))
		unbuilt_check(c, l);
}

static int config_finish(
	struct config *c, struct loader *l, unsigned flags, size_t errors, struct config **ret)
{
	config_check(c, l, flags);
	if (l->diagnostics->errors > errors) {
		config_free(c);
		return -EINVAL;
	}
	*ret = c;
	return 0;
}

/* `policies` NULL: what the configuration names. */
static int load(const char *file, const char *const *policies, size_t count, unsigned flags,
	struct diagnostics *d, struct config **ret)
{
	struct config *c = config_new(file);
	struct loader l = config_loader(c, d);
	size_t errors = d->errors;
	struct node *root;

	warn_of_writers(&l, c->file);
	root = node_read_file(&c->arena, c->file, d);
	if (!root) {
		config_free(c);
		return -EINVAL;
	}
	config_read(c, &l, root);
	if (!policies)
		read_policies(c, &l);
	for (size_t i = 0; policies && i < count; i++)
		read_policy_file(c, &l, policies[i]);
	return config_finish(c, &l, flags, errors, ret);
}

int config_load(const char *file, unsigned flags, struct diagnostics *d, struct config **ret)
{
	return load(file, NULL, 0, flags, d, ret);
}

int config_load_with(const char *file, const char *const *policies, size_t count, unsigned flags,
	struct diagnostics *d, struct config **ret)
{
	return load(file, policies, count, flags, d, ret);
}

int config_load_policies(const char *const *files, size_t count, unsigned flags,
	struct diagnostics *d, struct config **ret)
{
	struct config *c = config_new(NULL);
	struct loader l = config_loader(c, d);
	size_t errors = d->errors;

	for (size_t i = 0; i < count; i++)
		read_policy_file(c, &l, files[i]);
	return config_finish(c, &l, flags, errors, ret);
}

uint32_t config_agent_id(const char *name)
{
	uint8_t digest[SHA256_SIZE];

	sha256_of(slice_from_string(name), digest);
	return bytes_get_u32(digest);
}

const struct config_agent *config_find_agent(const struct config *c, const char *name)
{
	struct config_array agents = CONFIG_ARRAY(c->agents, c->agent_count, "agent");

	return (const struct config_agent *)config_array_find(&agents, name);
}

const struct config_resource *config_find_resource(const struct config *c, const char *name)
{
	struct config_array resources = CONFIG_ARRAY(c->resources, c->resource_count, "resource");

	return (const struct config_resource *)config_array_find(&resources, name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t config_list_names(const struct config *c, const char ***ret_names)
{
	const char **names = NULL;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_resource *resource = &c->resources[i];

		names = memory_resize_array(names, count + resource->host_count, sizeof(*names));
		for (size_t j = 0; j < resource->host_count; j++) {
			if (resource->hosts[j].kind == HOST_NAME)
				names[count++] = (const char *)resource->hosts[j].name.data;
		}
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	}
	*ret_names = names;
	return kept;
}
