/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/recordings.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "monitor/control.h"
#include "recording/store.h"

#define LIVE_FILE_MOST (1u << 20)

/* ---- the folders ---- */

static int open_folder(const char *verb, const char *state_dir, const char *name, int *ret)
{
	char *path = memory_format("%s/%s", state_dir, name);
	int status = CLI_DONE;

	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0)
		status = cli_fail(verb, CLI_REFUSED, "%s: %s", path, strerrordesc_np(errno));
	free(path);
	return status;
}

/* Names of incarnations, each with a NUL, instead of those in *ret. */
static void read_names(struct slice names, struct identifier **ret, size_t *ret_count)
{
	free(*ret);
	*ret = NULL;
	*ret_count = 0;
	while (names.length) {
		size_t length = strnlen((const char *)names.data, names.length);
		struct identifier id = {{0}};

		if (length < sizeof(id.text)) {
			memcpy(id.text, names.data, length);
			*ret = memory_resize_array(*ret, *ret_count + 1, sizeof(id));
			(*ret)[(*ret_count)++] = id;
		}
		names = slice_from(names, length + 1);
	}
}

/* No file: all have ended in order. */
static void read_unburied(const char *state_dir, struct cli_recordings *r)
{
	char *path = memory_format("%s/%s", state_dir, STORE_LIVE_FILE);
	struct buffer names;

	buffer_init(&names, LIVE_FILE_MOST);
	if (file_read(path, &names, NULL) == 0)
		read_names(buffer_slice(&names), &r->unburied, &r->unburied_count);
	buffer_done(&names);
	free(path);
}

/* Stores the descriptors in ret_fds, of which there must be two. */
static int ask_daemon(
	const struct cli *cli, struct cli_recordings *r, int ret_fds[2], struct error *e)
{
	int fds[CONTROL_DESCRIPTORS_MOST];
	struct control_client client;
	struct buffer payload;
	size_t count = 0;
	int n = control_open(&client, cli->socket, e);

	if (n < 0)
		return n;
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	n = control_call(&client, CONTROL_RECORDINGS, SLICE_EMPTY, &payload, fds, &count, e);
	control_close(&client);
	if (n == 0 && count == 2) {
		read_names(buffer_slice(&payload), &r->live, &r->live_count);
		memcpy(ret_fds, fds, 2 * sizeof(*fds));
	} else {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		if (n == 0)
			n = error_set(
				e, -EBADMSG, "the daemon sent %zu folders instead of 2", count);
	}
	buffer_done(&payload);
	return n;
}

int cli_recordings_open(
	const struct cli *cli, const char *verb, const char *state_dir, struct cli_recordings *ret)
{
	struct cli_recordings r = {.recordings_folder = -1, .audit_folder = -1};
	int fds[2], status;
	struct error e;

	if (!state_dir) {
		if (ask_daemon(cli, &r, fds, &e) < 0)
			return cli_fail(verb, CLI_REFUSED,
				"%s (--state-dir DIR reads without the daemon)", e.text);
		r.recordings_folder = fds[0];
		r.audit_folder = fds[1];
		*ret = r;
		return CLI_DONE;
	}
	status = open_folder(verb, state_dir, STORE_RECORDINGS_FOLDER, &r.recordings_folder);
	if (status == CLI_DONE)
		status = open_folder(verb, state_dir, STORE_AUDIT_FOLDER, &r.audit_folder);
	read_unburied(state_dir, &r);
	if (status == CLI_DONE)
		*ret = r;
	else
		cli_recordings_close(&r);
	return status;
}

void cli_recordings_close(struct cli_recordings *r)
{
	if (r->recordings_folder >= 0)
		close(r->recordings_folder);
	if (r->audit_folder >= 0)
		close(r->audit_folder);
	free(r->live);
	free(r->unburied);
}

void cli_recordings_refresh(const struct cli *cli, const char *state_dir, struct cli_recordings *r)
{
	int fds[2];

	if (state_dir)
		return;
	if (ask_daemon(cli, r, fds, NULL) < 0) {
		read_names(SLICE_EMPTY, &r->live, &r->live_count);
		return;
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- options and times ---- */

static const struct cli_option *find_option(
	const char *word, const struct cli_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(word, options[i].name) == 0)
			return &options[i];
	}
	return NULL;
}

int cli_take_options(int argc, char **argv, const struct cli_option *options, size_t count)
{
	int kept = 1, i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const struct cli_option *option = find_option(argv[i], options, count);

		if (!option && argv[i][0] == '-' && argv[i][1])
			return -1;
		if (!option)
			argv[kept++] = argv[i];
		else if (option->flag)
			*option->flag = true;
		else if (i + 1 < argc)
			*option->value = argv[++i];
		else
			return -1;
	}
	for (i++; i < argc; i++)
		argv[kept++] = argv[i];
	return kept - 1;
}

