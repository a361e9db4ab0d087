/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream: its segments in order.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "recording/verify_internal.h"

struct walk {
	struct verify *v;
	const struct segment_list *files;
	const struct segment_file *file; /* the segment in hand */
	uint64_t size; /* of it, in bytes, when it was opened: the list is older than the log */
	bool compressed; /* … by then */
	verify_visit *visit;
	struct verify_finding finding;
	struct reader reader;
	struct segment_header next; /* of the next segment; segment 0 = there is none */
	const struct verify_fact *fact; /* about the segment in hand; or NULL */
	bool head_met, link_met;
	bool ended; /* the last record was SEGMENT_END … */
	bool stopped; /* … of the stream */
	bool superseded; /* behind what the next segment counts */
	struct stream_head previous; /* how the last segment ended for the next one's header */
	bool previous_known;
	struct verify_end end; /* of the last segment that has a header */
};

static bool walk_broken(struct walk *w, uint64_t record, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static bool walk_broken(struct walk *w, uint64_t record, uint64_t offset, const char *format, ...)
{
	va_list arguments;

	w->finding.state = VERIFY_BROKEN;
	w->finding.name = w->file->name;
	w->finding.record = record;
	w->finding.offset = offset;
	va_start(arguments, format);
	vsnprintf(w->finding.text, sizeof(w->finding.text), format, arguments);
	va_end(arguments);
	return false;
}

static int walk_open(const struct walk *w, const struct segment_name *name, bool *ret_compressed)
{
	int folder = stream_is_chained(name->kind) ? w->v->options->audit_folder
						   : w->v->options->recordings_folder;

	return segment_open_now(folder, name, ret_compressed);
}

/* Whether retention deleted a segment between these two. */
static bool walk_has_deleted(const struct walk *w, const struct segment_name *from, uint32_t to)
{
	struct segment_name name = *from;

	if (stream_is_chained(name.kind))
		return false;
	for (name.segment++; name.segment < to; name.segment++) {
		const struct verify_fact *fact = verify_fact_find(w->v, &name);

		if (fact && fact->is_deleted)
			return true;
	}
	return false;
}

static bool header_is_of(const struct segment_header *h, const struct segment_name *name)
{
	return strcmp(h->incarnation.text, name->incarnation.text) == 0 && h->kind == name->kind &&
		h->segment == name->segment;
}

/* The header of the next segment that has one: it says how much of this one counts. One that holds
 * another segment says nothing of this one, and is reported itself. */
static void walk_look_ahead(struct walk *w)
{
	const struct segment_file *file = segment_list_next(w->files, w->file);
	struct reader reader;
	bool found = false, compressed;
	int fd;

	w->next = (struct segment_header){0};
	for (; file && !found; file = segment_list_next(w->files, file)) {
		if (walk_has_deleted(w, &w->file->name, file->name.segment))
			return;
		fd = walk_open(w, &file->name, &compressed);
		if (fd < 0)
			continue;
		found = reader_open(&reader, fd, compressed, false) == READER_RECORD;
		if (found && header_is_of(&reader.header, &file->name))
			w->next = reader.header;
		reader_close(&reader);
		close(fd);
	}
}

static bool walk_check_header(struct walk *w)
{
	const struct segment_header *h = &w->reader.header;
	const struct segment_name *name = &w->file->name;

	if (!header_is_of(h, name))
		return walk_broken(w, 0, 0, "the file holds another segment: %s.%s.%u",
			h->incarnation.text, stream_kind_name(h->kind), h->segment);
	if (!w->previous_known)
		return true;
	/* A segment whose number was lost to a failure leaves a hole that the link closes. */
	if (h->previous.sequence != w->previous.sequence ||
		h->previous.bytes != w->previous.bytes ||
		memcmp(h->previous.hash, w->previous.hash, HASH_SIZE) != 0)
		return walk_broken(w, 0, 0, "it does not follow the segment before it");
	return true;
}

/* Records between two segments are missing only where a GAP record says that they were lost. */
static bool walk_check_first(struct walk *w, const struct entry *entry)
{
	const struct segment_header *h = &w->reader.header;

	if (h->first_sequence == h->previous.sequence + 1)
		return true;
	if (entry->type == RECORD_GAP && entry_number(entry, FIELD_LAST) == h->first_sequence - 1)
		return true;
	return walk_broken(w, entry->sequence, entry->offset,
		"records before it are missing, and it is no note of a failure to record");
}

/* The chain holds, but up to record `bad` it is another one than a checkpoint, or the next segment,
 * vouches for: earlier checkpoints tell where it began to be. */
static bool walk_narrow(struct walk *w, uint64_t bad)
{
	struct stream_head *heads, here;
	size_t count = verify_heads_of(w->v, &w->file->name, &heads), i = 0;
	uint64_t good = w->reader.header.first_sequence - 1;
	struct reader reader;
	struct entry entry;
	bool differs = false, compressed;
	int fd = walk_open(w, &w->file->name, &compressed);

	if (fd >= 0 && reader_open(&reader, fd, compressed, true) == READER_RECORD) {
		while (!differs && i < count && reader_next(&reader, &entry) == READER_RECORD) {
			if (entry.sequence != heads[i].sequence)
				continue;
			reader_head(&reader, &here);
			differs = memcmp(&here, &heads[i], sizeof(here)) != 0;
			*(differs ? &bad : &good) = heads[i].sequence;
			i++;
		}
	}
	if (fd >= 0) {
		reader_close(&reader);
		close(fd);
	}
	free(heads);
	return walk_broken(w, good + 1, 0,
		"it was written anew: other records %llu to %llu are vouched for",
		(unsigned long long)good + 1, (unsigned long long)bad);
}

/* Behind each record, and behind the header: is this what a checkpoint, or the next segment, names?
 */
static bool walk_compare(struct walk *w)
{
	const struct stream_head *signed_head = w->fact ? &w->fact->head : NULL;
	struct stream_head here;

	if (signed_head && signed_head->bytes && w->reader.sequence == signed_head->sequence &&
		w->reader.offset >= signed_head->bytes && !w->head_met) {
		reader_head(&w->reader, &here);
		if (here.bytes != signed_head->bytes ||
			memcmp(here.hash, signed_head->hash, HASH_SIZE) != 0)
			return walk_narrow(w, signed_head->sequence);
		w->head_met = true;
	}
	if (w->next.segment && w->reader.offset == w->next.previous.bytes) {
		reader_head(&w->reader, &here);
		if (here.sequence != w->next.previous.sequence ||
			memcmp(here.hash, w->next.previous.hash, HASH_SIZE) != 0)
			return walk_narrow(w, here.sequence);
		w->link_met = true;
		w->previous = here;
	}
	return true;
}

/* Whoever writes the last record of a segment writes no more there. */
static const char behind_the_end[] = "something was added behind the segment's end";

static bool walk_visit(struct walk *w, const uint8_t *previous, const struct entry *entry)
{
	struct error e;

	if (w->reader.count == 1 && !walk_check_first(w, entry))
		return false;
	if (w->ended)
		return walk_broken(w, entry->sequence, entry->offset, "%s", behind_the_end);
	w->ended = entry->type == RECORD_SEGMENT_END;
	w->stopped =
		w->ended && slice_equal_string(entry_bytes(entry, FIELD_DETAIL), SEGMENT_STOPPED);
	w->superseded = w->link_met;
	if (!w->superseded)
		w->finding.records++;
	if (w->visit && !w->visit(w->v, &w->reader, previous, entry, &e))
		return walk_broken(w, entry->sequence, entry->offset, "%s", e.text);
	return true;
}

/* A crash tears the last record: the header of one behind it can't stand in what is left. */
static bool walk_is_torn(const struct walk *w)
{
	struct slice rest = buffer_slice(&w->reader.window);
	uint8_t later[8];

	if (rest.length <= RECORD_HEADER_SIZE || !stream_is_chained(w->file->name.kind))
		return true;
	bytes_put_u64(later, w->reader.sequence + 2);
	rest = slice_from(rest, RECORD_HEADER_SIZE);
	return !memmem(rest.data, rest.length, later, sizeof(later));
}

/* How a segment ended that can be read to its end. */
static bool walk_check_end(struct walk *w, enum reader_status status)
{
	const struct verify_fact *fact = w->fact;
	const struct reader *r = &w->reader;

	if (w->ended && status != READER_END)
		return walk_broken(w, r->sequence + 1, r->offset, "%s", behind_the_end);
	/* Bytes behind what the next segment counts are what a failed write left. */
	if (status == READER_BROKEN && !w->link_met)
		return walk_broken(w, r->sequence + 1, r->offset, "%s", r->problem.text);
	if (fact && fact->head.bytes && !w->head_met)
		return walk_broken(w, r->sequence + 1, r->offset,
			"it is cut off: a checkpoint vouches for records up to %llu",
			(unsigned long long)fact->head.sequence);
	if (fact && !w->compressed && w->size < fact->sealed_bytes)
		return walk_broken(w, r->sequence + 1, r->offset,
			"it is cut off: it had %llu bytes when its writer was gone, now %llu",
			(unsigned long long)fact->sealed_bytes, (unsigned long long)w->size);
	if (w->next.segment && !w->link_met)
		return walk_broken(w, r->sequence + 1, r->offset,
			"it is cut off, or the next segment is not its own: that counts %llu "
			"records",
			(unsigned long long)w->next.previous.sequence);
	if (status == READER_TORN && !w->next.segment && !walk_is_torn(w))
		return walk_broken(w, r->sequence + 1, r->offset, "its length was changed");
	if (status == READER_TORN && !w->next.segment)
		snprintf(w->finding.text, sizeof(w->finding.text),
			"a record that was being written at byte %llu is torn",
			(unsigned long long)r->offset);
	return true;
}

static bool walk_read(struct walk *w)
{
	enum reader_status status;
	uint8_t previous[HASH_SIZE];
	struct entry entry;

	if (!walk_check_header(w) || !walk_compare(w))
		return false;
	w->previous_known = false;
	do {
		memcpy(previous, w->reader.chain, HASH_SIZE);
		status = reader_next(&w->reader, &entry);
		if (status == READER_RECORD &&
			(!walk_visit(w, previous, &entry) || !walk_compare(w)))
			return false;
	} while (status == READER_RECORD);
	w->previous_known = w->link_met;
	return walk_check_end(w, status);
}

static bool walk_segment(struct walk *w)
{
	enum reader_status status;
	int fd = walk_open(w, &w->file->name, &w->compressed);
	struct stat file;
	bool ok = true;

	/* Retention took it since the folder was read. */
	if (fd == -ENOENT && !stream_is_chained(w->file->name.kind))
		return true;
	if (fd < 0)
		return walk_broken(w, 0, 0, "it can't be opened: %s", strerrordesc_np(-fd));
	w->size = fstat(fd, &file) < 0 ? 0 : (uint64_t)file.st_size;
	w->fact = verify_fact_find(w->v, &w->file->name);
	w->head_met = w->link_met = w->ended = w->stopped = false;
	walk_look_ahead(w);
	status = reader_open(&w->reader, fd, w->compressed, true);
	if (status == READER_RECORD) {
		w->finding.segments++;
		ok = walk_read(w);
		w->end = (struct verify_end){.name = w->file->name,
			.first = w->reader.header.first_sequence,
			.sequence = w->reader.sequence,
			.offset = w->reader.offset,
			.stopped = w->stopped,
			.is_signed = w->head_met && w->fact->head.sequence == w->reader.sequence};
		if (w->head_met)
			w->finding.signed_records = w->fact->head.sequence;
	} else if (status == READER_BROKEN) {
		ok = walk_broken(w, 0, 0, "%s", w->reader.problem.text);
	} else if (w->fact && (w->fact->head.bytes || w->fact->sealed_bytes > w->size)) {
		ok = walk_broken(w, 0, 0, "its content is gone");
	} else if (status == READER_TORN) {
		snprintf(w->finding.text, sizeof(w->finding.text), "its header is torn");
	}
	reader_close(&w->reader);
	close(fd);
	return ok;
}

bool verify_stream(struct verify *v, const struct segment_list *files,
	const struct segment_file *first, verify_visit *visit)
{
	struct walk w = {.v = v, .files = files, .visit = visit, .finding = {.name = first->name}};
	bool ok = true;

	/* The first segment follows nothing, unless retention took what it followed. */
	w.previous_known = stream_is_chained(first->name.kind) || first->name.segment == 1;
	for (w.file = first; ok && w.file; w.file = segment_list_next(files, w.file)) {
		w.finding.text[0] = '\0';
		ok = walk_segment(&w);
	}
	/* A checkpoint is signed itself. */
	if (first->name.kind == STREAM_CHECKPOINTS)
		w.finding.signed_records = v->summary.checkpoint_number;
	if (ok && verify_is_live(v, &first->name.incarnation)) {
		w.finding.state = VERIFY_LIVE;
		w.finding.text[0] = '\0';
	} else if (ok && !w.stopped) {
		w.finding.state = VERIFY_CRASHED;
	}
	v->end = w.end;
	verify_report(v, &w.finding);
	return ok;
}
