/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave audit: verify, export.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/recordings.h"
#include "recording/store.h"
#include "recording/verify.h"

#define VERB "audit"
#define KEY_FILE_MOST 4096

struct options {
	const char *state_dir, *key, *checkpoint, *since;
	bool recordings, help;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: wayleave audit verify [--recordings] [--key FILE] [--checkpoint "
		"NUMBER:HASH]\n"
		"       wayleave audit export [--since TIME]\n\n"
		"  --recordings    read all recordings too, instead of only looking for them\n"
		"  --key FILE      the host's public key (PEM), as it was kept elsewhere\n"
		"  --checkpoint X  a checkpoint that verify named earlier, as it was kept "
		"elsewhere\n"
		"  --since TIME    records since then: 2026-01-31T12:00:00Z, 2026-01-31, or 90m, "
		"2d ago\n"
		"  --state-dir DIR read there, without the daemon\n"
		"  --json          for programs (export is always JSON, a record per line)\n");
}

/* ---- verify ---- */

struct verify_output {
	bool json;
	cJSON *findings;
};

static const char *const state_names[] = {
	[VERIFY_GOOD] = "good",
	[VERIFY_LIVE] = "good so far",
	[VERIFY_CRASHED] = "ended in a crash",
	[VERIFY_BROKEN] = "BROKEN",
};
static const char *const state_words[] = {
	[VERIFY_GOOD] = "good",
	[VERIFY_LIVE] = "live",
	[VERIFY_CRASHED] = "crashed",
	[VERIFY_BROKEN] = "broken",
};

static cJSON *json_finding(const struct verify_finding *f, const char *file)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "incarnation", f->name.incarnation.text);
	cJSON_AddStringToObject(json, "stream", stream_kind_name(f->name.kind));
	cJSON_AddStringToObject(json, "state", state_words[f->state]);
	cJSON_AddNumberToObject(json, "segments", (double)f->segments);
	cJSON_AddNumberToObject(json, "records", (double)f->records);
	cJSON_AddNumberToObject(json, "signed", (double)f->signed_records);
	if (f->state == VERIFY_BROKEN) {
		cJSON_AddStringToObject(json, "file", file);
		cJSON_AddNumberToObject(json, "record", (double)f->record);
		cJSON_AddNumberToObject(json, "offset", (double)f->offset);
	}
	if (f->text[0])
		cJSON_AddStringToObject(json, "text", f->text);
	return json;
}

static void print_finding(void *argument, const struct verify_finding *f)
{
	struct verify_output *out = argument;
	char file[SEGMENT_NAME_SIZE];

	segment_name_format(&f->name, file);
	if (out->json) {
		cJSON_AddItemToArray(out->findings, json_finding(f, file));
		return;
	}
	if (f->state == VERIFY_BROKEN) {
		printf("BROKEN  %s", file);
		if (f->record)
			printf(", record %" PRIu64, f->record);
		if (f->offset)
			printf(" at byte %" PRIu64, f->offset);
		printf(": %s\n", f->text);
		return;
	}
	printf("%s.%s: ", f->name.incarnation.text, stream_kind_name(f->name.kind));
	cli_print_count(stdout, f->segments, "segment");
	fputs(", ", stdout);
	cli_print_count(stdout, f->records, "record");
	printf(", signed to record %" PRIu64 ": %s%s%s\n", f->signed_records, state_names[f->state],
		f->text[0] ? "; " : "", f->text);
}

static void print_summary(const struct verify_output *out, const struct verify_summary *summary,
	const struct signing_key *key)
{
	char hash[2 * HASH_SIZE + 1], fingerprint[2 * HASH_SIZE + 1], time[32];

	text_to_hex(slice_of(summary->checkpoint_hash, HASH_SIZE), hash);
	text_to_hex(slice_of(key->digest, HASH_SIZE), fingerprint);
	text_from_time(summary->checkpoint_time, time);
	if (out->json) {
		cJSON *json = cJSON_CreateObject();

		cJSON_AddBoolToObject(json, "good", summary->broken == 0);
		cJSON_AddNumberToObject(json, "broken", (double)summary->broken);
		cJSON_AddNumberToObject(json, "records", (double)summary->records);
		cJSON_AddNumberToObject(json, "checkpoints", (double)summary->checkpoints);
		cJSON_AddNumberToObject(
			json, "checkpoint_number", (double)summary->checkpoint_number);
		cJSON_AddStringToObject(json, "checkpoint_hash", hash);
		json_add_time(json, "checkpoint_time", summary->checkpoint_time);
		cJSON_AddStringToObject(json, "key", fingerprint);
		cJSON_AddItemToObject(json, "streams", out->findings);
		cli_json_print(json);
		return;
	}
	printf("key         SHA-256 %s\n", fingerprint);
	if (summary->checkpoints)
		printf("checkpoint  %" PRIu64 ":%s of %s\n", summary->checkpoint_number, hash,
			time);
	cli_print_count(stdout, summary->records, "record");
	fputs(" in ", stdout);
	cli_print_count(stdout, summary->streams, "stream");
	fputs(", ", stdout);
	cli_print_count(stdout, summary->checkpoints, "checkpoint");
	printf(": %s\n", summary->broken ? "BROKEN" : "good");
}

