/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "capture/cgroup.h"
#include "disguise.skel.h"
#include "enrol.skel.h"
#include "fence.skel.h"
#include "lifecycle.skel.h"
#include "origin.skel.h"
#include "steer.skel.h"
#include "unix.skel.h"

/* Of kernel 6.7; libbpf 1.1 does not know them (enum bpf_attach_type). */
#define ATTACH_UNIX_CONNECT ((enum bpf_attach_type)49)
#define ATTACH_UNIX_GETPEERNAME ((enum bpf_attach_type)52)
#define ATTACH_UNIX_GETSOCKNAME ((enum bpf_attach_type)53)

enum object_index {
	OBJECT_STEER,
	OBJECT_LIFECYCLE,
	OBJECT_DISGUISE,
	OBJECT_ORIGIN,
	OBJECT_ENROL,
	OBJECT_UNIX,
	OBJECT_FENCE,
};

static const struct object {
	const char *name;
	const void *(*bytes)(size_t *ret_size);
	const char *needs; /* a function that older kernels don't have; NULL: all have it */
} objects[PROGRAMS_OBJECTS] = {
	[OBJECT_STEER] = {"steer", steer_bpf__elf_bytes, NULL},
	[OBJECT_LIFECYCLE] = {"lifecycle", lifecycle_bpf__elf_bytes, NULL},
	[OBJECT_DISGUISE] = {"disguise", disguise_bpf__elf_bytes, NULL},
	[OBJECT_ORIGIN] = {"origin", origin_bpf__elf_bytes, NULL},
	[OBJECT_ENROL] = {"enrol", enrol_bpf__elf_bytes, NULL},
	[OBJECT_UNIX] = {"unix", unix_bpf__elf_bytes, "bpf_sock_addr_set_sun_path"},
	[OBJECT_FENCE] = {"fence", fence_bpf__elf_bytes, "bpf_cast_to_kern_ctx"},
};

/* The order is that of attaching: what refuses sockets and keeps the origins is there before
 * anything is redirected. */
static const struct program {
	enum programs_side side;
	const char *name;
	enum object_index object; /* with which it goes; only what is optional counts */
	enum bpf_attach_type attach; /* 0: as the library knows by its section */
} programs[] = {
	{PROGRAMS_AGENT, "lifecycle_create"},
	{PROGRAMS_AGENT, "lifecycle_release"},
	{PROGRAMS_AGENT, "lifecycle_sockops"},
	{PROGRAMS_AGENT, "disguise_getpeername4"},
	{PROGRAMS_AGENT, "disguise_getpeername6"},
	{PROGRAMS_AGENT, "disguise_getsockname4"},
	{PROGRAMS_AGENT, "disguise_getsockname6"},
	{PROGRAMS_AGENT, "fence_egress", .object = OBJECT_FENCE},
	{PROGRAMS_AGENT, "steer_connect4"},
	{PROGRAMS_AGENT, "steer_connect6"},
	{PROGRAMS_AGENT, "steer_sendmsg4"},
	{PROGRAMS_AGENT, "steer_sendmsg6"},
	{PROGRAMS_AGENT, "unix_getpeername", OBJECT_UNIX, ATTACH_UNIX_GETPEERNAME},
	{PROGRAMS_AGENT, "unix_getsockname", OBJECT_UNIX, ATTACH_UNIX_GETSOCKNAME},
	{PROGRAMS_AGENT, "origin_getsockopt", .object = OBJECT_UNIX},
	{PROGRAMS_AGENT, "unix_connect", OBJECT_UNIX, ATTACH_UNIX_CONNECT},
	{PROGRAMS_WORKER, "origin_sockops"},
	{PROGRAMS_WORKER, "origin_getsockopt"},
	{PROGRAMS_HOST, "enrol_gate"},
	{PROGRAMS_TRACE, "enrol_rmdir"},
	{PROGRAMS_TRACE, "enrol_mkdir"},
};

static const char *const map_names[PROGRAMS_MAP_COUNT] = {
	[PROGRAMS_SETTINGS] = "settings",
	[PROGRAMS_ATTACHMENTS] = "attachments",
	[PROGRAMS_AGENTS] = "agents",
	[PROGRAMS_LOCAL_ADDRESSES] = "local_addresses",
	[PROGRAMS_LOCAL_DESTINATIONS] = "local_destinations",
	[PROGRAMS_ROUTES] = "routes",
	[PROGRAMS_EVENTS] = "events",
	[PROGRAMS_AWAITED] = "awaited",
	[PROGRAMS_PATTERNS] = "patterns",
	[PROGRAMS_ENROLMENT] = "enrolment",
	[PROGRAMS_LISTENERS] = "listeners",
	[PROGRAMS_NETWORKS] = "networks",
	[PROGRAMS_ASKED] = "asked",
	[PROGRAMS_FORWARDED] = "forwarded",
	[PROGRAMS_UNIX_SERVERS] = "unix_servers",
	[PROGRAMS_UNIX_WORKERS] = "unix_workers",
};

