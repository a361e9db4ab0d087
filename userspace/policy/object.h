/* SPDX-License-Identifier: Apache-2.0
 *
 * object: the patterns of `objects` in a rule, per protocol (docs/policy.md). In all of them "*"
 * stands for any run of characters within one part and nothing else is special.
 *
 *   SQL         schema.table, schema.function(); parts are separated by "."; what has no schema
 *               (a setting, a database) has one part
 *   HTTP        /path/of/segments; "**" as a segment stands for any number of them, also none;
 *               NAME:PORT, where CONNECT leads
 *   Kubernetes  NAMESPACE/RESOURCE.GROUP/NAME or, cluster-wide, RESOURCE.GROUP/NAME; a path, as
 *               HTTP's, for what is no resource
 *   SSH         the whole command line or path
 */
#ifndef WAYLEAVE_POLICY_OBJECT_H
#define WAYLEAVE_POLICY_OBJECT_H

#include "protocol/operation.h"

enum object_match {
	OBJECT_MATCHES_NOT,
	OBJECT_MATCHES,
	/* A quoted SQL name may hold dots: "a.b.c" is b.c in a, or c in a.b, and only one of these
	 * matches; all pods are also the one that the pattern means. Enough for a deny, not for an
	 * allow. */
	OBJECT_MATCHES_PERHAPS,
};

/* Whether the pattern means the object. Never for protocols without objects. */
enum object_match object_match(
	enum protocol_id protocol, struct slice pattern, struct slice object);

/* Whether the pattern may mean something below a path of a host's files. */
bool object_may_be_below(struct slice pattern, struct slice path);

enum object_fit {
	OBJECT_FITS,
	OBJECT_FITS_SELDOM, /* matches only what has no schema: not what the writer meant, perhaps
			     */
	OBJECT_NEVER_FITS,
};

/* Whether the pattern can match an object of `operations`, of which those of the protocol count. */
enum object_fit object_fit(
	enum protocol_id protocol, struct slice pattern, const struct operation_set *operations);
/* How objects of the protocol are written, for messages; static. */
const char *object_expected(enum protocol_id protocol);

#endif
