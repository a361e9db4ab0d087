/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/connection.h"

#include <stdio.h>

/* "10.0.0.3:22", "[fd00::3]:22" or "name:22" without what is not the host's. */
static struct slice host_of(const char *address)
{
	struct slice host = slice_from_string(address);

	while (host.length && address[host.length - 1] != ':')
		host.length--;
	host.length -= host.length > 0;
	if (host.length >= 2 && address[0] == '[' && address[host.length - 1] == ']')
		host = slice_of(address + 1, host.length - 2);
	return host;
}

static struct slice name_of(const struct session *s)
{
	if (s->matched_name.length && s->matched_name.data[0] != '.')
		return s->matched_name;
	return slice_from_string(s->answered);
}

static void add(struct connection_facts *f, struct slice user, struct slice host)
{
	size_t i = f->action.pair_count;

	if (host.length == 0)
		return;
	/* What is longer is no name that could be matched for sure. */
	f->pairs[i].state = user.length + host.length + 2 > sizeof(f->objects[i]) ? OBJECT_UNKNOWN
										  : OBJECT_KNOWN;
	snprintf(f->objects[i], sizeof(f->objects[i]), "%.*s@%.*s", SLICE_PRINT(user),
		SLICE_PRINT(host));
	f->pairs[i].operation = OPERATION_CONNECT;
	f->pairs[i].object = slice_from_string(f->objects[i]);
	f->action.pair_count++;
}

void connection_describe(const struct session *s, struct connection_facts *ret)
{
	const struct policy *p = policy_scope_policy(s->scope);
	enum protocol_id protocol = policy_scope_subject(s->scope)->protocol;

	*ret = (struct connection_facts){.pairs = {{.operation = OPERATION_CONNECT}}};
	ret->action = (struct action){
		.protocol = protocol,
		.pairs = ret->pairs,
		.text = slice_from_string(s->address),
	};
	if (protocol == PROTOCOL_SSH && s->resource != POLICY_EGRESS) {
		struct slice user = p->resources[s->resource].login_user;
		struct slice name = name_of(s), host = host_of(s->address);

		add(ret, user, name);
		if (!slice_equal(name, host))
			add(ret, user, host);
	}
	if (ret->action.pair_count == 0)
		ret->action.pair_count = 1;
}
