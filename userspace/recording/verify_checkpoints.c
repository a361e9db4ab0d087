/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoints: their signatures, and the heads that they vouch for.
 */
#include <errno.h>
#include <unistd.h>

#include "base/memory.h"
#include "recording/verify_internal.h"

static const struct identifier host = {CHECKPOINTS_INCARNATION};

static bool wrong(struct error *e, const char *why)
{
	error_set(e, -EBADMSG, "%s", why);
	return false;
}

/* The heads of a checkpoint, encoded one behind the other as they were signed. */
static int collect_heads(const struct entry *entry, struct buffer *ret)
{
	int r = 0;

	for (size_t i = 0; i < entry->count && r == 0; i++) {
		if (entry->items[i].field != FIELD_HEAD)
			continue;
		if (entry->items[i].bytes.length != STREAM_HEAD_SIZE)
			return -EBADMSG;
		r = buffer_append_slice(ret, entry->items[i].bytes);
	}
	return r;
}

static bool signature_is_good(struct verify *v, const uint8_t *previous, const struct entry *entry,
	struct slice heads, struct error *e)
{
	struct slice key = entry_bytes(entry, FIELD_KEY);
	struct buffer message;
	bool good;

	if (!slice_equal(key, slice_of(v->options->key->id, KEY_ID_SIZE)))
		return wrong(e, "the checkpoint is signed with another key");
	buffer_init(&message, 2 * LIMIT_RECORD_PAYLOAD);
	good = checkpoint_message(previous, entry->sequence, entry->time, heads, &message) == 0 &&
		signing_verify(v->options->key, buffer_slice(&message),
			entry_bytes(entry, FIELD_SIGNATURE));
	buffer_done(&message);
	return good || wrong(e, "the checkpoint's signature is wrong");
}

/* Later checkpoints replace what earlier ones said: chain values cover all before them. */
static bool adopt_heads(struct verify *v, uint64_t checkpoint, struct slice heads, struct error *e)
{
	for (; heads.length; heads = slice_from(heads, STREAM_HEAD_SIZE)) {
		struct segment_name name = {0};
		struct stream_head head;
		struct verify_fact *fact;

		if (stream_head_decode(
			    slice_head(heads, STREAM_HEAD_SIZE), &name.incarnation, &head) < 0)
			return wrong(e, "a head in the checkpoint makes no sense");
		name.kind = (enum stream_kind)head.kind;
		name.segment = head.segment;
		fact = verify_fact_get(v, &name);
		if (head.bytes < fact->head.bytes)
			return wrong(e, "the checkpoint goes back behind an earlier one");
		fact->head = head;
		fact->checkpoint = checkpoint;
	}
	return true;
}

static bool visit_checkpoint(struct verify *v, const struct reader *reader, const uint8_t *previous,
	const struct entry *entry, struct error *e)
{
	struct buffer heads;
	bool good;

	if (entry->type != RECORD_CHECKPOINT)
		return true;
	buffer_init(&heads, LIMIT_RECORD_PAYLOAD);
	if (collect_heads(entry, &heads) < 0)
		good = wrong(e, "a head in the checkpoint makes no sense");
	else
		good = signature_is_good(v, previous, entry, buffer_slice(&heads), e) &&
			adopt_heads(v, entry->sequence, buffer_slice(&heads), e);
	buffer_done(&heads);
	if (!good)
		return false;
	v->summary.checkpoints++;
	v->summary.checkpoint_number = entry->sequence;
	v->summary.checkpoint_time = entry->time;
	memcpy(v->summary.checkpoint_hash, reader->chain, HASH_SIZE);
	if (entry->sequence == v->options->anchor_number) {
		v->anchor_met = true;
		if (memcmp(reader->chain, v->options->anchor_hash, HASH_SIZE) != 0)
			return wrong(
				e, "the checkpoint is not the one of that number that was kept");
	}
	return true;
}

static struct stream_head *heads_add(struct stream_head *heads, size_t *count,
	const struct segment_name *name, const struct field_item *item)
{
	struct segment_name other = {0};
	struct stream_head head;

	if (item->field != FIELD_HEAD ||
		stream_head_decode(item->bytes, &other.incarnation, &head) < 0)
		return heads;
	other.kind = (enum stream_kind)head.kind;
	if (!segment_is_same_stream(&other, name) || head.segment != name->segment)
		return heads;
	if ((*count & (*count - 1)) == 0)
		heads = memory_resize_array(heads, *count ? *count * 2 : 1, sizeof(*heads));
	heads[(*count)++] = head;
	return heads;
}

size_t verify_heads_of(struct verify *v, const struct segment_name *name, struct stream_head **ret)
{
	const struct segment_file *file =
		segment_list_find(&v->audit, &host, STREAM_CHECKPOINTS, 1);
	struct stream_head *heads = NULL;
	size_t count = 0;

	for (; file; file = segment_list_next(&v->audit, file)) {
		int fd = segment_open(v->options->audit_folder, &file->name);
		enum reader_status status;
		struct reader reader;
		struct entry entry;

		if (fd < 0)
			continue;
		status = reader_open(&reader, fd, false, false);
		while (status == READER_RECORD &&
			(status = reader_next(&reader, &entry)) == READER_RECORD) {
			for (size_t i = 0; i < entry.count; i++)
				heads = heads_add(heads, &count, name, &entry.items[i]);
		}
		reader_close(&reader);
		close(fd);
	}
	*ret = heads;
	return count;
}

void verify_checkpoints(struct verify *v)
{
	const struct segment_file *first =
		segment_list_find(&v->audit, &host, STREAM_CHECKPOINTS, 1);
	struct segment_name name = {.incarnation = host, .kind = STREAM_CHECKPOINTS, .segment = 1};

	if (!first)
		verify_report_file(
			v, &name, "there are no checkpoints: nothing vouches for the log");
	else
		verify_stream(v, &v->audit, first, visit_checkpoint);
	v->checkpoints_end = v->end;
	if (first && v->options->anchor_number && !v->anchor_met)
		verify_report_file(v, &name, "the checkpoint that was kept is missing");
}
