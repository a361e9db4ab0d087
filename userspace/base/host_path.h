/* SPDX-License-Identifier: Apache-2.0
 *
 * host_path: paths that somebody else may have a hand in.
 */
#ifndef WAYLEAVE_BASE_HOST_PATH_H
#define WAYLEAVE_BASE_HOST_PATH_H

#include <stdbool.h>

/* Whether it is absolute, without parts that are empty, "." or "..": but for links, each place has
 * one such text. */
bool host_path_is_plain(const char *path);

/* What the absolute path leads to (O_PATH, close-on-exec), by no link but those that root alone can
 * change: in a folder of root's that nobody else can write to, or that is sticky. Whoever could
 * make another of them would choose what is meant. -ELOOP: there is one; `ret_link`, unless NULL,
 * gets its name, for free(). Others as openat(2). */
int host_path_open(const char *path, int *ret_fd, char **ret_link);

#endif
