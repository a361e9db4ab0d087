/* SPDX-License-Identifier: Apache-2.0
 *
 * meanings: the session's settings that decide what values in a text mean (meanings.inc), as far as
 * the server has said. '01/02/2026' is another day under another DateStyle, and its text the same.
 *
 * The server reports some of them when they change, but inside a batch not before its Sync, and
 * others never: all of them are looked up with the search path (lookup.h).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_MEANINGS_H
#define WAYLEAVE_PROTOCOL_POSTGRES_MEANINGS_H

#include "base/buffer.h"
#include "base/slice.h"

/* Bytes of a value; the longest that PostgreSQL has are a TimeZone's, 255. */
#define PG_MEANING_MOST 256

/* clang-format off */
enum {
	PG_MEANING_COUNT = 0
#define MEANING(name, usual) + 1
#include "protocol/postgres/meanings.inc"
#undef MEANING
};
/* clang-format on */

struct pg_meanings {
	char *values[PG_MEANING_COUNT]; /* owned; NULL: not known */
	bool unfit; /* the server reported a value that can't be shown */
};

/* The values of all, in their order, each with a newline behind it. -EBADMSG, with nothing taken:
 * not as many, one that is too long, or with control characters. */
int pg_meanings_take(struct pg_meanings *m, struct slice values);
/* A ParameterStatus; one of other names is nothing to this. A value that is not fit to be shown
 * makes `unfit` true until it is looked up. */
void pg_meanings_on_status(struct pg_meanings *m, struct slice name, struct slice value);
/* A line "NAME: VALUE" for each that is known and not as usual, with a newline before all but the
 * first of `b`. -E2BIG: there is no room; -ENOTSUP: one is not fit. */
int pg_meanings_put(const struct pg_meanings *m, struct buffer *b);
void pg_meanings_done(struct pg_meanings *m);

#endif
