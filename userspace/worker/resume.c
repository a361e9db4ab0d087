/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/resume.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

#define KEPT_MOST 32 /* names of one context */
#define KEPT_TIME 600 /* seconds: so late a certificate that was withdrawn is noticed */
#define NAME_MOST 256

struct kept {
	char name[NAME_MOST];
	SSL_SESSION *session; /* reference */
};

struct cache {
	struct kept items[KEPT_MOST];
	unsigned next; /* where the next name goes */
};

static int cache_index = -1, name_index = -1;

static void free_cache(
	void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct cache *c = pointer;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	for (unsigned i = 0; c && i < KEPT_MOST; i++)
		SSL_SESSION_free(c->items[i].session);
	free(c);
}

static void free_name(
	void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	free(pointer);
}

static struct kept *find(struct cache *c, const char *name)
{
	for (unsigned i = 0; i < KEPT_MOST; i++) {
		if (c->items[i].session && strcmp(c->items[i].name, name) == 0)
			return &c->items[i];
	}
	return NULL;
}

/* 1: the session is ours now. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct cache *c = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), cache_index);
	const char *name = SSL_get_ex_data(ssl, name_index);
	struct kept *kept;

	if (!c || !name || !SSL_SESSION_is_resumable(session))
		return 0;
	kept = find(c, name);
	if (!kept)
		kept = &c->items[c->next++ % KEPT_MOST];
	SSL_SESSION_free(kept->session);
	kept->session = session;
	snprintf(kept->name, sizeof(kept->name), "%s", name);
	return 1;
}

static struct cache *cache_of(SSL_CTX *context)
{
	struct cache *c;

	if (cache_index < 0) {
		cache_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_cache);
		name_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_name);
	}
	c = SSL_CTX_get_ex_data(context, cache_index);
	if (c)
		return c;
	c = memory_new(sizeof(*c));
	SSL_CTX_set_ex_data(context, cache_index, c);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_new_session);
	return c;
}

void resume_prepare(SSL *ssl, const char *name)
{
	struct cache *c = cache_of(SSL_get_SSL_CTX(ssl));
	struct kept *kept;

	if (strlen(name) >= NAME_MOST)
		return;
	kept = find(c, name);
	SSL_set_ex_data(ssl, name_index, memory_copy_string(name));
	if (kept && time(NULL) - SSL_SESSION_get_time(kept->session) < KEPT_TIME)
		SSL_set_session(ssl, kept->session);
}
