/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/verify_internal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"

/* ---- facts ---- */

static uint64_t fact_hash(const struct segment_name *name)
{
	char text[SEGMENT_NAME_SIZE];
	struct segment_name plain = *name;

	plain.compressed = false;
	segment_name_format(&plain, text);
	return table_hash(text, strlen(text));
}

static struct verify_fact *fact_lookup(
	const struct verify *v, const struct segment_name *name, uint64_t hash)
{
	struct table_node *node = table_find(&v->facts, hash);

	for (; node; node = table_find_next(&v->facts, node)) {
		struct verify_fact *fact = container_of(node, struct verify_fact, node);

		if (segment_is_same_stream(&fact->name, name) &&
			fact->name.segment == name->segment)
			return fact;
	}
	return NULL;
}

const struct verify_fact *verify_fact_find(const struct verify *v, const struct segment_name *name)
{
	return fact_lookup(v, name, fact_hash(name));
}

struct verify_fact *verify_fact_get(struct verify *v, const struct segment_name *name)
{
	uint64_t hash = fact_hash(name);
	struct verify_fact *fact = fact_lookup(v, name, hash);

	if (fact)
		return fact;
	fact = memory_new(sizeof(*fact));
	fact->name = *name;
	fact->name.compressed = false;
	table_insert(&v->facts, &fact->node, hash);
	return fact;
}

bool verify_is_live(const struct verify *v, const struct identifier *incarnation)
{
	/* The checkpoints are written as long as any monitor lives. */
	if (strcmp(incarnation->text, CHECKPOINTS_INCARNATION) == 0)
		return v->options->live_count > 0;
	for (size_t i = 0; i < v->options->live_count; i++) {
		if (strcmp(v->options->live[i].text, incarnation->text) == 0)
			return true;
	}
	return false;
}

void verify_report(struct verify *v, const struct verify_finding *finding)
{
	v->summary.streams++;
	v->summary.records += finding->records;
	if (finding->state == VERIFY_BROKEN)
		v->summary.broken++;
	if (!v->holding) {
		v->options->on_finding(v->options->argument, finding);
		return;
	}
	v->held = memory_resize_array(v->held, v->held_count + 1, sizeof(*v->held));
	v->held[v->held_count++] = *finding;
}

static void release_findings(struct verify *v)
{
	v->holding = false;
	for (size_t i = 0; i < v->held_count; i++)
		v->options->on_finding(v->options->argument, &v->held[i]);
	free(v->held);
}

void verify_report_file(struct verify *v, const struct segment_name *name, const char *why)
{
	struct verify_finding finding = {.name = *name, .state = VERIFY_BROKEN, .segments = 1};

	snprintf(finding.text, sizeof(finding.text), "%s", why);
	verify_report(v, &finding);
}

/* ---- the monitors' streams ---- */

/* What a monitor noted about a segment. */
static void adopt_note(struct verify *v, const struct entry *entry)
{
	struct slice subject = entry_bytes(entry, FIELD_SUBJECT);
	uint64_t kind = entry_number(entry, FIELD_STREAM);
	uint64_t number = entry_number(entry, FIELD_SEGMENT);
	struct segment_name name = {.kind = (enum stream_kind)kind, .segment = (uint32_t)number};
	struct verify_fact *fact;

	if (kind >= STREAM_WORKER_COUNT || number == 0 || number > UINT32_MAX ||
		subject.length >= sizeof(name.incarnation.text) || !entry_has(entry, FIELD_SEGMENT))
		return;
	memcpy(name.incarnation.text, subject.data, subject.length);
	if (!incarnation_is_valid(&name.incarnation))
		return;
	fact = verify_fact_get(v, &name);
	switch (entry_number(entry, FIELD_EVENT)) {
	case HOST_SEGMENT:
		fact->is_announced = true;
		break;
	case HOST_DELETED:
		fact->is_deleted = true;
		break;
	case HOST_SEALED:
		fact->sealed_bytes = entry_number(entry, FIELD_SIZE);
		break;
	}
}

static bool visit_host(struct verify *v, const struct reader *reader, const uint8_t *previous,
	const struct entry *entry, struct error *e)
{
	(void)reader;
	(void)previous;
	(void)e;
	if (entry->type == RECORD_HOST)
		adopt_note(v, entry);
	return true;
}

/* A monitor signs as soon as it starts: a stream of which no checkpoint knows was put there. */
static bool monitor_is_signed(const struct verify *v, const struct segment_file *first)
{
	const struct verify_fact *fact = verify_fact_find(v, &first->name);

	return fact && fact->head.bytes;
}

