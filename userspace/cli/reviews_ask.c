/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/recordings.h"
#include "cli/reviews.h"

static cJSON *parse(int fd)
{
	cJSON *json = NULL;
	struct stat s;
	void *text;

	if (fstat(fd, &s) < 0 || s.st_size <= 0)
		return NULL;
	text = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text != MAP_FAILED) {
		json = cJSON_ParseWithLength(text, (size_t)s.st_size);
		munmap(text, (size_t)s.st_size);
	}
	return json;
}

int reviews_ask(struct control_client *client, enum control_request type, struct slice request,
	struct buffer *ret_payload, cJSON **ret, struct error *e)
{
	int fds[CONTROL_DESCRIPTORS_MOST], r;
	struct buffer payload;
	cJSON *json = NULL;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_call(client, type, request, &payload, fds, &count, e);
	if (r == 0 && count && !(json = parse(fds[0])))
		r = error_set(e, -EBADMSG, "the daemon's answer is malformed");
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	if (r == 0 && ret_payload)
		r = buffer_append_slice(ret_payload, buffer_slice(&payload));
	buffer_done(&payload);
	if (r == 0 && ret)
		*ret = json;
	else
		cJSON_Delete(json);
	return r;
}

int reviews_ask_once(const struct cli *cli, enum control_request type, struct slice request,
	cJSON **ret, struct error *e)
{
	struct control_client client;
	cJSON *json = NULL;
	int r = control_open(&client, cli->socket, e);

	if (r < 0)
		return r;
	r = reviews_ask(&client, type, request, NULL, &json, e);
	control_close(&client);
	if (r == 0 && ret && !json)
		r = error_set(e, -EBADMSG, "the daemon's answer is malformed");
	if (r == 0 && ret)
		*ret = json;
	else
		cJSON_Delete(json);
	return r;
}

int reviews_print_all(const struct cli *cli, const char *verb, enum control_request type,
	const char *heading, void (*print_row)(const cJSON *item))
{
	const cJSON *item;
	struct error e;
	cJSON *items;

	if (reviews_ask_once(cli, type, SLICE_EMPTY, &items, &e) < 0)
		return cli_fail(verb, CLI_REFUSED, "%s", e.text);
	if (cli->json) {
		cli_json_print(items);
		return CLI_DONE;
	}
	puts(heading);
	cJSON_ArrayForEach(item, items) print_row(item);
	cJSON_Delete(items);
	return CLI_DONE;
}

int reviews_tell(const struct cli *cli, const char *verb, enum control_request type,
	const char *name, const char *done)
{
	struct error e;

	if (reviews_ask_once(cli, type, slice_from_string(name), NULL, &e) < 0)
		return cli_fail(verb, CLI_REFUSED, "%s", e.text);
	if (cli->json)
		cli_json_print_line(cJSON_CreateObject());
	else
		printf("%s: %s\n", name, done);
	return CLI_DONE;
}

int reviews_decide(struct control_client *client, const char *id, bool approve, uint64_t grant,
	const char *reason, struct error *e)
{
	const struct control_decide head = {
		.grant = grant, .approve = approve, .id_length = (uint32_t)strlen(id)};
	struct buffer request, answer;
	int r;

	buffer_init(&request, CONTROL_PAYLOAD_MOST);
	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	r = buffer_append(&request, &head, sizeof(head));
	if (r == 0)
		r = buffer_append_string(&request, id);
	if (r == 0)
		r = buffer_append_string(&request, reason ? reason : "");
	if (r < 0)
		r = error_set(e, r, "the reason is too long");
	else
		r = reviews_ask(client, CONTROL_DECIDE, buffer_slice(&request), &answer, NULL, e);
	if (r == 0)
		r = slice_equal_string(buffer_slice(&answer), "counted");
	buffer_done(&answer);
	buffer_done(&request);
	return r;
}
