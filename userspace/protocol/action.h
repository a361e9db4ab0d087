/* SPDX-License-Identifier: Apache-2.0
 *
 * action: the protocol-neutral fact that policy judges: what would be done to what, as pairs of
 * operation and object, and the exact text. Protocols make actions, policy judges them, recordings
 * and reviews keep them; none of those knows the others.
 */
#ifndef WAYLEAVE_PROTOCOL_ACTION_H
#define WAYLEAVE_PROTOCOL_ACTION_H

#include "protocol/operation.h"

enum object_state {
	OBJECT_NONE, /* the operation has no object, as in "select 1" */
	OBJECT_KNOWN, /* `object` is the full name, as policy writes it */
	OBJECT_UNKNOWN, /* there is one, but which could not be established; `object` = as written
			 */
};

struct action_pair {
	enum operation operation;
	enum object_state state;
	/* UPDATE or DELETE without WHERE, and the like; of OPERATION_GROUP_RESTATED: the path and
	 * what is below it. */
	bool everything;
	struct slice object;
	bool unfiltered; /* SELECT without WHERE, and the like: for what a grant covers alone */
};

/* Facts that could not be established for the action as a whole. */
enum action_unknown {
	ACTION_UNKNOWN_TEXT = 1 << 0, /* the text could not be parsed, or may mean something else */
	ACTION_UNKNOWN_OBJECT = 1 << 1, /* at least one pair is OBJECT_UNKNOWN */
	ACTION_UNKNOWN_EFFECT = 1 << 2, /* what it runs is not known (EXECUTE of an unseen name) */
	/* A verdict's: a review looks into its body, which may say something else too. */
	ACTION_UNKNOWN_BODY = 1 << 3,
};

/* What a rule may look into. */
enum action_body_form {
	BODY_NONE, /* there is none */
	BODY_UNKNOWN, /* it did not come yet, is too large, or could be read in more than one way */
	BODY_JSON, /* it says that it is JSON, */
	BODY_FORM, /* or application/x-www-form-urlencoded */
};

struct action_body {
	enum action_body_form form;
	struct slice bytes; /* BODY_JSON, BODY_FORM: all of it */
};

struct action {
	enum protocol_id protocol;
	unsigned unknown; /* enum action_unknown, or-ed */
	const struct action_pair *pairs;
	size_t pair_count;
	struct slice text; /* the exact bytes */
	/* It is one SQL command, which neither names nor makes what the session has by name: what
	 * it does is done when it is complete. */
	bool alone;
	struct action_body body;
	const char *problem; /* with ACTION_UNKNOWN_TEXT: what was not understood, for people */
};

#endif