static bool is_monitor(const struct segment_name *name)
{
	return name->kind == STREAM_AUDIT && name->incarnation.text[0] == 'm';
}

/* The first file of each stream of a folder, in turn: pass NULL, then the last answer. */
static const struct segment_file *next_stream(
	const struct segment_list *files, const struct segment_file *file)
{
	const struct segment_file *end = files->files + files->count;
	const struct segment_file *next = file ? file + 1 : files->files;

	while (file && next < end && segment_is_same_stream(&next->name, &file->name))
		next++;
	return next < end ? next : NULL;
}

/* … unless it died before it could: then the next one, which is signed, noted its size. */
static bool monitor_is_vouched_for(const struct verify *v, const struct segment_file *first)
{
	const struct verify_fact *fact = verify_fact_find(v, &first->name);

	return first->size == 0 || (fact && fact->sealed_bytes == first->size);
}

/* Whether its end may be a crash's, whatever its last record says. */
static bool may_have_crashed(const struct verify *v, const struct verify_end *end)
{
	const struct verify_fact *fact = verify_fact_find(v, &end->name);

	for (size_t i = 0; i < v->options->unburied_count; i++) {
		if (strcmp(v->options->unburied[i].text, end->name.incarnation.text) == 0)
			return true;
	}
	return verify_is_live(v, &end->name.incarnation) || (fact && fact->sealed_bytes);
}

static void checkpoints_are_cut(struct verify *v, const char *why)
{
	struct verify_finding *finding = v->held; /* the first is theirs */

	if (finding->state == VERIFY_BROKEN)
		return;
	finding->state = VERIFY_BROKEN;
	finding->name = v->checkpoints_end.name;
	finding->record = v->checkpoints_end.sequence + 1;
	finding->offset = v->checkpoints_end.offset;
	snprintf(finding->text, sizeof(finding->text), "%s", why);
	v->summary.broken++;
}

/* A monitor that ends in order signs its own last record, and then ends the checkpoints. */
static void check_last_words(struct verify *v, const struct verify_end *end)
{
	const struct verify_fact *fact = verify_fact_find(v, &end->name);

	if (!end->stopped || may_have_crashed(v, end))
		return;
	if (!end->is_signed)
		checkpoints_are_cut(v,
			"it is cut off: a monitor that ended in order signed its end, and that "
			"checkpoint is missing");
	/* A later monitor's file counts the records before it. */
	else if (fact->checkpoint == v->summary.checkpoint_number &&
		fact->checkpoint >= v->checkpoints_end.first && !v->checkpoints_end.stopped)
		checkpoints_are_cut(v,
			"it is cut off: the monitor ended in order, and the record of that is "
			"missing");
}

static void remember_end(struct verify *v)
{
	v->monitor_ends = memory_resize_array(
		v->monitor_ends, v->monitor_count + 1, sizeof(*v->monitor_ends));
	v->monitor_ends[v->monitor_count++] = v->end;
}

static void verify_monitors(struct verify *v)
{
	const struct segment_file *first = NULL;
	bool good = true;

	while ((first = next_stream(&v->audit, first))) {
		if (!is_monitor(&first->name) || !monitor_is_signed(v, first))
			continue;
		if (verify_stream(v, &v->audit, first, visit_host))
			remember_end(v);
		else
			good = false;
	}
	while ((first = next_stream(&v->audit, first))) {
		if (!is_monitor(&first->name) || monitor_is_signed(v, first))
			continue;
		if (monitor_is_vouched_for(v, first)) {
			good &= verify_stream(v, &v->audit, first, NULL);
		} else {
			verify_report_file(v, &first->name, "no checkpoint knows of this monitor");
			good = false;
		}
	}
	v->monitors_broken = !good;
}

/* ---- the workers' streams, and what is missing ---- */

static bool is_in_its_folder(const struct segment_name *name, bool audit)
{
	return stream_is_chained(name->kind) == audit;
}

static void mark_present(struct verify *v, const struct segment_list *files, bool audit)
{
	for (size_t i = 0; i < files->count; i++) {
		if (is_in_its_folder(&files->files[i].name, audit))
			verify_fact_get(v, &files->files[i].name)->is_present = true;
	}
}

