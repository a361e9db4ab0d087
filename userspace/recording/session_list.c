/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/session_list.h"

#include <errno.h>
#include <unistd.h>

#include "base/memory.h"
#include "recording/reader.h"

#define SESSION_LIST_MEMORY (2ULL << 30)

struct known_session {
	struct table_node node; /* by handle, within one incarnation */
	struct session_summary summary;
};

struct loader {
	struct session_list *list;
	const struct session_filter *filter;
	int folder;
	size_t capacity;
	size_t first; /* of the incarnation in hand, in list->sessions */
	struct table known; /* of the incarnation in hand */
	uint64_t last_time; /* of its last record */
	bool out_of_memory;
};

static const struct text_fact {
	enum field field;
	size_t offset;
} text_facts[] = {
	{FIELD_ID, offsetof(struct session_summary, id)},
	{FIELD_AGENT, offsetof(struct session_summary, agent)},
	{FIELD_PRINCIPAL, offsetof(struct session_summary, principal)},
	{FIELD_ON_BEHALF_OF, offsetof(struct session_summary, on_behalf_of)},
	{FIELD_GROUPS, offsetof(struct session_summary, groups)},
	{FIELD_RESOURCE, offsetof(struct session_summary, resource)},
	{FIELD_PROTOCOL, offsetof(struct session_summary, protocol)},
	{FIELD_ADDRESS, offsetof(struct session_summary, address)},
	{FIELD_UPSTREAM, offsetof(struct session_summary, upstream)},
	{FIELD_EXE, offsetof(struct session_summary, exe)},
	{FIELD_EXE_HASH, offsetof(struct session_summary, exe_hash)},
	{FIELD_ARGUMENTS, offsetof(struct session_summary, arguments)},
	{FIELD_PARENTS, offsetof(struct session_summary, parents)},
	{FIELD_DATABASE, offsetof(struct session_summary, database)},
	{FIELD_USER, offsetof(struct session_summary, user)},
	{FIELD_REASON, offsetof(struct session_summary, reason)},
	{FIELD_DETAIL, offsetof(struct session_summary, detail)},
};

static const struct number_fact {
	enum field field;
	size_t offset;
} number_facts[] = {
	{FIELD_PID, offsetof(struct session_summary, pid)},
	{FIELD_UID, offsetof(struct session_summary, uid)},
	{FIELD_CGROUP, offsetof(struct session_summary, cgroup)},
	{FIELD_PROCESS_START, offsetof(struct session_summary, process_start)},
	{FIELD_STARTED, offsetof(struct session_summary, started)},
	{FIELD_ACTIONS, offsetof(struct session_summary, actions)},
	{FIELD_DENIED, offsetof(struct session_summary, denied)},
	{FIELD_ROWS, offsetof(struct session_summary, rows)},
	{FIELD_BYTES_TO_AGENT, offsetof(struct session_summary, bytes_to_agent)},
	{FIELD_BYTES_TO_SERVER, offsetof(struct session_summary, bytes_to_server)},
};

/* Takes over what the record says about the session. */
static void adopt_item(struct loader *l, struct session_summary *s, const struct field_item *item)
{
	for (size_t i = 0; i < ARRAY_SIZE(text_facts); i++) {
		struct slice *text = (void *)((char *)s + text_facts[i].offset);

		if (text_facts[i].field != item->field || slice_equal(*text, item->bytes))
			continue;
		*text = arena_copy(&l->list->arena, item->bytes);
		l->out_of_memory |= !text->data;
	}
	for (size_t i = 0; i < ARRAY_SIZE(number_facts); i++) {
		if (number_facts[i].field == item->field)
			*(uint64_t *)(void *)((char *)s + number_facts[i].offset) = item->number;
	}
	if (item->field == FIELD_OBSERVED)
		s->observed = true;
	else if (item->field == FIELD_POSITION && s->segment == 0)
		s->segment = (uint32_t)item->number;
}

static bool is_wanted(const struct session_filter *filter, const struct entry *entry)
{
	struct slice agent = entry_bytes(entry, FIELD_AGENT), id = entry_bytes(entry, FIELD_ID);

	return (filter->agent.length == 0 || slice_equal(filter->agent, agent)) &&
		(filter->id.length == 0 || slice_equal(filter->id, id)) &&
		entry_number(entry, FIELD_STARTED) >= filter->since;
}

static struct known_session *find_session(struct loader *l, uint64_t handle)
{
	struct table_node *node = table_find(&l->known, table_hash(&handle, sizeof(handle)));

	for (; node; node = table_find_next(&l->known, node)) {
		struct known_session *known = container_of(node, struct known_session, node);

		if (known->summary.handle == handle)
			return known;
	}
	return NULL;
}

static struct known_session *add_session(
	struct loader *l, const struct identifier *incarnation, uint64_t handle)
{
	struct session_list *list = l->list;
	struct known_session *known = arena_new(&list->arena, sizeof(*known));

