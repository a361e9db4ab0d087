/* SPDX-License-Identifier: Apache-2.0
 *
 * What agents ask name servers over TCP: sessions whose engine frames it (protocol/dns_stream.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "policy/pinned.h"
#include "policy/scope.h"
#include "worker/lookups.h"
#include "worker/lookups_internal.h"

bool lookups_is_stream(const struct session *s)
{
	struct address address;

	/* What another session carries leads to what has that address there. */
	if (s->flow || s->inner.is || s->beyond.length || s->origin.port != DNS_PORT ||
		s->origin.family == AF_UNIX || s->agent->udp == UDP_DENY)
		return false;
	memcpy(address.bytes, s->origin.address, sizeof(address.bytes));
	return pinned_is_resolver(s->worker->pinned, &address);
}

uint32_t lookups_resource(const struct session *s)
{
	return lookups_find_resource(s->worker->policy, s->origin.address, s->origin.port);
}

int lookups_check_stream(struct session *s, const struct action *action, struct buffer *text)
{
	const char *problem = NULL;
	char name[DNS_NAME_SIZE];

	snprintf(name, sizeof(name), "%.*s", SLICE_PRINT(action->pairs[0].object));
	if (!lookups_may_ask(s->worker, s->agent->id))
		problem = "too many queries to name servers";
	else if (dns_name_is_random(name, LIMIT_LOOKUP_RUN) &&
		!policy_has_name(policy_scope_policy(s->scope), slice_from_string(name)))
		problem = "the name looks like encoded data";
	if (!problem)
		return 0;
	refusal_text(REASON_LIMIT, slice_from_string(problem), text);
	return -EPERM;
}

void lookups_judge_stream(const struct session *s, struct verdict *verdict)
{
	if (s->resource != POLICY_EGRESS)
		return;
	if (verdict->kind == VERDICT_REVIEW ||
		(verdict->kind == VERDICT_DENY && verdict->reason == REASON_NOT_COVERED))
		*verdict = (struct verdict){.kind = VERDICT_ALLOW,
			.outcome = &scope_no_outcome,
			.enforced = verdict->enforced};
}

static void on_stream_pinned(void *context, int status, struct slice payload, int fd)
{
	struct session *s = context;

	(void)status;
	(void)payload;
	(void)fd;
	s->outstanding--;
	if (s->state != SESSION_OPEN || !s->engine->protocol->pinned)
		return;
	s->engine->protocol->pinned(s->engine);
	pipe_go_on(s);
	session_touch(s);
}

void lookups_pin(struct session *s, const struct dns_message *m)
{
	struct message_pin request = {.agent = s->agent->id};

	if (!m->address_count ||
		!policy_needs_answers(s->worker->policy, slice_from_string(m->name))) {
		s->engine->protocol->pinned(s->engine);
		return;
	}
	memcpy(request.server, s->origin.address, sizeof(request.server));
	s->outstanding++;
	lookups_ask_to_pin(s->worker, &request, m, on_stream_pinned, s);
}
