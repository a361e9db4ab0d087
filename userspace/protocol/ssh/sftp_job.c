/* SPDX-License-Identifier: Apache-2.0
 *
 * A path means what the host makes of it, links and all, so the host is asked first (REALPATH), and
 * the request is sent on with the path that was judged. The name that the agent wrote must be
 * allowed as well: a rule that forbids a folder is meant for the links in it too.
 */
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/sftp_internal.h"

#define TEXT_MOST (4 * SFTP_PATH_MOST)
#define FOUND_MOST (2 * SFTP_PATH_MOST)

static const char letters[SFTP_PLACES_MOST] = {'p', 'q'};

void sftp_job_done(struct sftp *s)
{
	struct sftp_job *job = &s->job;

	for (size_t i = 0; i < SFTP_PLACES_MOST; i++) {
		buffer_done(&job->places[i].written);
		buffer_done(&job->places[i].found);
	}
	buffer_done(&job->packet);
	buffer_done(&job->file_name);
	buffer_done(&job->answer);
	*job = (struct sftp_job){.step = SFTP_STEP_NONE};
}

static struct sftp_job *reset(struct sftp *s)
{
	struct sftp_job *job = &s->job;

	sftp_job_done(s);
	buffer_init(&job->packet, SFTP_LENGTH_SIZE + SFTP_HIGH);
	buffer_init(&job->file_name, FOUND_MOST);
	buffer_init(&job->answer, SFTP_HIGH);
	for (size_t i = 0; i < SFTP_PLACES_MOST; i++) {
		buffer_init(&job->places[i].written, FOUND_MOST);
		buffer_init(&job->places[i].found, FOUND_MOST);
	}
	return job;
}

/* --- sending it on, or not --- */

static int refuse(struct sftp *s, enum sftp_status status, const char *text)
{
	uint32_t id = s->job.request.id;

	sftp_job_done(s);
	return sftp_reply(s, id, status, text);
}

/* The host's answer to our question is that to the agent's. */
static int answer_with_found(struct sftp *s)
{
	struct sftp_job *job = &s->job;
	uint8_t head[SFTP_HEAD];
	int r;

	bytes_put_u32(head, (uint32_t)(SFTP_HEAD - SFTP_LENGTH_SIZE + buffer_length(&job->answer)));
	head[SFTP_LENGTH_SIZE] = SFTP_NAME;
	bytes_put_u32(head + SFTP_LENGTH_SIZE + 1, job->request.id);
	r = buffer_append(&s->replies, head, sizeof(head));
	if (r == 0)
		r = buffer_append_slice(&s->replies, buffer_slice(&job->answer));
	sftp_job_done(s);
	return r < 0 ? r : sftp_flush_replies(s);
}

static void finish_question(struct sftp *s, uint32_t status)
{
	const struct bridge_result result = {
		.status = status, .signal = slice_from_string(sftp_status_name(status))};

	if (s->job.question)
		s->host->done(s->host, s->job.question, &result);
	s->job.question = 0;
}

static void expect_file(struct sftp *s, struct sftp_pending *p)
{
	struct sftp_request *request = &s->job.request;

	p->folder = request->kind->type == SFTP_OPENDIR;
	if (!p->folder) {
		p->readable = sftp_opens_to_read(request);
		p->writable = sftp_opens_to_write(request);
		p->appends = sftp_opens_to_append(request);
	}
	p->name = s->job.places[0].found;
	buffer_init(&s->job.places[0].found, FOUND_MOST);
	s->opening++;
}

static bool opens(const struct sftp_request *request)
{
	return request->kind->type == SFTP_OPEN || request->kind->type == SFTP_OPENDIR;
}

/* What a link holds is read each time that it is followed, so that a link on its way, which may
 * change, is none that was judged. */
static bool is_target_as_written(const struct sftp_job *job, size_t i)
{
	const struct sftp_place *place = &job->places[i];

	return job->request.kind->ways[i] == SFTP_WAY_TARGET &&
		slice_equal(buffer_slice(&place->written), buffer_slice(&place->found));
}

static int send_on(struct sftp *s)
{
	struct sftp_job *job = &s->job;
	struct sftp_pending *p;
	uint32_t id;
	int r;

	for (size_t i = 0; i < job->place_count; i++) {
		if (!is_target_as_written(job, i))
			*sftp_field(&job->request, letters[i]) =
				buffer_slice(&job->places[i].found);
	}
	p = sftp_expect(s, opens(&job->request) ? SFTP_AWAITED_OPEN : SFTP_AWAITED_ANSWER, &id);
	p->id = job->request.id;
	p->question = job->question;
	r = sftp_append_request(s->host->to[SIDE_SERVER], &job->request, id);
	if (opens(&job->request))
		expect_file(s, p);
	sftp_job_done(s);
	return r;
}

