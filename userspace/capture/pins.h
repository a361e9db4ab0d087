/* SPDX-License-Identifier: Apache-2.0
 *
 * pins: where an instance's maps and links stand in the BPF filesystem, so that they outlive the
 * daemon:
 *
 *	/sys/fs/bpf/wayleave/INSTANCE/LAYOUT/maps/NAME
 *	/sys/fs/bpf/wayleave/INSTANCE/LAYOUT/links/OWNER/PROGRAM
 *
 * OWNER is an agent's id in 8 hexadecimal digits, or "worker". One process has an instance at a
 * time: its folder is locked.
 */
#ifndef WAYLEAVE_CAPTURE_PINS_H
#define WAYLEAVE_CAPTURE_PINS_H

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

#define PINS_ROOT "/sys/fs/bpf"
#define PINS_INSTANCE_MOST 20 /* bytes */

struct pins {
	int lock; /* the instance's folder */
	char instance[PINS_INSTANCE_MOST + 1];
	char folder[PATH_MAX / 4]; /* of the instance */
};

/* Lower-case letters, digits and "_", a letter first: it is part of nft's and cgroups' names too.
 */
bool pins_instance_is_valid(const char *instance);
/* Whether anything of the instance is pinned. */
bool pins_exist(const char *instance);
/* Mounts the filesystem where there is none, makes the folders, takes the lock: -EBUSY where
 * another process has it. */
int pins_open(struct pins *ret, const char *instance, struct error *e);
void pins_close(struct pins *p);
/* "FOLDER/LAYOUT/KIND[/NAME[/LEAF]]" in ret, of PATH_MAX bytes. NULL ends it. */
void pins_path(
	const struct pins *p, const char *kind, const char *name, const char *leaf, char *ret);
int pins_make_folder(const char *path, struct error *e);
/* Calls for each layout that anything is pinned under, this one's too, with its folder,
 * "FOLDER/LAYOUT"; ends with the first negative errno, which it returns. */
int pins_each_layout(
	const struct pins *p, int (*call)(void *context, const char *layout), void *context);
/* Removes what other layouts left: with their links what was attached twice is attached once. */
void pins_remove_other_layouts(const struct pins *p);
/* Removes a folder of the pins and all below it; what is not there is no error. */
void pins_remove_tree(const char *path);
/* The same for the whole instance, and what is empty above it; then it is closed. */
void pins_remove(struct pins *p);

#endif
