/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes over the hooks of a daemon before, of whatever layout (CAPTURE_LAYOUT): agents that run are
 * governed without a gap, also those that nobody configures any more.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/state.h"

/* Digits of an agent's id, with which the name of a folder of its links begins (governed.c). */
#define OWNER_AGENT 8

/* What one folder of pinned links says. */
static int adopt_one(struct capture *c, const char *links, const char *owner, struct error *e)
{
	char folder[PATH_MAX], path[CGROUP_PATH_SIZE], *end;
	struct steer_attachment attachment;
	uint32_t id = (uint32_t)strtoul(owner, &end, 16);
	struct governed *g;
	uint64_t cgroup = 0;
	int fd, r;

	if (end - owner != OWNER_AGENT || (*end && *end != '-') ||
		(size_t)snprintf(folder, sizeof(folder), "%s/%s", links, owner) >= sizeof(folder))
		return 0;
	r = programs_find_cgroup(folder, &cgroup);
	if (r == 0)
		r = cgroup ? cgroup_open_id(&c->root, cgroup, &fd, path) : -ESTALE;
	if (r == -ESTALE || r == -ENOENT) {
		/* The cgroup is gone, so nobody is in it. */
		pins_remove_tree(folder);
		return 0;
	}
	if (r < 0)
		return error_set_errno(e, r, "the cgroup of %s", folder);
	if (*end ? governed_find_wild(c, id, cgroup) != NULL : governed_find(c, id) != NULL) {
		close(fd);
		return 0; /* of another layout, whose successor had begun */
	}
	r = programs_attach(&c->programs, PROGRAMS_AGENT, owner, fd, e);
	close(fd);
	if (r < 0)
		return r;
	g = governed_new(c, id, path);
	g->cgroup_id = cgroup;
	g->wild = *end == '-';
	/* Until it is configured again. */
	g->udp = UDP_DENY;
	if (bpf_map_lookup_elem(c->programs.maps[PROGRAMS_ATTACHMENTS], &cgroup, &attachment) == 0)
		g->loopback = attachment.loopback;
	return 0;
}

static int adopt_links(struct capture *c, const char *links, struct error *e)
{
	struct dirent *entry;
	DIR *folder;
	int r = 0;

	folder = opendir(links);
	if (!folder)
		return error_set_errno(e, -errno, "%s", links);
	while (r == 0 && (entry = readdir(folder)))
		r = adopt_one(c, links, entry->d_name, e);
	closedir(folder);
	return r;
}

struct adoption {
	struct capture *capture;
	struct error *e;
};

/* Its hooks stay until ours have all that they need (pins_remove_other_layouts()). Whom it governed
 * that is left out of the configuration nobody else would know. */
static int adopt_layout(void *context, const char *layout)
{
	const struct adoption *a = context;
	char links[PATH_MAX];

	if ((size_t)snprintf(links, sizeof(links), "%s/links", layout) >= sizeof(links) ||
		access(links, F_OK) < 0)
		return 0;
	return adopt_links(a->capture, links, a->e);
}

/* The own one first. */
int governed_adopt(struct capture *c, struct error *e)
{
	struct adoption adoption = {c, e};
	char path[PATH_MAX];
	int r;

	pins_path(&c->pins, "links", NULL, NULL, path);
	r = adopt_links(c, path, e);
	return r == 0 ? pins_each_layout(&c->pins, adopt_layout, &adoption) : r;
}