	if (!known) {
		l->out_of_memory = true;
		return NULL;
	}
	known->summary = (struct session_summary){.incarnation = *incarnation,
		.handle = handle,
		.pid = UINT64_MAX,
		.uid = UINT64_MAX};
	if (list->count == l->capacity) {
		l->capacity = l->capacity ? l->capacity * 2 : 64;
		list->sessions =
			memory_resize_array(list->sessions, l->capacity, sizeof(*list->sessions));
	}
	list->sessions[list->count++] = &known->summary;
	table_insert(&l->known, &known->node, table_hash(&handle, sizeof(handle)));
	return known;
}

static void adopt_entry(
	struct loader *l, const struct identifier *incarnation, const struct entry *entry)
{
	uint64_t handle = entry_number(entry, FIELD_SESSION);
	struct known_session *known;

	l->last_time = entry->time;
	if (handle == 0)
		return;
	known = find_session(l, handle);
	if (!known && entry->type == RECORD_SESSION && is_wanted(l->filter, entry))
		known = add_session(l, incarnation, handle);
	if (!known)
		return;
	for (size_t i = 0; i < entry->count; i++)
		adopt_item(l, &known->summary, &entry->items[i]);
	if (entry->type == RECORD_SESSION_END) {
		known->summary.state = SESSION_ENDED;
		known->summary.ended = entry->time;
	}
	if (entry->type == RECORD_UNREAD || entry->type == RECORD_CLOSED)
		known->summary.unread = entry->type == RECORD_UNREAD;
}

static void load_segment(struct loader *l, const struct segment_name *name)
{
	bool compressed;
	int fd = segment_open_now(l->folder, name, &compressed);
	enum reader_status status;
	struct reader reader;
	struct entry entry;

	if (fd < 0) {
		l->list->damaged += fd != -ENOENT;
		return;
	}
	status = reader_open(&reader, fd, compressed, false);
	while (status == READER_RECORD && !l->out_of_memory) {
		status = reader_next(&reader, &entry);
		if (status == READER_RECORD)
			adopt_entry(l, &name->incarnation, &entry);
	}
	l->list->damaged += status == READER_BROKEN;
	reader_close(&reader);
	close(fd);
}

static bool is_live(const struct session_filter *filter, const struct identifier *incarnation)
{
	for (size_t i = 0; i < filter->live_count; i++) {
		if (strcmp(filter->live[i].text, incarnation->text) == 0)
			return true;
	}
	return false;
}

/* The incarnation is read: sessions without an end are active, or were lost with it. */
static void finish_incarnation(struct loader *l, const struct identifier *incarnation)
{
	bool live = is_live(l->filter, incarnation);
	struct session_list *list = l->list;
	size_t kept = l->first;

	for (size_t i = l->first; i < list->count; i++) {
		struct session_summary *s = list->sessions[i];

		if (s->state != SESSION_ENDED && !live) {
			s->state = SESSION_LOST;
			s->ended = l->last_time;
		}
		s->unread &= live;
		if (!l->filter->active || s->state == SESSION_ACTIVE || s->unread)
			list->sessions[kept++] = s;
	}
	list->count = l->first = kept;
	table_done(&l->known);
}

static int newest_first(const void *left, const void *right)
{
	const struct session_summary *a = *(struct session_summary *const *)left;
	const struct session_summary *b = *(struct session_summary *const *)right;

	if (a->started != b->started)
		return a->started > b->started ? -1 : 1;
	if (a->handle != b->handle)
		return a->handle > b->handle ? -1 : 1;
	return strcmp(a->incarnation.text, b->incarnation.text);
}

/* A file that nobody wrote to since then holds no session that started since. */
static bool may_hold(const struct session_filter *filter, const struct segment_file *file)
{
	return file->modified >= filter->since &&
		(!filter->active || is_live(filter, &file->name.incarnation));
}

int session_list_load(struct session_list *ret, int recordings_folder,
	const struct session_filter *filter, struct error *e)
{
	struct loader l = {.list = ret, .filter = filter, .folder = recordings_folder};
	struct segment_list files;
	int r = segment_list_load(&files, recordings_folder, e);

	if (r < 0)
		return r;
	*ret = (struct session_list){0};
	arena_init(&ret->arena, SESSION_LIST_MEMORY);
	table_init(&l.known);
	for (size_t i = 0; i < files.count; i++) {
		const struct segment_file *file = &files.files[i];

		if (file->name.kind != STREAM_INDEX || file->duplicate)
			continue;
		if (may_hold(filter, file))
			load_segment(&l, &file->name);
		if (!segment_list_next(&files, file))
			finish_incarnation(&l, &file->name.incarnation);
	}
	segment_list_done(&files);
	if (ret->count)
		qsort(ret->sessions, ret->count, sizeof(struct session_summary *), newest_first);
	if (l.out_of_memory) {
		session_list_done(ret);
		return error_set(e, -ENOMEM, "the indexes of sessions are too large");
	}
	return 0;
}

void session_list_done(struct session_list *l)
{
	free(l->sessions);
	arena_done(&l->arena);
	*l = (struct session_list){0};
}
