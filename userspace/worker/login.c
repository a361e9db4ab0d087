/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/login.h"

#include <stdio.h>
#include <unistd.h>

static struct protocol_credentials credentials_of(const struct session *s)
{
	const struct policy_resource *resource = upstream_resource(s);

	if (!resource || resource->login == LOGIN_AS_AGENT)
		return (struct protocol_credentials){0};
	return (struct protocol_credentials){
		.given = true,
		.password = resource->login == LOGIN_PASSWORD,
		.allow_cleartext = resource->allow_cleartext,
		.user = resource->login_user,
	};
}

/* "wayleave:AGENT", or "wayleave:AGENT:PRINCIPAL" where there is one. */
static struct slice identity_of(struct session *s)
{
	const struct policy_resource *resource = upstream_resource(s);
	struct slice principal = policy_scope_subject(s->scope)->principal->name;

	if (!resource || !resource->names_identity)
		return SLICE_EMPTY;
	snprintf(s->identity, sizeof(s->identity), "wayleave:%.*s%s%.*s",
		SLICE_PRINT(s->agent->name), principal.length ? ":" : "", SLICE_PRINT(principal));
	return slice_from_string(s->identity);
}

void login_prepare(struct session *s)
{
	s->host.credentials = credentials_of(s);
	s->host.identity = identity_of(s);
}

static void on_proven(void *context, int status, struct slice answer, int fd)
{
	struct session *s = context;

	if (fd >= 0)
		close(fd);
	s->outstanding--;
	/* Another engine, that asked for none, may have taken over. */
	if (s->state != SESSION_OPEN || !s->engine->protocol->proven)
		return;
	s->engine->protocol->proven(s->engine, status, answer);
	pipe_go_on(s);
	session_touch(s);
}

void login_prove(struct session *s, const struct protocol_proof *proof)
{
	const struct policy_resource *r = upstream_resource(s);
	struct slice resource = r ? r->name : SLICE_EMPTY;
	struct message_proof head = {
		.kind = proof->kind, .resource_length = (uint32_t)resource.length};
	struct buffer text;

	buffer_init(&text, MESSAGE_PROOF_MOST);
	if (buffer_append_slice(&text, resource) < 0 ||
		buffer_append_slice(&text, proof->challenge) < 0) {
		session_abort(s, REASON_INTERNAL, "%s", "a challenge too long to be asked for");
	} else {
		s->outstanding++;
		channel_ask(&s->worker->channel, MESSAGE_PROOF, &head, sizeof(head),
			buffer_slice(&text), -1, on_proven, s);
	}
	buffer_done(&text);
}