static bool is_question_alone(const struct sftp_kind *kind)
{
	return kind->type == SFTP_REALPATH || kind->ways[0] == SFTP_WAY_HOME;
}

/* What the host can't find is not looked for again: something may be there by now. */
static int go_on(struct sftp *s)
{
	struct sftp_job *job = &s->job;

	for (size_t i = 0; i < job->place_count; i++) {
		enum sftp_status status = (enum sftp_status)job->places[i].status;

		if (buffer_length(&job->places[i].found))
			continue;
		finish_question(s, status);
		return refuse(s, status, sftp_status_name(status));
	}
	if (!is_question_alone(job->request.kind))
		return send_on(s);
	finish_question(s, SFTP_OK);
	return answer_with_found(s);
}

int sftp_answer(struct sftp *s, bool allowed, struct slice text)
{
	char line[1024];
	int r;

	if (s->job.step != SFTP_STEP_ASKING)
		return -EBADMSG;
	snprintf(line, sizeof(line), "wayleave: %.*s", SLICE_PRINT(text));
	if (allowed) {
		r = go_on(s);
	} else {
		s->host->done(s->host, s->job.question, NULL);
		s->host->say(s->host, slice_from_string(line));
		r = refuse(s, SFTP_PERMISSION_DENIED, line);
	}
	return r < 0 ? r : sftp_take(s, SIDE_AGENT, SLICE_EMPTY);
}

/* --- asking --- */

/* What every client begins with, and no file's name is learnt by. */
static bool asks_for_home(struct sftp_job *job)
{
	struct slice path = *sftp_field(&job->request, 'p');

	return is_question_alone(job->request.kind) &&
		(path.length == 0 || slice_equal_string(path, ".") ||
			slice_equal_string(path, "~") || slice_equal_string(path, "~/"));
}

static int ask(struct sftp *s)
{
	struct bridge_deed deeds[SFTP_DEEDS_MOST];
	struct sftp_job *job = &s->job;
	struct buffer text;
	size_t count;
	int r;

	if (job->place_count && asks_for_home(job))
		return go_on(s);
	count = sftp_ask_deeds(job, deeds);
	buffer_init(&text, TEXT_MOST);
	r = sftp_ask_text(job, &text);
	job->step = SFTP_STEP_ASKING;
	if (r == 0 && job->question)
		s->host->repeat(s->host, job->question, deeds, count, buffer_slice(&text));
	else if (r == 0)
		job->question = s->host->ask(s->host, deeds, count, buffer_slice(&text));
	buffer_done(&text);
	if (r < 0 || job->question)
		return r;
	return refuse(s, SFTP_FAILURE, "wayleave: too many files are open");
}

/* --- finding --- */

static int find(struct sftp *s);

static int find_next(struct sftp *s)
{
	return ++s->job.at < s->job.place_count ? find(s) : ask(s);
}

/* Where a link will stand; its folder's path has no links. */
static struct slice folder_of_link(const struct sftp_job *job)
{
	struct slice folder = SLICE_EMPTY, name;

	path_split(buffer_slice(&job->places[0].found), &folder, &name);
	return folder;
}

/* A relative target stands behind that folder. */
static int append_target(const struct sftp_job *job, struct slice target, struct buffer *ret)
{
	struct slice folder = folder_of_link(job);

	if (target.length && target.data[0] == '/')
		return buffer_append_slice(ret, target);
	if (!folder.length)
		return -ENOENT;
	if (buffer_append_slice(ret, folder) < 0)
		return -E2BIG;
	return buffer_append_slice(ret, target);
}

/* The path that the host is asked for. */
static int append_wanted(struct sftp_job *job, struct sftp_place *place, struct buffer *ret)
{
	enum sftp_way way = job->request.kind->ways[job->at];
	struct slice folder;

	if (way == SFTP_WAY_TARGET)
		return append_target(job, place->given, ret);
	if (way != SFTP_WAY_HERE || !path_split(place->given, &folder, &place->name))
		return buffer_append_slice(ret, place->given);
	return folder.length ? buffer_append_slice(ret, folder) : buffer_append_string(ret, ".");
}

