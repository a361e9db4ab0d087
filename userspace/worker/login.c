/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/login.h"

#include <stdio.h>
#include <unistd.h>

static struct protocol_credentials credentials_of(const struct session *s)
{
	static const enum secret_place places[LOGIN_COUNT] = {
		[LOGIN_BEARER] = SECRET_IN_BEARER,
		[LOGIN_BASIC] = SECRET_IN_BASIC,
		[LOGIN_HEADER] = SECRET_IN_HEADER,
		[LOGIN_QUERY] = SECRET_IN_QUERY,
	};
	const struct policy_resource *resource = upstream_resource(s);

	if (!resource || resource->login == LOGIN_AS_AGENT)
		return (struct protocol_credentials){0};
	return (struct protocol_credentials){
		.place = places[resource->login],
		.name = resource->login_name,
		.impersonates = resource->login_impersonates,
		.given = true,
		.password = resource->login == LOGIN_PASSWORD,
		.proven_only = s->tunnelled,
		/* A proxy is nobody whom the administrator has allowed to read it. */
		.allow_cleartext = resource->allow_cleartext && !s->tunnelled,
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

static int ask(
	struct session *s, enum proof_kind kind, struct slice challenge, channel_reply *reply)
{
	const struct policy_resource *r = upstream_resource(s);
	struct slice resource = r ? r->name : SLICE_EMPTY;
	struct message_proof head = {.kind = kind, .resource_length = (uint32_t)resource.length};
	struct buffer text;
	int error;

	buffer_init(&text, MESSAGE_PROOF_MOST);
	error = buffer_append_slice(&text, resource);
	if (error == 0)
		error = buffer_append_slice(&text, challenge);
	if (error == 0) {
		s->outstanding++;
		channel_ask(&s->worker->channel, MESSAGE_PROOF, &head, sizeof(head),
			buffer_slice(&text), s->legs[SIDE_SERVER].fd, reply, s);
	}
	buffer_done(&text);
	return error;
}

void login_prove(struct session *s, const struct protocol_proof *proof)
{
	if (ask(s, proof->kind, proof->challenge, on_proven) < 0)
		session_abort(s, REASON_INTERNAL, "%s", "a challenge too long to be asked for");
}

static void on_signed(void *context, int status, struct slice signature, int fd)
{
	struct session *s = context;

	if (fd >= 0)
		close(fd);
	s->outstanding--;
	/* Also where the session has ended: a handshake that stands still must come to its end. */
	tls_signed(&s->legs[SIDE_SERVER],
		status == 0 && s->state == SESSION_OPEN ? signature : SLICE_EMPTY);
	session_touch(s);
	pipe_go_on(s);
	session_touch(s);
}

int login_sign(struct leg *leg, const struct proof_signature *wanted)
{
	const struct message_signature head = {wanted->digest, wanted->padding};
	struct buffer challenge;
	int error;

	buffer_init(&challenge, sizeof(head) + PROOF_SIGNED_MOST);
	error = buffer_append(&challenge, &head, sizeof(head));
	if (error == 0)
		error = buffer_append_slice(&challenge, wanted->text);
	if (error == 0)
		error = ask(leg->owner, PROOF_SIGNATURE, buffer_slice(&challenge), on_signed);
	buffer_done(&challenge);
	return error;
}
