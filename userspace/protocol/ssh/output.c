/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/output.h"

#include <string.h>

#include "base/limits.h"
#include "base/memory.h"

#define TYPED_MOST 64u /* bytes whose echo is waited for */
#define SHOWN_MOST (4u << 20) /* of one piece; masks may be longer than what they hide */

struct ssh_output {
	struct mask_stream streams[BRIDGE_STREAM_COUNT]; /* that of stdin is not used */
	struct buffer shown;
	uint8_t typed[TYPED_MOST];
	size_t typed_count;
	bool binary;
};

struct ssh_output *ssh_output_new(
	const struct protocol_host *host, const struct mask_rules *rules, bool binary)
{
	struct ssh_output *o = memory_new(sizeof(*o));

	o->binary = binary;
	buffer_init(&o->shown, SHOWN_MOST);
	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++)
		mask_stream_init(&o->streams[i], host->detectors, host->hasher, rules);
	return o;
}

void ssh_output_free(struct ssh_output *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++)
		mask_stream_done(&o->streams[i]);
	buffer_wipe(&o->shown);
	memory_wipe(o->typed, sizeof(o->typed));
	free(o);
}

bool ssh_output_is_binary(const struct ssh_output *o)
{
	return o->binary;
}

void ssh_output_typed(struct ssh_output *o, struct slice bytes)
{
	/* What is pasted is echoed together with other things. */
	if (bytes.length > TYPED_MOST - o->typed_count) {
		o->typed_count = 0;
		return;
	}
	memcpy(o->typed + o->typed_count, bytes.data, bytes.length);
	o->typed_count += bytes.length;
}

/* Whether the bytes are what was typed next, which the agent knows: nothing need be kept back. */
static bool take_echo(struct ssh_output *o, struct slice bytes)
{
	bool echo = bytes.length && bytes.length <= o->typed_count &&
		memcmp(bytes.data, o->typed, bytes.length) == 0;

	if (!echo) {
		o->typed_count = 0;
		return false;
	}
	o->typed_count -= bytes.length;
	memmove(o->typed, o->typed + bytes.length, o->typed_count);
	return true;
}

int ssh_output_take(struct ssh_output *o, enum bridge_stream stream, struct slice bytes,
	struct slice *ret_shown, size_t *ret_settled)
{
	struct mask_stream *s = &o->streams[stream];
	size_t before = mask_stream_kept(s);
	int r;

	buffer_clear(&o->shown);
	if (o->binary && stream == BRIDGE_STDOUT) {
		r = 0;
		*ret_shown = bytes;
	} else if (before == 0 && o->typed_count && take_echo(o, bytes)) {
		r = mask_stream_show(s, bytes);
		*ret_shown = bytes;
	} else if (bytes.length && !mask_stream_is_worth(s, bytes.length)) {
		/* For more pieces, or until it has waited long enough. */
		r = mask_stream_keep(s, bytes);
		*ret_shown = SLICE_EMPTY;
	} else {
		r = mask_stream_pass(s, bytes, bytes.length == 0, &o->shown);
		*ret_shown = buffer_slice(&o->shown);
	}
	*ret_settled = before + bytes.length - mask_stream_kept(s);
	return r;
}

/* --- what is no text --- */

static bool is_word(struct slice line, size_t at, const char *word)
{
	size_t length = strlen(word);

	return slice_starts_with(slice_from(line, at), slice_from_string(word)) &&
		(at + length == line.length || line.data[at + length] == ' ');
}

static bool has_word(struct slice line, const char *word)
{
	for (size_t at = 1; at < line.length; at++) {
		if (line.data[at - 1] == ' ' && is_word(line, at, word))
			return true;
	}
	return false;
}

bool ssh_output_carries_files(struct slice line)
{
	static const struct {
		const char *program, *option; /* NULL: with whatever option */
	} programs[] = {
		{"scp", "-f"},
		{"scp", "-t"},
		{"rsync", "--server"},
		{"git-upload-pack", NULL},
		{"git-upload-archive", NULL},
		{"git-receive-pack", NULL},
		{"sftp-server", NULL},
		{"/usr/lib/openssh/sftp-server", NULL},
		{"/usr/libexec/openssh/sftp-server", NULL},
		{"/usr/lib/ssh/sftp-server", NULL},
	};

	/* A list, a redirection or a substitution writes something else too. */
	for (size_t i = 0; i < line.length; i++) {
		if (line.data[i] < ' ' || strchr(";&|<>()$`", line.data[i]))
			return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (is_word(line, 0, programs[i].program) &&
			(!programs[i].option || has_word(line, programs[i].option)))
			return true;
	}
	return false;
}
