/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/scp_stream.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

#define LINE_MOST 4352u /* a name, and what stands before it */
#define FOLDERS_MOST 256u
#define PATH_MOST 16384u

enum step {
	STEP_LINE, /* of the source */
	STEP_ANSWER, /* the sink's, to a line of no file or folder */
	STEP_ENTER, /* to a folder's line */
	STEP_BEGIN, /* the sink's, to a file's line */
	STEP_DATA,
	STEP_STATUS, /* the source's, behind the data */
	STEP_RESULT, /* the sink's, to the file */
	STEP_LOST,
};

struct scp_stream {
	const char *verb;
	void (*note)(void *context, struct slice text);
	void *context;
	enum step step;
	bool complaint; /* of the sink, up to the end of its line */
	bool failed; /* the source could not read all of the file */
	struct buffer line;
	struct buffer path; /* of the folder; the file's name is behind it */
	size_t folders[FOLDERS_MOST]; /* where each name begins in `path` */
	size_t folder_count, name; /* where the file's begins */
	EVP_MD_CTX *digest;
	uint64_t size, left; /* of the file */
	unsigned told, untold;
};

struct scp_stream *scp_stream_new(
	const char *verb, void (*note)(void *context, struct slice text), void *context)
{
	struct scp_stream *s = memory_new(sizeof(*s));

	s->verb = verb;
	s->note = note;
	s->context = context;
	s->digest = EVP_MD_CTX_new();
	buffer_init(&s->line, LINE_MOST);
	buffer_init(&s->path, PATH_MOST);
	return s;
}

/* --- what is told --- */

static int put_digest(struct scp_stream *s, struct buffer *to)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE + 1];
	unsigned length;

	if (!s->digest || EVP_DigestFinal_ex(s->digest, digest, &length) != 1)
		return 0;
	text_to_hex(slice_of(digest, length), text);
	return buffer_append_format(to, ", sha256 %s", text);
}

/* `why`: it is not whole; NULL: it is. */
static void tell_file(struct scp_stream *s, const char *why)
{
	struct buffer text;

	if (s->told >= LIMIT_SCP_FILES) {
		s->untold++;
		return;
	}
	s->told++;
	buffer_init(&text, PATH_MOST + 512);
	if (why)
		buffer_append_format(&text, "%s %" PRIu64 " of %" PRIu64 " bytes, %s", s->verb,
			s->size - s->left, s->size, why);
	else if (buffer_append_format(&text, "%s %" PRIu64 " bytes", s->verb, s->size) == 0)
		put_digest(s, &text);
	buffer_append_string(&text, ": ");
	buffer_append_slice(&text, buffer_slice(&s->path));
	s->note(s->context, buffer_slice(&text));
	buffer_done(&text);
}

static void tell(struct scp_stream *s, const char *text)
{
	s->note(s->context, slice_from_string(text));
}

static bool has_file(const struct scp_stream *s)
{
	return s->step == STEP_DATA || s->step == STEP_STATUS || s->step == STEP_RESULT;
}

static void lose(struct scp_stream *s)
{
	if (s->step == STEP_LOST)
		return;
	if (has_file(s))
		tell_file(s, "and what came then is not understood");
	else
		tell(s, "what scp carries is not understood");
	s->step = STEP_LOST;
}

void scp_stream_end(struct scp_stream *s)
{
	char text[80];

	if (!s)
		return;
	if (has_file(s))
		tell_file(s, "not ended");
	if (s->untold) {
		snprintf(text, sizeof(text), "%s %u more files", s->verb, s->untold);
		tell(s, text);
	}
	EVP_MD_CTX_free(s->digest);
	buffer_done(&s->line);
	buffer_done(&s->path);
	free(s);
}

/* --- lines of the source --- */

/* "0644 5 name": what is behind the kind. */
static bool read_head(struct slice rest, uint64_t *ret_size, struct slice *ret_name)
{
	const uint8_t *space = rest.length ? memchr(rest.data, ' ', rest.length) : NULL;
	size_t mode = space ? (size_t)(space - rest.data) : 0;

	if (mode == 0)
		return false;
	rest = slice_from(rest, mode + 1);
	space = rest.length ? memchr(rest.data, ' ', rest.length) : NULL;
	if (!space ||
		text_to_number(slice_head(rest, (size_t)(space - rest.data)), INT64_MAX, ret_size) <
			0)
		return false;
	*ret_name = slice_from(rest, (size_t)(space - rest.data) + 1);
	return ret_name->length > 0;
}

/* Behind the folder's. */
static bool put_name(struct scp_stream *s, struct slice name)
{
	s->name = buffer_length(&s->path);
	return (s->name == 0 || buffer_append_byte(&s->path, '/') == 0) &&
		buffer_append_slice(&s->path, name) == 0;
}

static enum step begin_file(struct scp_stream *s, struct slice rest)
{
	struct slice name;

