/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent's commands are to see although it is hidden from others; and sockets of
 * servers that are no others.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hidden_places.h"
#include "base/memory.h"
#include "base/host_path.h"
#include "policy/config_check.h"
#include "policy/unix_server.h"

struct sockets {
	const struct config *config;
	struct loader *loader;
	bool open; /* follow links */
};

/* Without a slash at its end: a folder is meant without it, too. */
static void drop_slash(struct loader *l, struct config_text *path)
{
	size_t length = strlen(path->text);
	char *shorter;

	if (length < 2 || path->text[length - 1] != '/')
		return;
	shorter = memory_format("%.*s", (int)(length - 1), path->text);
	path->text = node_copy_text(l->arena, shorter);
	free(shorter);
}

static char *comparable(const char *path, bool follow)
{
	char *text = follow ? unix_server_target(path) : memory_copy_string(path);
	char *other = strncmp(text, "/var/", 5) == 0 ? unix_server_other_name(text) : NULL;

	if (!other)
		return text;
	free(text);
	return other;
}

/* Whether they are the same, or one lies in the other. */
static bool overlap(const char *a, const char *b, bool follow)
{
	char *first = comparable(a, follow), *second = comparable(b, follow);
	size_t one = strlen(first), two = strlen(second), length = one < two ? one : two;
	bool ret = strncmp(first, second, length) == 0 &&
		(!first[length] || first[length] == '/') &&
		(!second[length] || second[length] == '/');

	free(first);
	free(second);
	return ret;
}

static void check_apart(const struct sockets *s, const struct config_text *path, const char *hidden,
	const char *what, const char *name)
{
	if (*hidden == '/' &&
		(overlap(path->text, hidden, false) ||
			(s->open && overlap(path->text, hidden, true))))
		loader_error(s->loader, path->place,
			"\"sockets\": expected a path that does not show %s%s, not \"%s\"", what,
			name, path->text);
}

/* What nobody's commands may see: what a server says there would be judged by nobody. */
static void check_hidden(const struct sockets *s, const struct config_text *path)
{
	const struct config *c = s->config;

	check_apart(s, path, c->state_dir.text, "state_dir", "");
	check_apart(s, path, c->runtime_dir.text, "runtime_dir", "");
	for (size_t i = 0; i < c->secret_file_count; i++)
		check_apart(s, path, c->secret_files[i], "the secret ", c->secret_files[i]);
	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_resource *r = &c->resources[i];

		if (r->upstream && r->upstream->unix_path.text && r->name.text)
			check_apart(s, path, r->upstream->unix_path.text, "the socket of resource ",
				r->name.text);
	}
}

static void check_socket(const struct sockets *s, struct config_text *path)
{
	if (!path->text)
		return;
	drop_slash(s->loader, path);
	if (hidden_may_be(path->text) && host_path_is_plain(path->text))
		check_hidden(s, path);
	else
		loader_error(s->loader, path->place,
			"\"sockets\": expected a path below /run, as /run/docker.sock, or of "
			"another thing that is hidden, not \"%s\"",
			path->text);
}

static const struct config_text *server_of(const struct config_resource *r)
{
	const struct config_text *path = r->upstream ? &r->upstream->unix_path : NULL;

	return path && path->text && *path->text == '/' && r->name.text ? path : NULL;
}

/* Two resources may name one socket, but whose path is a link may not mean to. */
static void check_link(const struct sockets *s, size_t index)
{
	const struct config *c = s->config;
	const struct config_text *path = server_of(&c->resources[index]), *other;
	char *named, *found;

	if (!path)
		return;
	named = comparable(path->text, false);
	found = comparable(path->text, true);
	for (size_t i = 0; strcmp(named, found) != 0 && i < c->resource_count; i++) {
		char *own;

		other = i == index ? NULL : server_of(&c->resources[i]);
		if (!other)
			continue;
		own = comparable(other->text, false);
		if (strcmp(own, found) == 0)
			loader_warning(s->loader, path->place,
				"\"unix\": \"%s\" leads to the socket of resource %s", path->text,
				c->resources[i].name.text);
		free(own);
	}
	free(named);
	free(found);
}

/* An agent that could make the link another one would choose which server is taken for the
 * resource's. One that is not there yet is looked at when it is connected to. */
static void check_way(const struct sockets *s, const struct config_resource *r)
{
	const struct config_text *path = server_of(r);
	char *link = NULL;
	int fd;

	if (!path)
		return;
	if (host_path_open(path->text, &fd, &link) == 0)
		close(fd);
	else if (link)
		loader_error(s->loader, path->place,
			"\"unix\": \"%s\" leads through a link that others than root can change, "
			"\"%s\"; expected the path that it stands for",
			path->text, link);
	free(link);
}

void config_check_sockets(struct config *c, struct loader *l, unsigned flags)
{
	const struct sockets s = {c, l, !(flags & CONFIG_WITHOUT_FILES)};

	for (size_t i = 0; s.open && i < c->resource_count; i++) {
		check_link(&s, i);
		check_way(&s, &c->resources[i]);
	}
	for (size_t i = 0; i < c->agent_count; i++) {
		for (size_t j = 0; j < c->agents[i].sockets.count; j++)
			check_socket(&s, &c->agents[i].sockets.items[j]);
	}
}
