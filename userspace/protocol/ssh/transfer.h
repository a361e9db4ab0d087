/* SPDX-License-Identifier: Apache-2.0
 *
 * transfer: the commands by which clients of scp and rsync have a host's own program send or take
 * files: `scp -f PATH…` and `scp -t PATH` (OpenSSH's scp.c, "main"), `rsync --server [--sender] …
 * . PATH…` (rsync's options.c, server_options()).
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_TRANSFER_H
#define WAYLEAVE_PROTOCOL_SSH_TRANSFER_H

#include "protocol/ssh/shell.h"

#define TRANSFER_PATHS_MOST 256u

enum transfer_program { TRANSFER_NONE, TRANSFER_SCP, TRANSFER_RSYNC };

struct transfer {
	enum transfer_program program; /* TRANSFER_NONE: the command is no such thing */
	bool reads, writes; /* files of the host; both, where it can't be told */
	bool below; /* what is below the paths, too: what is written may be put into a folder */
	/* `paths` are all that it reads or writes. Else options, quotes or other commands of the
	 * line may mean others. */
	bool known;
	struct slice paths; /* for transfer_next(); of the line's text */
	size_t path_count;
};

/* Of a command of the line: sure only where it is all of it. Other commands that end in such a one
 * (sudo rsync --server …) are one as well, of which nothing is known. */
struct transfer transfer_of(const struct shell_line *line, const struct shell_command *c);
/* The next path; false: there is none. `ret_known`: it is absolute, and no other name of what it
 * means than links could make it; it has no slash behind it. */
bool transfer_next(struct transfer *t, struct slice *ret, bool *ret_known);

#endif