/* libbpf has one place for what it says; only its last warning is of use to a person. */
static char last_warning[256];

static int keep_warning(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN) {
		vsnprintf(last_warning, sizeof(last_warning), format, arguments);
		last_warning[strcspn(last_warning, "\n")] = '\0';
	}
	return 0;
}

static int set_pin_paths(struct bpf_object *object, const struct pins *pins)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		char path[PATH_MAX];
		int r;

		if (bpf_map__is_internal(map))
			continue;
		pins_path(pins, "maps", bpf_map__name(map), NULL, path);
		r = bpf_map__set_pin_path(map, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What the library can't tell from a section's name. */
static void set_types(struct bpf_object *object)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, programs[i].name);

		if (!program || !programs[i].attach)
			continue;
		bpf_program__set_type(program, BPF_PROG_TYPE_CGROUP_SOCK_ADDR);
		bpf_program__set_expected_attach_type(program, programs[i].attach);
	}
}

static int load_object(
	const struct object *o, const struct pins *pins, struct bpf_object **ret, struct error *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = o->name);
	struct bpf_object *object;
	size_t size;
	const void *bytes = o->bytes(&size);
	int r;

	last_warning[0] = '\0';
	object = bpf_object__open_mem(bytes, size, &options);
	if (!object)
		return error_set_errno(e, -errno, "BPF object %s (%s)", o->name, last_warning);
	r = set_pin_paths(object, pins);
	set_types(object);
	if (r == 0)
		r = bpf_object__load(object);
	if (r < 0) {
		bpf_object__close(object);
		return error_set_errno(e, r, "BPF object %s (%s)", o->name, last_warning);
	}
	*ret = object;
	return 0;
}

/* Only that the kernel lacks it makes an object superfluous: whatever else may be wrong with it
 * would leave open what it closes. */
static int kernel_has(const char *function, bool *ret, struct error *e)
{
	struct btf *types = btf__load_vmlinux_btf();

	if (!types)
		return error_set_errno(e, -errno, "the kernel's types (BTF)");
	*ret = btf__find_by_name_kind(types, function, BTF_KIND_FUNC) > 0;
	btf__free(types);
	return 0;
}

static int load_if_possible(
	const struct object *o, const struct pins *pins, struct bpf_object **ret, struct error *e)
{
	bool possible = true;
	int r = o->needs ? kernel_has(o->needs, &possible, e) : 0;

	if (!possible)
		log_info("BPF object %s: this kernel has no use for it (no %s)", o->name, o->needs);
	return r == 0 && possible ? load_object(o, pins, ret, e) : r;
}

int programs_load(struct programs *ret, const struct pins *pins, struct error *e)
{
	struct programs p = {.pins = pins};
	int r = 0;

	libbpf_set_print(keep_warning);
	for (size_t i = 0; r == 0 && i < PROGRAMS_OBJECTS; i++)
		r = load_if_possible(&objects[i], pins, &p.objects[i], e);
	for (size_t i = 0; r == 0 && i < PROGRAMS_MAP_COUNT; i++) {
		/* Every object has every map but those for Unix sockets. */
		bool of_unix = i == PROGRAMS_UNIX_SERVERS || i == PROGRAMS_UNIX_WORKERS;
		struct bpf_object *object = p.objects[of_unix ? OBJECT_UNIX : OBJECT_STEER];

		p.maps[i] = object ? bpf_object__find_map_fd_by_name(object, map_names[i]) : -1;
		if (p.maps[i] < 0 && object)
			r = error_set_errno(e, p.maps[i], "BPF map %s", map_names[i]);
	}
	if (r < 0) {
		programs_unload(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void programs_unload(struct programs *p)
{
	for (size_t i = 0; i < PROGRAMS_OBJECTS; i++) {
		bpf_object__close(p->objects[i]);
		p->objects[i] = NULL;
	}
}

static struct bpf_program *find_program(const struct programs *p, const char *name)
{
	struct bpf_program *program = NULL;

	for (size_t i = 0; !program && i < PROGRAMS_OBJECTS; i++) {
		if (p->objects[i])
			program = bpf_object__find_program_by_name(p->objects[i], name);
	}
	return program;
}

bool programs_turn_unix(const struct programs *p)
{
	return p->objects[OBJECT_UNIX];
}

bool programs_hold_packets(const struct programs *p)
{
	return p->objects[OBJECT_FENCE];
}

static bool is_wanted(const struct programs *p, const struct program *program)
{
	return p->objects[program->object];
}

/* The cgroup of a pinned link; 0 where it is gone. */
static int link_cgroup(int link_fd, uint64_t *ret_id)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &size) < 0)
		return -errno;
	if (info.type != BPF_LINK_TYPE_CGROUP)
		return -EINVAL;
	*ret_id = info.cgroup.cgroup_id;
	return 0;
}

