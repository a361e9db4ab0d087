/* SPDX-License-Identifier: Apache-2.0
 *
 * startup: the StartupMessage's content (PostgreSQL 15 documentation, 55.7), with the settings that
 * it makes, whether as parameters of their own or inside `options`.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_STARTUP_H
#define WAYLEAVE_PROTOCOL_POSTGRES_STARTUP_H

#include "base/arena.h"
#include "base/buffer.h"

struct pg_setting {
	struct slice name; /* lower case */
	struct slice value;
	bool option; /* stood in `options` */
};

struct pg_startup {
	uint16_t minor; /* of protocol 3 */
	struct slice user, database;
	struct slice application; /* by whichever means it was set */
	bool replication; /* `replication` with any value that asks for it */
	/* Run-time settings, in the order in which the server applies them. */
	struct pg_setting *settings;
	size_t setting_count;
	/* `options` held something that is no setting, as -d or --boot: what. NULL: nothing. */
	const char *strange_option;
};

/* Parses the packet behind its length word, code included. Slices point into `packet` and `arena`.
 * -EBADMSG: malformed; -EPROTONOSUPPORT: not protocol 3; -E2BIG: arena full. */
int pg_startup_parse(struct slice packet, struct arena *arena, struct pg_startup *ret);

/* Appends the packet (as for pg_startup_parse(), which took it) anew, with its length in front and
 * with these parameters; empty: without. All others stay as they are. */
int pg_startup_put(struct slice packet, struct slice user, struct slice database,
	struct slice application, struct buffer *ret);

#endif
