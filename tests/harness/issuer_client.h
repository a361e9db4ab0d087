/* SPDX-License-Identifier: Apache-2.0
 *
 * issuer_client: in place of broker/client.c, for one file: what would be sent to an issuer is
 * kept, and the test answers it. Included by programs that link the broker without its client.
 */
#ifndef WAYLEAVE_TESTS_HARNESS_ISSUER_CLIENT_H
#define WAYLEAVE_TESTS_HARNESS_ISSUER_CLIENT_H

#include <stdlib.h>

#include "base/memory.h"
#include "broker/client.h"

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

#endif
