/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave audit export: every record as one line of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/table.h"
#include "cli/recordings.h"

#define VERB "audit"

/* Who the sessions of a segment are: it introduces each before its first record. */
struct known_session {
	struct table_node node;
	uint64_t handle;
	cJSON *facts; /* what each record of the session is given */
};

struct exporter {
	uint64_t since;
	struct table sessions;
	const struct segment_name *segment;
};

static struct known_session *find_session(const struct exporter *x, uint64_t handle)
{
	struct table_node *node = table_find(&x->sessions, table_hash(&handle, sizeof(handle)));

	for (; node; node = table_find_next(&x->sessions, node)) {
		struct known_session *s = container_of(node, struct known_session, node);

		if (s->handle == handle)
			return s;
	}
	return NULL;
}

static void drop_session(struct exporter *x, struct known_session *s)
{
	table_remove(&x->sessions, &s->node);
	cJSON_Delete(s->facts);
	free(s);
}

static void learn_session(struct exporter *x, const struct entry *entry)
{
	static const enum field fields[] = {
		FIELD_ID, FIELD_AGENT, FIELD_PRINCIPAL, FIELD_ON_BEHALF_OF, FIELD_RESOURCE};
	uint64_t handle = entry_number(entry, FIELD_SESSION);
	struct known_session *s = find_session(x, handle);

	if (s)
		drop_session(x, s);
	s = memory_new(sizeof(*s));
	s->handle = handle;
	s->facts = cJSON_CreateObject();
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		json_add_text(s->facts, field_name(fields[i]), entry_bytes(entry, fields[i]));
	table_insert(&x->sessions, &s->node, table_hash(&handle, sizeof(handle)));
}

static void forget_sessions(struct exporter *x)
{
	for (size_t i = 0; i < x->sessions.bucket_count; i++) {
		list_for_each_safe (position, &x->sessions.buckets[i]) {
			struct table_node *node = list_entry(position, struct table_node, link);

			drop_session(x, container_of(node, struct known_session, node));
		}
	}
	table_done(&x->sessions);
}

static void add_session(const struct exporter *x, const struct entry *entry, cJSON *json)
{
	const struct known_session *s = find_session(x, entry_number(entry, FIELD_SESSION));
	const cJSON *fact;

	if (!s || entry->type == RECORD_SESSION)
		return;
	cJSON_ArrayForEach(fact, s->facts)
	{
		cJSON_AddItemToObject(json, fact->string, cJSON_Duplicate(fact, true));
	}
}

static void export_entry(struct exporter *x, const struct entry *entry)
{
	cJSON *json, *place;

	if (entry->type == RECORD_SESSION)
		learn_session(x, entry);
	/* Introductions in later segments tell nothing new. */
	if (entry->time >= x->since && entry_number(entry, FIELD_OCCASION) != SESSION_GOES_ON) {
		json = cli_json_entry(entry);
		add_session(x, entry, json);
		place = cJSON_AddObjectToObject(json, "place");
		cJSON_AddStringToObject(place, "incarnation", x->segment->incarnation.text);
		cJSON_AddNumberToObject(place, "segment", x->segment->segment);
		cJSON_AddNumberToObject(place, "sequence", (double)entry->sequence);
		cli_json_print_line(json);
	}
	if (entry->type == RECORD_SESSION_END) {
		struct known_session *s = find_session(x, entry_number(entry, FIELD_SESSION));

		if (s)
			drop_session(x, s);
	}
}

/* False: it could not be read to its end. */
static bool export_segment(struct exporter *x, int folder, const struct segment_name *name)
{
	int fd = segment_open(folder, name);
	enum reader_status status;
	struct reader reader;
	struct entry entry;
	bool whole;

	if (fd < 0) {
		cli_fail(VERB, 0, "a segment can't be opened: %s", strerrordesc_np(-fd));
		return false;
	}
	x->segment = name;
	status = reader_open(&reader, fd, false, false);
	while (status == READER_RECORD) {
		status = reader_next(&reader, &entry);
		if (status == READER_RECORD)
			export_entry(x, &entry);
	}
	whole = status != READER_BROKEN;
	if (!whole)
		cli_fail(VERB, 0, "%s.%s.%u, record %" PRIu64 ": %s", name->incarnation.text,
			stream_kind_name(name->kind), name->segment, reader.sequence + 1,
			reader.problem.text);
	forget_sessions(x);
	reader_close(&reader);
	close(fd);
	return whole;
}

int cli_audit_export(const struct cli_recordings *recordings, uint64_t since)
{
	struct exporter x = {.since = since};
	struct segment_list files;
	int status = CLI_DONE;
	struct error e;

	if (segment_list_load(&files, recordings->audit_folder, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	table_init(&x.sessions);
	for (size_t i = 0; i < files.count; i++) {
		const struct segment_file *file = &files.files[i];

		if (file->modified >= since &&
			!export_segment(&x, recordings->audit_folder, &file->name))
			status = CLI_REFUSED;
	}
	segment_list_done(&files);
	return status;
}
