/* SPDX-License-Identifier: Apache-2.0
 *
 * issuer_client: in place of broker/client.c, for one file: what would be sent to an issuer is
 * kept, and the test answers it. Included by programs that link the broker without its client.
 */
#ifndef WAYLEAVE_TESTS_HARNESS_ISSUER_CLIENT_H
#define WAYLEAVE_TESTS_HARNESS_ISSUER_CLIENT_H

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "broker/openid.h"
#include "tests/harness/tokens.h"

#define ISSUER_URL "https://idp.example"
#define ISSUER_KEYS_MAX_AGE (24 * 3600)

/* The newest request; url NULL: there is none, or it was answered. */
static struct {
	char *url, *body;
	bool https_alone;
	client_done *done;
	void *context;
} issuer_asked;

static inline void issuer_asked_forget(void)
{
	free(issuer_asked.url);
	free(issuer_asked.body);
	issuer_asked.url = issuer_asked.body = NULL;
}

static inline void issuer_answer(const struct client_answer *answer)
{
	client_done *done = issuer_asked.done;

	issuer_asked_forget();
	done(issuer_asked.context, answer);
}

void client_send(
	struct client *c, const struct client_request *request, client_done *done, void *context)
{
	(void)c;
	issuer_asked_forget();
	issuer_asked.url = memory_copy_string(request->url);
	issuer_asked.body = request->body ? memory_copy_string(request->body) : NULL;
	issuer_asked.https_alone = request->https_alone;
	issuer_asked.done = done;
	issuer_asked.context = context;
}

int client_new(struct client **ret, struct error *e)
{
	(void)e;
	*ret = NULL;
	return 0;
}

void client_post(struct client *c, const char *url, const char *bearer, const char *json,
	client_done *done, void *context)
{
	(void)bearer;
	client_send(c, &(struct client_request){.url = url, .body = json}, done, context);
}

void client_turn(struct client *c, struct pollfd *more, unsigned count, int milliseconds)
{
	(void)c;
	(void)more;
	(void)count;
	(void)milliseconds;
}

/* --- an issuer --- */

static struct openid o;
static struct issuer issuer;
static int monitor; /* its end */
static EVP_PKEY *issuer_key;
static char *issuer_keys; /* the document */

static inline void issuer_setup(void)
{
	int pair[2];
	char *jwk;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	monitor = pair[1];
	issuer_key = tokens_make_ec("P-256");
	jwk = tokens_jwk(issuer_key, "k", "");
	issuer_keys = memory_format("{\"keys\":[%s]}", jwk);
	free(jwk);
	o = (struct openid){.channel = pair[0], .issuers = &issuer, .issuer_count = 1};
	issuer = (struct issuer){
		.owner = &o,
		.name = "idp",
		.rules = {.issuer = ISSUER_URL,
			.audience = "api://wayleave",
			.groups_claim = "groups",
			.algorithms = ALGORITHMS_ALL},
		.keys_max_age = ISSUER_KEYS_MAX_AGE,
		.fetched = openid_now(),
		.discovered = true,
		.token_endpoint = memory_copy_string(ISSUER_URL "/token"),
		.device_endpoint = memory_copy_string(ISSUER_URL "/device"),
		.login_client = "wayleave",
		.fetch_at = UINT64_MAX,
	};
	if (jwks_parse(slice_from_string(issuer_keys), &issuer.keys, NULL) < 0)
		abort();
	list_init(&o.logins);
	list_init(&o.runs);
}

static inline void issuer_teardown(void)
{
	issuer_asked_forget();
	jwks_free(issuer.keys);
	free(issuer_keys);
	free(issuer.token_endpoint);
	free(issuer.device_endpoint);
	EVP_PKEY_free(issuer_key);
	close(o.channel);
	close(monitor);
}

/* A token with these claims, as ES256; for free(). */
static inline char *issuer_sign(const char *claims)
{
	return tokens_sign(ALGORITHM_ES256, issuer_key,
		slice_from_string("{\"alg\":\"ES256\",\"kid\":\"k\"}"), slice_from_string(claims));
}

#endif