int cli_parse_time(const char *text, uint64_t *ret)
{
	static const char *const forms[] = {
		"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"};
	uint64_t back, now = clock_wall();

	if (text_to_duration(slice_from_string(text), &back) == 0) {
		*ret = back < now ? now - back : 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm parts = {0};
		const char *end = strptime(text, forms[i], &parts);
		time_t seconds;

		if (!end || *end)
			continue;
		seconds = timegm(&parts);
		if (seconds < 0)
			return -EINVAL;
		*ret = (uint64_t)seconds * NANOSECONDS_PER_SECOND;
		return 0;
	}
	return -EINVAL;
}

/* ---- text ---- */

#define PRINTED_MOST (64u << 20)

/* Visible, in new memory that the caller frees with buffer_done(). */
static void make_visible(struct slice text, struct buffer *ret)
{
	buffer_init(ret, PRINTED_MOST);
	if (text_append_visible(ret, text) < 0) {
		buffer_clear(ret);
		buffer_append_string(ret, "(too long to be shown)");
	}
}

/* Nearly everything is: then nothing need be looked up or copied. */
static bool is_plain(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < 0x20 || text.data[i] > 0x7e)
			return false;
	}
	return true;
}

void cli_append_line(struct buffer *b, struct slice text)
{
	struct buffer visible;

	make_visible(text, &visible);
	for (size_t i = 0; i < buffer_length(&visible); i++) {
		uint8_t c = buffer_slice(&visible).data[i];

		if (c == '\n' || c == '\t')
			buffer_append_string(b, c == '\n' ? "\\n" : "\\t");
		else
			buffer_append_byte(b, c);
	}
	buffer_done(&visible);
}

void cli_print_line(FILE *out, struct slice text)
{
	struct buffer line;

	if (is_plain(text)) {
		fprintf(out, "%.*s", SLICE_PRINT(text));
		return;
	}
	buffer_init(&line, 2 * PRINTED_MOST);
	cli_append_line(&line, text);
	fprintf(out, "%.*s", SLICE_PRINT(buffer_slice(&line)));
	buffer_done(&line);
}

size_t cli_line_width(struct slice text)
{
	struct buffer visible;
	size_t width = 0;

	if (is_plain(text))
		return text.length;
	make_visible(text, &visible);
	for (size_t i = 0; i < buffer_length(&visible); i++) {
		uint8_t c = buffer_slice(&visible).data[i];

		/* Continuation bytes take no column; wide characters are not looked up. */
		width += (c & 0xc0) != 0x80;
		width += c == '\n' || c == '\t';
	}
	buffer_done(&visible);
	return width;
}

void cli_print_cell(struct slice text, size_t width)
{
	size_t used = cli_line_width(text);

	cli_print_line(stdout, text);
	printf("%*s  ", used < width ? (int)(width - used) : 0, "");
}

void cli_print_names(const cJSON *names)
{
	const char *separator = "";
	const cJSON *name;

	cJSON_ArrayForEach(name, names)
	{
		fputs(separator, stdout);
		cli_print_line(stdout, slice_from_string(cJSON_GetStringValue(name)));
		separator = ", ";
	}
}

/* How far a tab goes the terminal decides, and what it pushes beyond the edge is not seen. */
static void append_untabbed(struct buffer *b, struct slice line)
{
	for (size_t i = 0; i < line.length; i++) {
		if (line.data[i] == '\t')
			buffer_append_string(b, "\\x09");
		else
			buffer_append_byte(b, line.data[i]);
	}
}

void cli_append_block(struct buffer *b, struct slice text, const char *indent)
{
	struct buffer visible;
	struct slice rest;

	make_visible(text, &visible);
	rest = buffer_slice(&visible);
	while (rest.length) {
		const uint8_t *end = memchr(rest.data, '\n', rest.length);
		size_t length = end ? (size_t)(end - rest.data) : rest.length;

		buffer_append_string(b, indent);
		append_untabbed(b, slice_head(rest, length));
		buffer_append_byte(b, '\n');
		rest = slice_from(rest, length + 1);
	}
	buffer_done(&visible);
}

void cli_print_block(FILE *out, struct slice text, const char *indent)
{
	struct buffer block;

	buffer_init(&block, 5 * PRINTED_MOST);
	cli_append_block(&block, text, indent);
	if (text.length)
		fwrite(buffer_slice(&block).data, 1, buffer_length(&block), out);
	else
		fprintf(out, "%s\n", indent);
	buffer_done(&block);
}

void cli_print_count(FILE *out, uint64_t count, const char *noun)
{
	fprintf(out, "%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

void cli_print_time(FILE *out, uint64_t time)
{
	char text[32];

	text_from_time(time, text);
	fputs(text, out);
}
