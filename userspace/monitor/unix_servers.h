/* SPDX-License-Identifier: Apache-2.0
 *
 * unix_servers: servers on this host that resources reach by a Unix socket. Agents that dial one by
 * its path are turned to the workers (capture.h); from commands of `wayleave run` the socket itself
 * is hidden.
 */
#ifndef WAYLEAVE_MONITOR_UNIX_SERVERS_H
#define WAYLEAVE_MONITOR_UNIX_SERVERS_H

#include <sys/types.h>

#include "base/arena.h"
#include "capture/capture.h"
#include "policy/config.h"

/* In the runtime folder; agents see it, and nothing else is in it. */
#define UNIX_SERVERS_FOLDER "servers"

/* Makes the workers' socket. `ret_fd` stays as it is where there is none: the kernel can't turn
 * connections to it, or the runtime folder's path is too long, which is logged. */
int unix_servers_listen(struct capture *c, const char *runtime_dir, int *ret_fd, struct error *e);
void unix_servers_remove(const char *runtime_dir);

/* All paths by which agents may dial those of the configuration, where the first of two that are
 * the same counts; for unix_servers_free(). */
struct capture_server *unix_servers_list(const struct config *c, size_t *ret_count);
void unix_servers_free(struct capture_server *servers, size_t count);

/* Whether who listens at the other end of a connection that the monitor made may be the server:
 * -EACCES where that is a process of any agent's, which would get what is the server's to get and
 * answer in its place. `user`: of the agent's process that dials; where the listening process has
 * ended, and left its socket to another, nobody of that user is believed. */
int unix_servers_check(struct capture *c, int fd, uid_t user);

/* The path with its folder as it is without links; the arena's. -ELOOP: others than root could make
 * it another one (host_path_open()); -ENOMEM. */
int unix_servers_real(const char *path, struct arena *memory, const char **ret);
/* What hides a server's socket, or what its link leads to, from a command: the folder where that is
 * one of /run, so that a server that starts again stays hidden, else the socket alone. The arena's;
 * NULL: no memory. */
const char *unix_servers_cover(const char *path, struct arena *memory);

#endif
