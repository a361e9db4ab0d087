/* SPDX-License-Identifier: Apache-2.0
 *
 * path: names of a host's files (XBD 4.13), as far as they can be told without the host.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_PATH_H
#define WAYLEAVE_PROTOCOL_SSH_PATH_H

#include "base/buffer.h"

/* Appends the absolute form without "." and doubled or last slashes; a relative path stands behind
 * `folder`, which is absolute, or empty: not known. What ".." leads to depends on links, so -ENOENT
 * where there is one, or nothing to stand behind; then nothing is appended. */
int path_append_absolute(struct slice folder, struct slice path, struct buffer *ret);
/* Like it, for a folder without links: there, ".." at the path's beginning is the folder above. */
int path_append_behind(struct slice folder, struct slice path, struct buffer *ret);
/* Whether it is absolute and what path_append_absolute() would make of it. */
bool path_is_plain(struct slice path);
/* Cuts off the last part, without slashes around it. False: there is none that names a file in a
 * folder ("/", "..", ""). The folder's path may be empty: that of relative paths. */
bool path_split(struct slice path, struct slice *ret_folder, struct slice *ret_name);

#endif
