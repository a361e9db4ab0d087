/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/beyond.h"

#include "base/memory.h"
#include "protocol/protocols.h"
#include "worker/place.h"

static enum reason refuse(const char **ret_why, enum reason reason, const char *why)
{
	*ret_why = why;
	return reason;
}

static enum reason check_resource(const struct beyond_place *place, const char **ret_why)
{
	const struct policy_resource *resource = place->resource;

	if (protocols_get(resource->protocol)->delegated)
		return refuse(ret_why, REASON_NOT_BUILT,
			"what is asked for is ssh, which is not judged behind a proxy");
	if (resource->unix_path.length)
		return refuse(ret_why, REASON_MISDIRECTED,
			"that resource is a Unix socket, which no proxy leads to");
	if (!place->here && place_is_loopback(place->name, place->address))
		return refuse(ret_why, REASON_LOOPBACK,
			"that resource is on this host, and the proxy's own host is another");
	return REASON_NONE;
}

enum reason beyond_check(
	const struct policy *p, const struct beyond_place *place, const char **ret_why)
{
	struct policy_candidate found[1];
	enum reason reason = place->resource ? check_resource(place, ret_why) : REASON_NONE;

	if (reason != REASON_NONE)
		return reason;
	if (place->name.length &&
		policy_match_name(p, place->name, place->port, found, ARRAY_SIZE(found)) < 0)
		return refuse(ret_why, REASON_MISDIRECTED,
			"which resource it means can't be known, as the proxy looks up the name");
	if (!place->resource && p->loopback == LOOPBACK_OWN &&
		place_is_loopback(place->name, place->address))
		return refuse(
			ret_why, REASON_LOOPBACK, "a proxy's own host, which no resource names");
	return REASON_NONE;
}
