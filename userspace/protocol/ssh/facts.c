/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/facts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/shell.h"

/* The line and each command of it, or deeds. */
#define PAIRS_MOST (SHELL_COMMANDS_MOST + 1)
_Static_assert(BRIDGE_DEEDS_MOST <= PAIRS_MOST, "deeds are pairs");

static const enum operation operations[BRIDGE_KIND_COUNT] = {
	[BRIDGE_EXEC] = OPERATION_SSH_EXEC,
	[BRIDGE_SHELL] = OPERATION_SSH_SHELL,
	[BRIDGE_SUBSYSTEM] = OPERATION_SSH_SUBSYSTEM,
	[BRIDGE_ENV] = OPERATION_SSH_ENV,
	[BRIDGE_FORWARD] = OPERATION_SSH_FORWARD,
	[BRIDGE_REMOTE_FORWARD] = OPERATION_SSH_REMOTE_FORWARD,
	[BRIDGE_AGENT_FORWARD] = OPERATION_SSH_AGENT_FORWARD,
	/* Like the agent's, a socket of the agent's host that the server could use. */
	[BRIDGE_X11] = OPERATION_SSH_REMOTE_FORWARD,
};

/* What git's clients send, gitprotocol-pack(5). */
static const struct {
	const char *program;
	enum operation operation;
} git_calls[] = {
	{"git-upload-pack", OPERATION_GIT_FETCH},
	{"git-upload-archive", OPERATION_GIT_FETCH},
	{"git-receive-pack", OPERATION_GIT_PUSH},
};

static void add(
	struct ssh_facts *f, enum operation operation, enum object_state state, struct slice object)
{
	f->pairs[f->action.pair_count++] = (struct action_pair){
		.operation = operation,
		.state = object.length ? state : OBJECT_NONE,
		.object = object,
	};
	if (state == OBJECT_UNKNOWN)
		f->action.unknown |= ACTION_UNKNOWN_OBJECT;
}

/* "..", "." and "//" are other names of something. Relative ones begin at a folder that is the
 * host's to choose. */
static enum object_state state_of_path(struct slice path)
{
	struct buffer absolute;
	bool plain;

	buffer_init(&absolute, path.length + 1);
	plain = (path.data[0] == '/' || buffer_append_byte(&absolute, '/') == 0) &&
		buffer_append_slice(&absolute, path) == 0 && path_is_plain(buffer_slice(&absolute));
	buffer_done(&absolute);
	return plain ? OBJECT_KNOWN : OBJECT_UNKNOWN;
}

static bool add_git(struct ssh_facts *f, const struct shell_line *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(git_calls); i++) {
		struct slice path = shell_argument(line, git_calls[i].program);

		if (path.length == 0)
			continue;
		add(f, git_calls[i].operation, state_of_path(path), path);
		return true;
	}
	return false;
}

int ssh_facts_repository(struct slice command, struct buffer *ret, bool *ret_known)
{
	struct shell_line *line = memory_new(sizeof(*line));
	struct slice path = SLICE_EMPTY;
	int r;

	buffer_init(&line->text, 2 * command.length + 2);
	r = shell_split(command, line);
	if (r == 0)
		path = shell_argument(line, "git-receive-pack");
	if (r == 0 && path.length)
		*ret_known = state_of_path(path) == OBJECT_KNOWN;
	r = path.length ? buffer_append_slice(ret, path) : -ENOENT;
	buffer_done(&line->text);
	free(line);
	return r;
}

/* The whole line, and each command of it, as both an allow and a deny may name: a rule that allows
 * "ls *" must not cover "ls; rm x", and one that denies "rm *" must see it. */
static void add_commands(struct ssh_facts *f, struct slice text, const struct shell_line *line)
{
	add(f, OPERATION_SSH_EXEC, OBJECT_KNOWN, text);
	for (size_t i = 0; i < line->count; i++) {
		const struct shell_command *c = &line->commands[i];
		struct slice words =
			slice_head(slice_from(buffer_slice(&f->words), c->start), c->length);

		if (line->count > 1 || !c->known || !slice_equal(words, text))
			add(f, OPERATION_SSH_EXEC, c->known ? OBJECT_KNOWN : OBJECT_UNKNOWN, words);
	}
}

/* A terminal would change what git's programs say to each other, so with one they are commands like
 * others. */
static int read_exec(struct ssh_facts *f, struct slice text, bool terminal)
{
	struct shell_line *line = memory_new(sizeof(*line));
	int r;

	buffer_init(&line->text, 2 * text.length + 2);
	r = shell_split(text, line);
	f->words = line->text;
	if (r == -E2BIG) {
		f->action.unknown |= ACTION_UNKNOWN_TEXT;
		f->action.problem = "a command line with too many commands";
		add(f, OPERATION_SSH_EXEC, OBJECT_UNKNOWN, text);
		r = 0;
	} else if (r == 0 && (terminal || !add_git(f, line))) {
		add_commands(f, text, line);
	}
	free(line);
	return r;
}

static const enum operation deed_operations[BRIDGE_DEED_COUNT] = {
	[BRIDGE_DEED_READ] = OPERATION_SFTP_READ,
	[BRIDGE_DEED_LIST] = OPERATION_SFTP_LIST,
	[BRIDGE_DEED_WRITE] = OPERATION_SFTP_WRITE,
	[BRIDGE_DEED_REMOVE] = OPERATION_SFTP_REMOVE,
	[BRIDGE_DEED_RENAME] = OPERATION_SFTP_RENAME,
	[BRIDGE_DEED_MKDIR] = OPERATION_SFTP_MKDIR,
	[BRIDGE_DEED_SETATTR] = OPERATION_SFTP_SETATTR,
	[BRIDGE_DEED_GIT_PUSH] = OPERATION_GIT_PUSH,
};

static int read_deeds(struct ssh_facts *f, struct slice text)
{
	struct bridge_deed *deeds = memory_new_array(BRIDGE_DEEDS_MOST, sizeof(*deeds));
	size_t count = 0;
	int r = bridge_decode_deeds(text, deeds, &count, &f->action.text);

	for (size_t i = 0; i < count; i++)
		add(f, deed_operations[deeds[i].kind],
			deeds[i].known ? OBJECT_KNOWN : OBJECT_UNKNOWN, deeds[i].object);
	free(deeds);
	return r;
}

int ssh_facts_init(struct ssh_facts *f, const struct bridge_request *request)
{
	struct slice text;
	int r;

	*f = (struct ssh_facts){.action = {.protocol = PROTOCOL_SSH}};
	f->pairs = memory_new_array(PAIRS_MOST, sizeof(*f->pairs));
	buffer_init(&f->text, BRIDGE_BODY_MOST);
	r = buffer_append_slice(&f->text, request->text);
	text = buffer_slice(&f->text);
	f->action.text = text;
	f->action.pairs = f->pairs;
	if (r == 0 && request->kind == BRIDGE_EXEC)
		r = read_exec(f, text, request->terminal);
	else if (r == 0 && request->kind == BRIDGE_DEEDS)
		r = read_deeds(f, text);
	else if (r == 0)
		add(f, operations[request->kind], OBJECT_KNOWN, text);
	return r;
}

void ssh_facts_done(struct ssh_facts *f)
{
	free(f->pairs);
	buffer_done(&f->text);
	buffer_done(&f->words);
	*f = (struct ssh_facts){0};
}
