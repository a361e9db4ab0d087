/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/playback.h"

#include <errno.h>
#include <unistd.h>

void playback_init(struct playback *p, int recordings_folder, const struct session_summary *session)
{
	*p = (struct playback){.folder = recordings_folder,
		.incarnation = session->incarnation,
		.handle = session->handle,
		.segment = session->segment,
		.fd = -1};
}

static void playback_close(struct playback *p)
{
	if (p->fd < 0)
		return;
	reader_close(&p->reader);
	close(p->fd);
	p->fd = -1;
}

void playback_done(struct playback *p)
{
	playback_close(p);
}

/* The first segment that is there with at least this number, or NULL. */
static const struct segment_file *playback_find(
	const struct playback *p, const struct segment_list *files, uint32_t from)
{
	const struct segment_file *file =
		segment_list_find(files, &p->incarnation, STREAM_RECORDING, from);

	return file && file->duplicate ? segment_list_next(files, file) : file;
}

/* Leaves the segment in hand for the next one. */
static enum playback_status playback_leave(struct playback *p, const char *what, const char *why)
{
	error_set(&p->problem, 0, "segment %u of the recording %s%s", p->segment, what, why);
	playback_close(p);
	p->segment++;
	return PLAYBACK_MISSING;
}

/* Opens a segment. END: nothing is in it yet. */
static enum playback_status playback_open_file(struct playback *p, const struct segment_file *file)
{
	bool compressed;
	int fd = segment_open_now(p->folder, &file->name, &compressed);
	enum reader_status status;

	if (fd < 0)
		return playback_leave(p, "can't be opened: ", strerrordesc_np(-fd));
	p->fd = fd;
	status = reader_open(&p->reader, fd, compressed, false);
	if (status == READER_RECORD)
		return PLAYBACK_RECORD;
	if (status == READER_BROKEN)
		return playback_leave(p, "is damaged: ", p->reader.problem.text);
	playback_close(p);
	return PLAYBACK_END;
}

static enum playback_status playback_open_next(struct playback *p, const struct segment_list *files)
{
	const struct segment_file *file = playback_find(p, files, p->segment);

	/* One that got no content before its worker went on in another. */
	while (file && file->size < SEGMENT_HEADER_SIZE && segment_list_next(files, file)) {
		p->segment = file->name.segment + 1;
		file = segment_list_next(files, file);
	}
	if (!file)
		return PLAYBACK_END;
	if (p->segment && file->name.segment != p->segment) {
		playback_leave(p, "is not there any more", "");
		p->segment = file->name.segment;
		return PLAYBACK_MISSING;
	}
	p->segment = file->name.segment;
	return playback_open_file(p, file);
}

/* Opens the segment in turn. RECORD: it is open. END: it isn't there yet. */
static enum playback_status playback_open(struct playback *p)
{
	struct segment_list files;
	enum playback_status status;

	if (segment_list_load(&files, p->folder, &p->problem) < 0)
		return PLAYBACK_END;
	status = playback_open_next(p, &files);
	segment_list_done(&files);
	return status;
}

/* Whether the stream has a segment behind the one in hand, so that this one is finished. */
static bool playback_has_more(const struct playback *p)
{
	struct segment_list files;
	bool more;

	if (segment_list_load(&files, p->folder, NULL) < 0)
		return false;
	more = playback_find(p, &files, p->segment + 1) != NULL;
	segment_list_done(&files);
	return more;
}

/* The next record of the open segment that the caller wants. */
static enum reader_status playback_read(struct playback *p, struct entry *ret)
{
	enum reader_status status;

	do {
		status = reader_next(&p->reader, ret);
	} while (status == READER_RECORD && ret->type != RECORD_GAP &&
		entry_number(ret, FIELD_SESSION) != p->handle);
	return status;
}

/* Behind the session's end: the GAP record that says which of its last records were refused. It is
 * the first one there, in the same segment or in front of all else in the next. */
static enum playback_status playback_next_gap(struct playback *p, struct entry *ret)
{
	while (!p->done) {
		bool next = p->fd < 0;
		enum reader_status status = READER_END;

		if (next && playback_open(p) != PLAYBACK_RECORD)
			return PLAYBACK_END;
		do {
			status = reader_next(&p->reader, ret);
		} while (!next && status == READER_RECORD && ret->type != RECORD_GAP);
		if (status == READER_RECORD || next) {
			p->done = true;
			if (status == READER_RECORD && ret->type == RECORD_GAP &&
				entry_number(ret, FIELD_FIRST) <= p->end_sequence)
				return PLAYBACK_RECORD;
		} else if (playback_has_more(p)) {
			playback_close(p);
			p->segment++;
		} else {
			return PLAYBACK_END;
		}
	}
	return PLAYBACK_END;
}

enum playback_status playback_next(struct playback *p, struct entry *ret)
{
	while (!p->ended) {
		enum playback_status opened = p->fd < 0 ? playback_open(p) : PLAYBACK_RECORD;
		enum reader_status status;

		if (opened != PLAYBACK_RECORD)
			return opened;
		status = playback_read(p, ret);
		if (status == READER_END || status == READER_TORN) {
			if (!playback_has_more(p))
				return PLAYBACK_END;
			/* What was written between the two looks is still to be read. */
			status = playback_read(p, ret);
		}
		if (status == READER_BROKEN)
			return playback_leave(p, "is damaged: ", p->reader.problem.text);
		if (status == READER_RECORD) {
			p->ended = ret->type == RECORD_SESSION_END;
			p->end_sequence = ret->sequence;
			return PLAYBACK_RECORD;
		}
		playback_close(p);
		p->segment++;
	}
	return playback_next_gap(p, ret);
}
