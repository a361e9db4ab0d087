/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/memory.h"

#define CONNECT_TIME 5000L /* milliseconds */

struct client {
	CURLM *multi;
	struct list posts;
};

struct post {
	struct list link;
	CURL *easy;
	struct curl_slist *headers;
	struct buffer body;
	char *body_sent;
	client_done *done;
	void *context;
	char problem[CURL_ERROR_SIZE];
};

int client_new(struct client **ret, struct error *e)
{
	struct client *c;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(e, -EIO, "libcurl can't be started");
	c = memory_new(sizeof(*c));
	list_init(&c->posts);
	c->multi = curl_multi_init();
	if (!c->multi) {
		free(c);
		return error_set(e, -ENOMEM, "libcurl can't be started");
	}
	*ret = c;
	return 0;
}

static void post_free(struct client *c, struct post *p)
{
	curl_multi_remove_handle(c->multi, p->easy);
	curl_easy_cleanup(p->easy);
	curl_slist_free_all(p->headers);
	buffer_wipe(&p->body);
	list_remove(&p->link);
	/* The headers, which libcurl has freed, held tokens; what was posted may have held one. */
	if (p->body_sent)
		memory_wipe(p->body_sent, strlen(p->body_sent));
	free(p->body_sent);
	free(p);
}

/* An answer that is too long ends the transfer. */
static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct post *p = context;

	return buffer_append(&p->body, data, size * count) < 0 ? 0 : size * count;
}

static void add_secret_header(struct post *p, const char *name, const char *value)
{
	char *line = memory_format("%s: %s", name, value);

	p->headers = curl_slist_append(p->headers, line);
	memory_wipe(line, strlen(line));
	free(line);
}

static void set_headers(struct post *p, const struct client_request *request)
{
	/* Its default would have us wait a second for "100 Continue". */
	p->headers = curl_slist_append(NULL, "Expect:");
	if (request->body)
		add_secret_header(p, "Content-Type", request->content_type);
	if (request->authorization)
		add_secret_header(p, "Authorization", request->authorization);
}

static void set_options(struct post *p, const struct client_request *request)
{
	struct curl_blob ca = {.flags = CURL_BLOB_COPY};
	CURL *easy = p->easy;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(
		easy, CURLOPT_PROTOCOLS_STR, request->https_alone ? "https" : "http,https");
	if (request->body)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, p->body_sent);
	if (request->ca) {
		ca.data = (void *)request->ca;
		ca.len = strlen(request->ca);
		curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, p->headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, p);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, p->problem);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, p);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIME);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)CLIENT_TIME_MOST);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* Who asks a name server for an address can't be interrupted: a transfer that is given up
	 * meanwhile would have all of us wait for its thread to end. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "wayleave");
}

void client_send(
	struct client *c, const struct client_request *request, client_done *done, void *context)
{
	struct post *p = memory_new(sizeof(*p));

	p->done = done;
	p->context = context;
	p->body_sent = request->body ? memory_copy_string(request->body) : NULL;
	buffer_init(&p->body, request->answer_most);
	list_append(&c->posts, &p->link);
	p->easy = curl_easy_init();
	if (!p->easy)
		memory_exhausted(0);
	set_headers(p, request);
	set_options(p, request);
	curl_multi_add_handle(c->multi, p->easy);
}

void client_post(struct client *c, const char *url, const char *bearer, const char *json,
	client_done *done, void *context)
{
	char *authorization = bearer && *bearer ? memory_format("Bearer %s", bearer) : NULL;
	const struct client_request request = {
		.url = url,
		.body = json,
		.content_type = "application/json; charset=utf-8",
		.authorization = authorization,
		.answer_most = CLIENT_ANSWER_MOST,
	};

	client_send(c, &request, done, context);
	if (authorization)
		memory_wipe(authorization, strlen(authorization));
	free(authorization);
}

static void finish(struct client *c, struct post *p, CURLcode code)
{
	struct client_answer answer = {.body = buffer_slice(&p->body)};
	curl_off_t retry_after = 0;
	long status = 0;

	if (code != CURLE_OK)
		answer.problem = p->problem[0] ? p->problem : curl_easy_strerror(code);
	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(p->easy, CURLINFO_RETRY_AFTER, &retry_after);
	answer.status = (unsigned)status;
	answer.retry_after = retry_after > 0 ? (uint64_t)retry_after : 0;
	p->done(p->context, &answer);
	post_free(c, p);
}

void client_turn(struct client *c, struct pollfd *more, unsigned count, int milliseconds)
{
	struct curl_waitfd extra[CLIENT_POLL_MOST];
	int running, left;
	CURLMsg *message;

	for (unsigned i = 0; i < count; i++)
		extra[i] = (struct curl_waitfd){.fd = more[i].fd, .events = CURL_WAIT_POLLIN};
	curl_multi_poll(c->multi, extra, count, milliseconds, NULL);
	for (unsigned i = 0; i < count; i++)
		more[i].revents = extra[i].revents;
	curl_multi_perform(c->multi, &running);
	while ((message = curl_multi_info_read(c->multi, &left))) {
		struct post *p = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &p);
		finish(c, p, message->data.result);
	}
}