/* 1: the pinned link is for this cgroup and has the new program now. 0: there is none. */
static int renew_link(const char *path, int program_fd, uint64_t cgroup)
{
	uint64_t attached = 0;
	int fd = bpf_obj_get(path);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = link_cgroup(fd, &attached);
	if (r == 0 && attached == cgroup) {
		r = bpf_link_update(fd, program_fd, NULL);
		r = r < 0 ? -errno : 1;
	}
	close(fd);
	return r;
}

/* Pins under another name first: the old link, of a cgroup that is gone or of an older program, is
 * replaced in one step. Closes `fd`. */
static int pin_link(const char *folder, const char *name, int fd)
{
	char path[PATH_MAX], new_path[PATH_MAX];
	int r = 0;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
		snprintf(new_path, sizeof(new_path), "%s/new_%s", folder, name) >=
			(int)sizeof(new_path)) {
		r = -ENAMETOOLONG;
	} else {
		unlink(new_path);
		if (bpf_obj_pin(fd, new_path) < 0 || rename(new_path, path) < 0)
			r = -errno;
	}
	close(fd);
	return r;
}

static int make_link(
	const char *folder, const char *name, const struct bpf_program *program, int cgroup_fd)
{
	int fd = bpf_link_create(bpf_program__fd(program), cgroup_fd,
		bpf_program__expected_attach_type(program), NULL);

	return fd < 0 ? -errno : pin_link(folder, name, fd);
}

static int attach_one(const struct programs *p, const char *name, const char *folder, int cgroup_fd,
	uint64_t cgroup)
{
	const struct bpf_program *program = find_program(p, name);
	char path[PATH_MAX];
	int r;

	if (!program)
		return -ENOENT;
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = renew_link(path, bpf_program__fd(program), cgroup);
	if (r == 0)
		r = make_link(folder, name, program, cgroup_fd);
	return r < 0 ? r : 0;
}

int programs_attach(const struct programs *p, enum programs_side side, const char *owner,
	int cgroup_fd, struct error *e)
{
	char folder[PATH_MAX];
	uint64_t cgroup;
	int r = cgroup_get_id(cgroup_fd, &cgroup);

	if (r < 0)
		return error_set_errno(e, r, "cgroup");
	pins_path(p->pins, "links", owner, NULL, folder);
	r = pins_make_folder(folder, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(programs); i++) {
		if (programs[i].side != side || !is_wanted(p, &programs[i]))
			continue;
		r = attach_one(p, programs[i].name, folder, cgroup_fd, cgroup);
		if (r < 0)
			error_set_errno(e, r, "attaching %s", programs[i].name);
	}
	return r;
}

int programs_trace(const struct programs *p, const char *owner, struct error *e)
{
	char folder[PATH_MAX];
	int r;

	pins_path(p->pins, "links", owner, NULL, folder);
	r = pins_make_folder(folder, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(programs); i++) {
		const char *name = programs[i].name;
		int fd;

		if (programs[i].side != PROGRAMS_TRACE || !is_wanted(p, &programs[i]))
			continue;
		fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(find_program(p, name)));
		r = fd < 0 ? -errno : pin_link(folder, name, fd);
		if (r < 0)
			error_set_errno(e, r, "attaching %s", name);
	}
	return r;
}

/* 0 where the kernel doesn't say. */
static uint32_t program_id(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) < 0 ? 0 : info.id;
}

/* A link that was detached is there still, and says of no cgroup that it is attached to it. */
static bool holds(
	const struct programs *p, const struct program *program, const char *owner, uint64_t cgroup)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	int fd, r;

	pins_path(p->pins, "links", owner, program->name, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	r = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (r < 0 || info.prog_id != program_id(find_program(p, program->name)))
		return false;
	return program->side == PROGRAMS_TRACE ||
		(info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == cgroup);
}

const char *programs_missing(
	const struct programs *p, enum programs_side side, const char *owner, uint64_t cgroup)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (programs[i].side == side && is_wanted(p, &programs[i]) &&
			!holds(p, &programs[i], owner, cgroup))
			return programs[i].name;
	}
	return NULL;
}

void programs_detach(const struct programs *p, const char *owner)
{
	char folder[PATH_MAX];

	pins_path(p->pins, "links", owner, NULL, folder);
	pins_remove_tree(folder);
}

int programs_find_cgroup(const char *folder, uint64_t *ret_id)
{
	DIR *links = opendir(folder);
	struct dirent *entry;
	int r = links ? 0 : -errno;
	bool any = false;
	uint64_t id = 0;

	/* One that was detached is there still, and says nothing. */
	while (links && r == 0 && id == 0 && (entry = readdir(links))) {
		char path[PATH_MAX];
		int fd;

		if (entry->d_name[0] == '.' ||
			(size_t)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >=
				sizeof(path))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0) {
			r = -errno;
			break;
		}
		any |= link_cgroup(fd, &id) == 0;
		close(fd);
	}
	if (links)
		closedir(links);
	if (r < 0 || !any)
		return r < 0 ? r : -ENOENT;
	*ret_id = id;
	return 0;
}