static bool is_announced(const struct verify *v, const struct segment_name *name)
{
	const struct verify_fact *fact;

	/* These two announce themselves, and are known by their signatures. */
	if (is_monitor(name) ||
		(name->kind == STREAM_CHECKPOINTS &&
			strcmp(name->incarnation.text, CHECKPOINTS_INCARNATION) == 0))
		return true;
	fact = verify_fact_find(v, name);
	return fact && fact->is_announced;
}

static void report_unannounced(struct verify *v, const struct segment_list *files, bool audit)
{
	for (size_t i = 0; i < files->count; i++) {
		const struct segment_file *file = &files->files[i];

		if (!is_in_its_folder(&file->name, audit))
			verify_report_file(v, &file->name, "the file stands in the wrong folder");
		/* An empty one is what a crash leaves between its making and its announcement. */
		else if (file->size && !is_announced(v, &file->name) && !v->monitors_broken)
			verify_report_file(v, &file->name, "no monitor made this file");
	}
}

static bool is_there_now(const struct verify *v, const struct segment_name *name)
{
	int folder = stream_is_chained(name->kind) ? v->options->audit_folder
						   : v->options->recordings_folder;
	bool compressed;
	int fd = segment_open_now(folder, name, &compressed);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int compare_facts(const void *left, const void *right)
{
	const struct verify_fact *a = *(struct verify_fact *const *)left;
	const struct verify_fact *b = *(struct verify_fact *const *)right;
	char x[SEGMENT_NAME_SIZE], y[SEGMENT_NAME_SIZE];

	segment_name_format(&a->name, x);
	segment_name_format(&b->name, y);
	return strcmp(x, y);
}

static struct verify_fact **facts_sorted(const struct verify *v)
{
	struct verify_fact **facts = memory_new_array(v->facts.count, sizeof(*facts));
	size_t count = 0;

	for (size_t i = 0; i < v->facts.bucket_count; i++) {
		list_for_each (position, &v->facts.buckets[i]) {
			struct table_node *node = list_entry(position, struct table_node, link);

			facts[count++] = container_of(node, struct verify_fact, node);
		}
	}
	if (count)
		qsort(facts, count, sizeof(*facts), compare_facts);
	return facts;
}

static void report_missing(struct verify *v)
{
	struct verify_fact **facts = facts_sorted(v);

	for (size_t i = 0; i < v->facts.count; i++) {
		const struct verify_fact *fact = facts[i];
		bool expected = fact->is_announced || fact->head.bytes || fact->sealed_bytes;
		bool excused = fact->is_deleted && !stream_is_chained(fact->name.kind);

		if (expected && !excused && !fact->is_present && !is_there_now(v, &fact->name))
			verify_report_file(v, &fact->name, "the file is missing");
	}
	free(facts);
}

static void verify_workers(struct verify *v)
{
	const struct segment_file *first = NULL;

	while ((first = next_stream(&v->audit, first))) {
		if (first->name.kind == STREAM_AUDIT && !is_monitor(&first->name))
			verify_stream(v, &v->audit, first, NULL);
	}
	first = NULL;
	while (v->options->recordings && (first = next_stream(&v->recordings, first))) {
		if (!stream_is_chained(first->name.kind))
			verify_stream(v, &v->recordings, first, NULL);
	}
}

static void facts_free(struct verify *v)
{
	for (size_t i = 0; i < v->facts.bucket_count; i++) {
		list_for_each_safe (position, &v->facts.buckets[i]) {
			struct table_node *node = list_entry(position, struct table_node, link);

			free(container_of(node, struct verify_fact, node));
		}
	}
	table_done(&v->facts);
}

int verify_run(const struct verify_options *options, struct verify_summary *ret, struct error *e)
{
	struct verify v = {.options = options, .holding = true};
	int r;

	table_init(&v.facts);
	/* The folders before the log: what is announced later is looked for again. */
	r = segment_list_load(&v.audit, options->audit_folder, e);
	if (r == 0)
		r = segment_list_load(&v.recordings, options->recordings_folder, e);
	if (r == 0) {
		mark_present(&v, &v.audit, true);
		mark_present(&v, &v.recordings, false);
		verify_checkpoints(&v);
		verify_monitors(&v);
		for (size_t i = 0; i < v.monitor_count; i++)
			check_last_words(&v, &v.monitor_ends[i]);
		release_findings(&v);
		verify_workers(&v);
		report_missing(&v);
		report_unannounced(&v, &v.audit, true);
		report_unannounced(&v, &v.recordings, false);
		*ret = v.summary;
	}
	facts_free(&v);
	free(v.monitor_ends);
	segment_list_done(&v.audit);
	segment_list_done(&v.recordings);
	return r;
}