	if (!read_head(rest, &s->size, &name) || !put_name(s, name) || !s->digest ||
		EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL) != 1)
		return STEP_LOST;
	s->left = s->size;
	s->failed = false;
	return STEP_BEGIN;
}

static enum step enter_folder(struct scp_stream *s, struct slice rest)
{
	struct slice name;
	uint64_t size;

	if (s->folder_count == FOLDERS_MOST || !read_head(rest, &size, &name) || !put_name(s, name))
		return STEP_LOST;
	s->folders[s->folder_count++] = s->name;
	return STEP_ENTER;
}

static enum step leave_folder(struct scp_stream *s)
{
	if (s->folder_count == 0)
		return STEP_LOST;
	buffer_truncate(&s->path, s->folders[--s->folder_count]);
	return STEP_ANSWER;
}

static enum step take_line(struct scp_stream *s, struct slice line)
{
	switch (line.length ? line.data[0] : 0) {
	case 'C':
		return begin_file(s, slice_from(line, 1));
	case 'D':
		return enter_folder(s, slice_from(line, 1));
	case 'E':
		return leave_folder(s);
	case 'T':
		return STEP_ANSWER;
	case '\1': /* a file that it can't read; nobody answers */
	case '\2':
		return STEP_LINE;
	default:
		return STEP_LOST;
	}
}

/* How many bytes it took. */
static size_t read_line(struct scp_stream *s, struct slice bytes)
{
	const uint8_t *end = memchr(bytes.data, '\n', bytes.length);
	struct slice part = slice_head(bytes, end ? (size_t)(end - bytes.data) : bytes.length);
	enum step next;

	if (buffer_append_slice(&s->line, part) < 0) {
		lose(s);
		return bytes.length;
	}
	if (!end)
		return part.length;
	next = take_line(s, buffer_slice(&s->line));
	if (next == STEP_LOST)
		lose(s);
	s->step = next;
	buffer_clear(&s->line);
	return part.length + 1;
}

/* --- what it sends --- */

static size_t read_data(struct scp_stream *s, struct slice bytes)
{
	struct slice part = slice_head(bytes, bytes.length < s->left ? bytes.length : s->left);

	s->left -= part.length;
	if (EVP_DigestUpdate(s->digest, part.data, part.length) != 1)
		lose(s);
	else if (s->left == 0)
		s->step = STEP_STATUS;
	return part.length;
}

/* 0, or the line of a complaint: the file was not what it sent. */
static size_t read_status(struct scp_stream *s, struct slice bytes)
{
	const uint8_t *end;

	if (!s->failed && bytes.data[0] == 0) {
		s->step = STEP_RESULT;
		return 1;
	}
	if (!s->failed && bytes.data[0] != 1 && bytes.data[0] != 2) {
		lose(s);
		return bytes.length;
	}
	s->failed = true;
	end = memchr(bytes.data, '\n', bytes.length);
	if (!end)
		return bytes.length;
	s->step = STEP_RESULT;
	return (size_t)(end - bytes.data) + 1;
}

void scp_stream_from_source(struct scp_stream *s, struct slice bytes)
{
	while (bytes.length && s->step != STEP_LOST) {
		size_t taken = bytes.length;

		switch (s->step) {
		case STEP_LINE:
			taken = read_line(s, bytes);
			break;
		case STEP_DATA:
			taken = read_data(s, bytes);
			break;
		case STEP_STATUS:
			taken = read_status(s, bytes);
			break;
		default: /* it does not wait for its answer: which that is to, nobody knows */
			lose(s);
		}
		bytes = slice_from(bytes, taken);
	}
}

/* --- what the sink answers --- */

static void end_file(struct scp_stream *s, bool taken)
{
	if (!taken)
		tell_file(s, "not all taken");
	else if (s->failed)
		tell_file(s, "not all read");
	else
		tell_file(s, NULL);
	buffer_truncate(&s->path, s->name);
	s->step = STEP_LINE;
}

static void take_answer(struct scp_stream *s, bool good)
{
	switch (s->step) {
	case STEP_ANSWER:
		s->step = STEP_LINE;
		break;
	case STEP_ENTER: /* nor does the source */
		s->step = STEP_LINE;
		if (!good)
			buffer_truncate(&s->path, s->folders[--s->folder_count]);
		break;
	case STEP_BEGIN:
		s->step = !good ? STEP_LINE : s->left ? STEP_DATA : STEP_STATUS;
		if (!good)
			buffer_truncate(&s->path, s->name);
		break;
	case STEP_RESULT:
		end_file(s, good);
		break;
	default: /* that it is there, or can't go on */
		break;
	}
}

void scp_stream_from_sink(struct scp_stream *s, struct slice bytes)
{
	for (size_t i = 0; i < bytes.length && s->step != STEP_LOST; i++) {
		uint8_t c = bytes.data[i];

		if (s->complaint) {
			s->complaint = c != '\n';
			continue;
		}
		s->complaint = c != 0;
		take_answer(s, c == 0);
	}
}
