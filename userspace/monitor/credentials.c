/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/credentials.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/jobs.h"
#include "base/limits.h"
#include "base/locked.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "monitor/client_proof.h"
#include "monitor/monitor.h"
#include "monitor/salted.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/scram.h"
#include "protocol/credentials.h"

/* PostgreSQL cuts names at 63 bytes; a longer one is not this user's. */
#define USER_MOST 256
#define THREAD_STACK (256u << 10)

/* One resource's proofs, in the order in which they were asked for; only the first is made. */
struct line {
	struct list link; /* in credentials.lines, while it is not empty */
	struct list proofs;
	unsigned count;
	char resource[64];
};

/* Lies in locked memory as a whole. */
struct proof {
	struct job job;
	struct list link; /* in line.proofs */
	struct credentials *credentials;
	struct line *line;
	/* Who asked: a worker that was started anew is another one. */
	struct monitor_worker *worker;
	struct identifier incarnation;
	uint64_t id;

	/* What the thread reads, … */
	enum proof_kind kind;
	char file[PATH_MAX];
	char user[USER_MOST];
	uint8_t salt[PG_MD5_SALT];
	struct scram_exchange scram;
	struct proof_signature signature; /* client_proof_done() */
	/* … and what it makes. */
	int result;
	struct error error;
	uint8_t secret[LIMIT_SECRET_BYTES];
	size_t secret_length;
	union {
		struct scram_proof scram;
		char md5[PG_MD5_ANSWER + 1];
		uint8_t signature[CLIENT_PROOF_MOST];
	} answer;
	size_t signature_length;
};

/* How many a worker may ask for in a second. */
struct pace {
	uint64_t second;
	unsigned count, loans;
};

struct credentials {
	struct monitor *monitor;
	struct jobs *jobs;
	struct loop_source source;
	struct list lines;
	struct salted *salted; /* the thread's */
	struct pace paces[MONITOR_WORKERS_MOST];
};

/* --- on the thread --- */

static int prove_scram(struct proof *p)
{
	struct scram_keys keys;
	int r = salted_keys(
		p->credentials->salted, &p->scram, slice_of(p->secret, p->secret_length), &keys);

	if (r == 0)
		r = scram_prove(&p->scram, &keys, &p->answer.scram);
	memory_wipe(&keys, sizeof(keys));
	return r;
}

static void prove_by_password(struct proof *p)
{
	p->result = secret_file_read(
		p->file, p->secret, sizeof(p->secret), &p->secret_length, &p->error);
	if (p->result < 0)
		return;
	switch (p->kind) {
	case PROOF_SCRAM:
		p->result = prove_scram(p);
		break;
	case PROOF_POSTGRES_MD5:
		p->result = pg_md5_answer(slice_of(p->secret, p->secret_length),
			slice_from_string(p->user), p->salt, p->answer.md5);
		break;
	default:
		break;
	}
	if (p->result < 0)
		error_set_errno(&p->error, p->result, "the library for cryptography");
	if (p->kind != PROOF_PASSWORD)
		memory_wipe(p->secret, sizeof(p->secret));
}

static void run_proof(struct job *job)
{
	struct proof *p = container_of(job, struct proof, job);

	if (p->kind == PROOF_SIGNATURE)
		p->result = client_proof_make(&p->signature, p->file, p->answer.signature,
			&p->signature_length, &p->error);
	else
		prove_by_password(p);
}

/* --- lines --- */

static struct line *find_line(struct credentials *c, const char *resource)
{
	struct line *line;

	list_for_each (position, &c->lines) {
		line = list_entry(position, struct line, link);
		if (strcmp(line->resource, resource) == 0)
			return line;
	}
	line = memory_new(sizeof(*line));
	list_init(&line->proofs);
	memcpy(line->resource, resource, strlen(resource) + 1);
	list_append(&c->lines, &line->link);
	return line;
}

static void run_first(struct credentials *c, struct line *line)
{
	if (line->count == 0) {
		list_remove(&line->link);
		free(line);
		return;
	}
	jobs_add(c->jobs, &list_entry(line->proofs.next, struct proof, link)->job);
}