/* The place at job->at: the host is asked where it is. */
static int find(struct sftp *s)
{
	struct sftp_job *job = &s->job;
	enum sftp_way way = job->request.kind->ways[job->at];
	struct sftp_place *place = &job->places[job->at];
	struct sftp_pending *p;
	struct buffer wanted;
	uint32_t id;
	int r;

	buffer_init(&wanted, 3 * SFTP_PATH_MOST);
	place->given = *sftp_field(&job->request, letters[job->at]);
	r = append_wanted(job, place, &wanted);
	if (r == -ENOENT) {
		place->status = SFTP_NO_SUCH_FILE;
		buffer_done(&wanted);
		return find_next(s);
	}
	if (way == SFTP_WAY_TARGET)
		path_append_behind(folder_of_link(job), place->given, &place->written);
	else if (way != SFTP_WAY_HOME)
		path_append_absolute(buffer_slice(&s->home), place->given, &place->written);
	p = sftp_expect(s, SFTP_AWAITED_PLACE, &id);
	p->id = job->request.id;
	if (r == 0 && way == SFTP_WAY_HOME)
		r = sftp_append_request(s->host->to[SIDE_SERVER], &job->request, id);
	else if (r == 0)
		r = sftp_append_path_request(
			s->host->to[SIDE_SERVER], SFTP_REALPATH, id, buffer_slice(&wanted));
	buffer_done(&wanted);
	return r;
}

/* The one name of the answer, where it is one that policy can go by. */
static struct slice read_name(struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	uint32_t count = sftp_read_u32(&r);
	struct slice name = sftp_read_string(&r);

	if (r.bad || count != 1 || name.length > SFTP_PATH_MOST || !path_is_plain(name) ||
		memchr(name.data, '\0', name.length))
		return SLICE_EMPTY;
	return name;
}

static int take_name(struct sftp *s, struct slice packet)
{
	struct sftp_place *place = &s->job.places[s->job.at];
	struct slice name = read_name(packet);
	int r;

	if (!name.length) {
		place->status = SFTP_FAILURE;
		return 0;
	}
	r = buffer_append_slice(&s->job.answer, slice_from(packet, SFTP_HEAD));
	if (place->name.length && slice_equal_string(name, "/"))
		name = SLICE_EMPTY;
	if (r == 0)
		r = buffer_append_slice(&place->found, name);
	if (r == 0 && place->name.length)
		r = buffer_append_byte(&place->found, '/');
	return r < 0 ? r : buffer_append_slice(&place->found, place->name);
}

int sftp_job_found(struct sftp *s, struct slice packet)
{
	struct sftp_reader r = {.rest = slice_from(packet, SFTP_HEAD)};
	uint32_t status;
	int error = 0;

	if (packet.data[SFTP_LENGTH_SIZE] == SFTP_NAME) {
		error = take_name(s, packet);
	} else {
		status = sftp_read_u32(&r);
		if (status == SFTP_OK || status >= SFTP_STATUS_COUNT)
			status = SFTP_FAILURE;
		s->job.places[s->job.at].status = status;
	}
	if (error == 0)
		error = find_next(s);
	return error < 0 ? error : sftp_take(s, SIDE_AGENT, SLICE_EMPTY);
}

/* --- the beginning --- */

static int keep_packet(struct sftp *s, struct slice packet)
{
	struct sftp_job *job = reset(s);
	int r = buffer_append_slice(&job->packet, packet);

	/* Its slices are to be the copy's. */
	return r < 0 ? r : sftp_decode(buffer_slice(&job->packet), &job->request);
}

int sftp_job_begin(struct sftp *s, const struct sftp_request *request, struct slice packet)
{
	struct sftp_job *job = &s->job;
	int r;

	if (request->kind->type == SFTP_SYMLINK && !s->links_as_openssh)
		return sftp_reply(s, request->id, SFTP_OP_UNSUPPORTED,
			"wayleave: this host may read the paths in another order");
	r = keep_packet(s, packet);
	if (r < 0)
		return r;
	if (opens(request) && s->files.count + s->opening >= LIMIT_SFTP_FILES)
		return refuse(s, SFTP_FAILURE, "wayleave: too many files are open");
	job->step = SFTP_STEP_FINDING;
	job->place_count = sftp_has_field(request, 'q') ? 2 : 1;
	return find(s);
}

int sftp_job_begin_on_file(struct sftp *s, struct slice packet, const struct sftp_file *file)
{
	struct sftp_job *job = &s->job;
	int r = keep_packet(s, packet);

	if (r == 0)
		r = buffer_append_slice(&job->file_name, buffer_slice(&file->name));
	if (r < 0)
		return r;
	*sftp_field(&job->request, 'h') = slice_of(file->handle, file->handle_length);
	return ask(s);
}

/* An open file stays the same, whatever its name leads to by now. */
int sftp_again(struct sftp *s)
{
	struct sftp_job *job = &s->job;

	if (job->step != SFTP_STEP_ASKING)
		return -EBADMSG;
	if (!job->place_count)
		return ask(s);
	for (size_t i = 0; i < job->place_count; i++) {
		buffer_clear(&job->places[i].written);
		buffer_clear(&job->places[i].found);
		job->places[i].status = SFTP_OK;
	}
	buffer_clear(&job->answer);
	job->at = 0;
	job->step = SFTP_STEP_FINDING;
	return find(s);
}
