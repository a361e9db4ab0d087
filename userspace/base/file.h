/* SPDX-License-Identifier: Apache-2.0
 *
 * file: whole files and folders, for the parts that run before anything hostile is read.
 */
#ifndef WAYLEAVE_BASE_FILE_H
#define WAYLEAVE_BASE_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"

/* Appends the file's content; -E2BIG beyond the buffer's limit. */
int file_read(const char *path, struct buffer *ret, struct error *e);
int file_read_descriptor(int fd, struct buffer *ret);
/* The same from its start, wherever that descriptor stands, which stays there: others may hold it
 * too, and where it stands is theirs as well. */
int file_read_shared(int fd, struct buffer *ret);
/* Writes to a temporary file beside it, syncs, renames: readers see the old or the new. */
int file_write(const char *path, struct slice content, mode_t mode, struct error *e);
/* All missing folders of the path, each with `mode`; 0 where it is there already. */
int file_make_folders(const char *path, mode_t mode, struct error *e);
/* write(2) until all is written; negative errno. */
int file_write_all(int fd, struct slice content);
/* A file in memory that holds the content and can no more be changed, to be given away; its
 * descriptor, read from the start, or negative errno. `name` is for people who look at /proc. */
int file_make_sealed(const char *name, struct slice content);
/* Whether a process serves its filesystem (FUSE), which may show each reader another file and let
 * readers wait for ever; also where that can't be found out. */
bool file_is_served_by_process(int fd);
/* Which file it is: st_dev and st_ino, and nothing else. "": the one of the descriptor. What is
 * known of it will do, so that nobody who serves its filesystem is asked, and could let it wait. */
int file_identify(int folder, const char *name, struct stat *ret);
/* The path of another program of Wayleave's, seen from this one: beside it (a build), or in
 * ../libexec/wayleave. For free(); NULL: it is not there. */
char *file_find_program(const char *name);

#endif