/* The public key: a file that somebody kept, else the one beside the log. */
static int load_key(const struct options *o, int audit_folder, struct signing_key *ret)
{
	const char *name = o->key ? o->key : STORE_PUBLIC_KEY;
	int fd = openat(o->key ? AT_FDCWD : audit_folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct buffer pem;
	struct error e;
	int r;

	if (fd < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s: %s", name, strerrordesc_np(errno));
	buffer_init(&pem, KEY_FILE_MOST);
	r = file_read_descriptor(fd, &pem);
	close(fd);
	if (r < 0)
		error_set_errno(&e, r, "it can't be read");
	else
		r = signing_key_load_public(ret, buffer_slice(&pem), &e);
	buffer_done(&pem);
	return r < 0 ? cli_fail(VERB, CLI_REFUSED, "%s: %s", name, e.text) : CLI_DONE;
}

/* "NUMBER:HASH" */
static int parse_checkpoint(const char *text, struct verify_options *ret)
{
	const char *colon = strchr(text, ':');

	if (!colon ||
		text_to_number(slice_of(text, (size_t)(colon - text)), UINT64_MAX,
			&ret->anchor_number) < 0 ||
		ret->anchor_number == 0)
		return -EINVAL;
	return text_from_hex(slice_from_string(colon + 1), ret->anchor_hash, HASH_SIZE);
}

static int verify(const struct cli *cli, const struct options *o)
{
	struct verify_output out = {.json = cli->json};
	struct verify_options options = {
		.recordings = o->recordings, .on_finding = print_finding, .argument = &out};
	struct cli_recordings recordings;
	struct verify_summary summary;
	struct signing_key key;
	struct error e;
	int status;

	if (o->checkpoint && parse_checkpoint(o->checkpoint, &options) < 0)
		return cli_fail(VERB, CLI_USAGE, "--checkpoint %s: not NUMBER:HASH", o->checkpoint);
	status = cli_recordings_open(cli, VERB, o->state_dir, &recordings);
	if (status != CLI_DONE)
		return status;
	status = load_key(o, recordings.audit_folder, &key);
	if (status == CLI_DONE) {
		options.audit_folder = recordings.audit_folder;
		options.recordings_folder = recordings.recordings_folder;
		options.live = recordings.live;
		options.live_count = recordings.live_count;
		options.unburied = recordings.unburied;
		options.unburied_count = recordings.unburied_count;
		options.key = &key;
		out.findings = cJSON_CreateArray();
		if (verify_run(&options, &summary, &e) < 0) {
			status = cli_fail(VERB, CLI_REFUSED, "%s", e.text);
			cJSON_Delete(out.findings);
		} else {
			print_summary(&out, &summary, &key);
			status = summary.broken ? CLI_REFUSED : CLI_DONE;
			if (!out.json)
				cJSON_Delete(out.findings);
		}
		signing_key_done(&key);
	}
	cli_recordings_close(&recordings);
	return status;
}

static int export(const struct cli *cli, const struct options *o)
{
	struct cli_recordings recordings;
	uint64_t since = 0;
	int status;

	if (o->since && cli_parse_time(o->since, &since) < 0)
		return cli_fail(
			VERB, CLI_USAGE, "--since %s: neither a time nor a duration", o->since);
	status = cli_recordings_open(cli, VERB, o->state_dir, &recordings);
	if (status != CLI_DONE)
		return status;
	status = cli_audit_export(&recordings, since);
	cli_recordings_close(&recordings);
	return status;
}

int cli_audit(const struct cli *cli, int argc, char **argv)
{
	struct options o = {0};
	const struct cli_option options[] = {
		{"--state-dir", &o.state_dir, NULL},
		{"--key", &o.key, NULL},
		{"--checkpoint", &o.checkpoint, NULL},
		{"--since", &o.since, NULL},
		{"--recordings", NULL, &o.recordings},
		{"--help", NULL, &o.help},
	};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	signal(SIGPIPE, SIG_DFL);
	if (o.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (words == 1 && strcmp(argv[1], "verify") == 0)
		return verify(cli, &o);
	if (words == 1 && strcmp(argv[1], "export") == 0)
		return export(cli, &o);
	usage(stderr);
	return CLI_USAGE;
}
