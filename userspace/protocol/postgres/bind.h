/* SPDX-License-Identifier: Apache-2.0
 *
 * bind: the Bind message, as far as it must be understood.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_BIND_H
#define WAYLEAVE_PROTOCOL_POSTGRES_BIND_H

#include "protocol/protocol.h"

#define PG_VALUES_MOST 64 /* parameters of one Bind that are shown and recorded */

/* Slices are of the message. */
struct pg_bind {
	struct slice portal, statement;
	struct slice bound; /* all behind the names, as far as it is here */
	size_t values_length; /* of that, without the formats of results */
	size_t value_count; /* of the values that were filled */
	size_t value_total; /* that there are */
};

/* -EBADMSG. `complete`: all of the body is here. `values` has room for PG_VALUES_MOST. */
int pg_bind_parse(
	struct slice body, bool complete, struct protocol_value *values, struct pg_bind *ret);
/* Sets the types of the values: what the Parse declared and, where that leaves one open, what the
 * server described; both rows of OIDs as in those messages, either may be shorter. */
void pg_bind_types(
	struct slice declared, struct slice described, struct protocol_value *values, size_t count);

#endif