static struct slice answer_of(const struct proof *p)
{
	switch (p->kind) {
	case PROOF_SCRAM:
		return slice_of(&p->answer.scram, sizeof(p->answer.scram));
	case PROOF_POSTGRES_MD5:
		return slice_of(p->answer.md5, PG_MD5_ANSWER);
	case PROOF_SIGNATURE:
		return slice_of(p->answer.signature, p->signature_length);
	default:
		return slice_of(p->secret, p->secret_length);
	}
}

/* The agent is not told of files. */
static void answer(const struct proof *p)
{
	static const char unreadable[] =
		"the resource's credentials can't be used (the log of wayleaved says why)";

	if (p->result < 0)
		log_error(
			"the credentials of resource \"%s\": %s", p->line->resource, p->error.text);
	if (memcmp(&p->worker->incarnation, &p->incarnation, sizeof(p->incarnation)) != 0)
		return;
	requests_reply(p->worker, MESSAGE_PROOF, p->id, p->result,
		p->result < 0 ? slice_from_string(unreadable) : answer_of(p), -1);
}

static void on_proof_made(struct job *job)
{
	struct proof *p = container_of(job, struct proof, job);
	struct line *line = p->line;

	list_remove(&p->link);
	line->count--;
	answer(p);
	run_first(p->credentials, line);
	client_proof_done(&p->signature);
	locked_free(p, sizeof(*p));
}

static void on_jobs(struct loop_source *source)
{
	struct credentials *c = source->context;

	jobs_finish(c->jobs);
}

int credentials_new(struct monitor *m, struct credentials **ret)
{
	struct credentials *c = memory_new(sizeof(*c));
	int r = jobs_new(THREAD_STACK, &c->jobs);

	if (r < 0) {
		free(c);
		return r;
	}
	c->monitor = m;
	c->salted = salted_new();
	list_init(&c->lines);
	*ret = c;
	return loop_add(&m->loop, &c->source, jobs_event(c->jobs), on_jobs, c);
}

/* --- asking --- */

static bool is_too_fast(struct credentials *c, const struct monitor_worker *w, uint32_t kind)
{
	struct pace *pace = &c->paces[w->index];
	uint64_t second = clock_monotonic() / NANOSECONDS_PER_SECOND;

	if (pace->second != second)
		*pace = (struct pace){.second = second};
	/* A loan costs a small file's reading. */
	if (kind == PROOF_PASSWORD)
		return ++pace->loans > LIMIT_LOANS_PER_SECOND;
	return ++pace->count > LIMIT_PROOFS_PER_SECOND;
}

/* Whether the password itself may be lent: only where what was configured can lead to a server
 * that gets it in clear. That this one does, the worker says. */
static bool may_lend(const struct config_resource *r)
{
	if (r->allow_cleartext)
		return true;
	return !r->tls ||
		(r->tls->upstream.value != TLS_UPSTREAM_OFF &&
			r->tls->upstream.value != TLS_UPSTREAM_REQUIRE);
}

/* The challenge is a peer's: looked at for form alone. */
static int take_challenge(struct proof *p, struct slice challenge)
{
	switch (p->kind) {
	case PROOF_PASSWORD:
		return challenge.length == 0 ? 0 : -EINVAL;
	case PROOF_POSTGRES_MD5:
		if (challenge.length != sizeof(p->salt))
			return -EINVAL;
		memcpy(p->salt, challenge.data, sizeof(p->salt));
		return 0;
	case PROOF_SIGNATURE:
		return client_proof_take(challenge, &p->signature);
	default:
		if (challenge.length != sizeof(p->scram))
			return -EINVAL;
		memcpy(&p->scram, challenge.data, sizeof(p->scram));
		return scram_exchange_is_sound(&p->scram) ? 0 : -EINVAL;
	}
}

/* What is shown in each request. */
static const char *token_file(const struct config_credentials *c)
{
	if (c->header)
		return c->header->value_file.text;
	if (c->query)
		return c->query->value_file.text;
	return c->bearer_file.text ? c->bearer_file.text : c->basic_file.text;
}

/* The file with the secret of such proofs; NULL: the resource makes none. */
static const char *secret_file(const struct config_resource *r, uint32_t kind)
{
	bool http = r->protocol.value == PROTOCOL_HTTP || r->protocol.value == PROTOCOL_KUBERNETES;

	if (!r->credentials || (!http && r->protocol.value != PROTOCOL_POSTGRES))
		return NULL;
	if (kind == PROOF_SIGNATURE)
		return r->credentials->client_key_file.text;
	if (!http)
		return r->credentials->password_file.text;
	return kind == PROOF_PASSWORD ? token_file(r->credentials) : NULL;
}

/* NULL: no such resource. */
static const struct config_resource *find_resource(const struct config *c, struct slice name)
{
	char text[64];

	if (name.length == 0 || name.length >= sizeof(text) || memchr(name.data, 0, name.length))
		return NULL;
	memcpy(text, name.data, name.length);
	text[name.length] = '\0';
	return config_find_resource(c, text);
}

static int queue(struct credentials *c, struct monitor_worker *w,
	const struct message_proof *message, const struct config_resource *r,
	struct slice challenge)
{
	struct line *line = find_line(c, r->name.text);
	struct proof *p;

	if (line->count >= LIMIT_PROOFS_WAITING)
		return -EBUSY;
	p = locked_new(sizeof(*p));
	p->kind = (enum proof_kind)message->kind;
	if (take_challenge(p, challenge) < 0) {
		locked_free(p, sizeof(*p));
		if (line->count == 0)
			run_first(c, line);
		return -EINVAL;
	}
	p->job.run = run_proof;
	p->job.done = on_proof_made;
	p->credentials = c;
	p->line = line;
	p->worker = w;
	p->incarnation = w->incarnation;
	p->id = message->id;
	snprintf(p->file, sizeof(p->file), "%s", secret_file(r, message->kind));
	if (r->credentials->user.text)
		snprintf(p->user, sizeof(p->user), "%s", r->credentials->user.text);
	list_append(&line->proofs, &p->link);
	if (line->count++ == 0)
		run_first(c, line);
	return 0;
}

static int ask(struct monitor_worker *w, const struct message_proof *message, struct slice rest)
{
	struct credentials *c = w->monitor->credentials;
	const struct config_resource *r;

	if (message->kind >= PROOF_KIND_COUNT || message->resource_length > rest.length)
		return -EINVAL;
	r = find_resource(w->monitor->config, slice_head(rest, message->resource_length));
	if (!r || !secret_file(r, message->kind))
		return -ENOENT;
	if (message->kind == PROOF_PASSWORD && !may_lend(r))
		return -EPERM;
	if (is_too_fast(c, w, message->kind))
		return -EBUSY;
	return queue(c, w, message, r, slice_from(rest, message->resource_length));
}

static const char *refusal_text(int error)
{
	switch (error) {
	case -EBUSY:
		return "too many logins at once";
	case -ENOENT:
		return "the resource has no credentials any more";
	case -EPERM:
		return "the configuration lets this password not be sent in clear";
	case -EACCES:
		return "the server is a process of an agent's, or can't be found";
	case REQUESTS_LOST_DESCRIPTOR:
		return "the daemon has no room to see who the server is";
	default:
		return "the server's challenge is not one that is answered";
	}
}

/* Whoever binds a server's place on this host while that is not up. */
static int check_server(struct monitor_worker *w, int server)
{
	uint32_t agent = 0;

	if (server < 0)
		return server == REQUESTS_LOST_DESCRIPTOR ? server : 0;
	return capture_find_peer(w->monitor->capture, server, &agent) == 0 && !agent ? 0 : -EACCES;
}

void credentials_ask(struct monitor_worker *w, struct slice request, int server)
{
	struct message_proof message;
	int r;

	memcpy(&message, request.data, sizeof(message));
	r = check_server(w, server);
	if (r == 0)
		r = ask(w, &message, slice_from(request, sizeof(message)));
	if (r == 0)
		return;
	if (r != -EBUSY && r != -ENOENT)
		log_error("worker %u asked for a proof that it can't have", w->index);
	requests_reply(w, MESSAGE_PROOF, message.id, r, slice_from_string(refusal_text(r)), -1);
}
