/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/facts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/ssh/forwarded.h"
#include "protocol/ssh/path.h"
#include "protocol/ssh/shell.h"
#include "protocol/ssh/transfer.h"

/* A line and each command of it, those of a script, two for what is not known, and what is carried
 * where nobody knows it; or deeds; or a command, and what it carries. */
#define TRANSFER_OPERATIONS 4
#define PAIRS_MOST (2 * SHELL_COMMANDS_MOST + 3 + TRANSFER_OPERATIONS)
_Static_assert(BRIDGE_DEEDS_MOST <= PAIRS_MOST, "deeds are pairs");
_Static_assert(2 * TRANSFER_PATHS_MOST + 3 <= 2 * SHELL_COMMANDS_MOST + 3, "and so are transfers");
#define TEXT_MOST (2 * BRIDGE_BODY_MOST)

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

static const struct {
	enum transfer_program program;
	bool writes;
	enum operation operation;
} transfer_operations[TRANSFER_OPERATIONS] = {
	{TRANSFER_SCP, false, OPERATION_SCP_READ},
	{TRANSFER_SCP, true, OPERATION_SCP_WRITE},
	{TRANSFER_RSYNC, false, OPERATION_RSYNC_READ},
	{TRANSFER_RSYNC, true, OPERATION_RSYNC_WRITE},
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

static struct slice words_of(const struct ssh_facts *f, const struct shell_command *c)
{
	return slice_head(slice_from(buffer_slice(&f->words), c->start), c->length);
}

/* The whole line, and each command of it, as both an allow and a deny may name: a rule that allows
 * "ls *" must not cover "ls; rm x", and one that denies "rm *" must see it. */
static void add_commands(struct ssh_facts *f, enum operation operation, struct slice text,
	const struct shell_line *line)
{
	add(f, operation, OBJECT_KNOWN, text);
	for (size_t i = 0; i < line->count; i++) {
		const struct shell_command *c = &line->commands[i];
		struct slice words = words_of(f, c);

		if (line->count > 1 || !c->known || !slice_equal(words, text))
			add(f, operation, c->known ? OBJECT_KNOWN : OBJECT_UNKNOWN, words);
	}
}

static bool has_operation(const struct ssh_facts *f, enum operation operation)
{
	for (size_t i = 0; i < f->action.pair_count; i++) {
		if (f->pairs[i].operation == operation)
			return true;
	}
	return false;
}

/* Of what nobody knows once is enough. */
static void add_transfer(
	struct ssh_facts *f, enum operation operation, struct transfer t, struct slice words)
{
	struct slice path;
	bool known;

	if (!t.known && !has_operation(f, operation))
		add(f, operation, OBJECT_UNKNOWN, words);
	while (t.known && transfer_next(&t, &path, &known)) {
		add(f, operation, known ? OBJECT_KNOWN : OBJECT_UNKNOWN, path);
		f->pairs[f->action.pair_count - 1].everything = t.below;
	}
}

/* The files that the commands carry; `doubted`: not as they are (through a terminal), or beside
 * something else. */
static void add_transfers(struct ssh_facts *f, const struct shell_line *line, bool doubted)
{
	for (size_t i = 0; i < line->count; i++) {
		struct transfer t = transfer_of(line, &line->commands[i]);

		t.known &= !doubted;
		for (size_t j = 0; j < ARRAY_SIZE(transfer_operations); j++) {
			if (transfer_operations[j].program == t.program &&
				(transfer_operations[j].writes ? t.writes : t.reads))
				add_transfer(f, transfer_operations[j].operation, t,
					words_of(f, &line->commands[i]));
		}
	}
}

static void add_unread_line(struct ssh_facts *f, struct slice text)
{
	f->action.unknown |= ACTION_UNKNOWN_TEXT;
	f->action.problem = "a command line with too many commands";
	add(f, OPERATION_SSH_EXEC, OBJECT_UNKNOWN, text);
}

static int split_line(struct slice text, struct shell_line *ret)
{
	int r = shell_split(text, ret);

	if (r == 0)
		reader_doubt(ret);
	return r;
}

/* A terminal would change what git's programs say to each other, so with one they are commands like
 * others. A shell with one is what an agent types into. */
static int read_exec(struct ssh_facts *f, struct slice text, bool terminal)
{
	struct shell_line *line = memory_new(sizeof(*line));
	int r;

	buffer_init(&line->text, 2 * text.length + 2);
	r = split_line(text, line);
	f->words = line->text;
	f->reader = script_reader(line);
	if (r == -E2BIG) {
		/* Any of those that are not kept may be a shell. */
		f->reader = READER_POSIX;
		add_unread_line(f, text);
		r = 0;
	} else if (r == 0 && (terminal || !add_git(f, line))) {
		add_commands(f, OPERATION_SSH_EXEC, text, line);
		add_transfers(f, line, terminal);
	}
	if (r == 0 && terminal && f->reader != READER_NONE)
		add(f, OPERATION_SSH_SHELL, OBJECT_NONE, SLICE_EMPTY);
	free(line);
	return r;
}

/* What a shell's history would be put in for (bash(1), HISTORY EXPANSION). */
static bool has_history(struct slice text)
{
	return memchr(text.data, '!', text.length) || text.data[0] == '^';
}

static int read_line(struct ssh_facts *f, struct slice text)
{
	struct shell_line *line;
	int r = -E2BIG;

	if (text.length == 0) {
		add(f, OPERATION_SSH_LINE, OBJECT_UNKNOWN,
			slice_from_string("a line that can't be known"));
		return 0;
	}
	line = memory_new(sizeof(*line));
	buffer_init(&line->text, 2 * text.length + 2);
	if (!has_history(text))
		r = split_line(text, line);
	f->words = line->text;
	if (r == 0)
		add_commands(f, OPERATION_SSH_LINE, text, line);
	else if (r == -E2BIG)
		add(f, OPERATION_SSH_LINE, OBJECT_UNKNOWN, text);
	free(line);
	return r == -E2BIG ? 0 : r;
}

/* Commands that nobody can tell; any rule with objects asks for more. */
static void add_unknown_commands(struct ssh_facts *f, const char *which)
{
	add(f, OPERATION_SSH_EXEC, OBJECT_UNKNOWN, slice_from_string(which));
}

static void add_script(struct ssh_facts *f, const struct shell_line *lines, bool whole, int error)
{
	if (!whole)
		add_unknown_commands(f, "a script whose end is not known");
	else if (f->reader == READER_OTHER)
		add_unknown_commands(f, "a script for another kind of shell");
	else if (error)
		add_unknown_commands(f, "a script with too many commands");
	for (size_t i = 0; whole && error == 0 && i < lines->count; i++)
		add(f, OPERATION_SSH_EXEC, lines->commands[i].known ? OBJECT_KNOWN : OBJECT_UNKNOWN,
			words_of(f, &lines->commands[i]));
	if (whole && error == 0)
		add_transfers(f, lines, true);
}

static int append_texts(
	struct ssh_facts *f, struct slice command, struct slice script, struct slice *ret_script)
{
	int r;

	buffer_init(&f->text, TEXT_MOST);
	r = buffer_append_slice(&f->text, command);
	if (r == 0 && command.length)
		r = buffer_append_byte(&f->text, '\n');
	if (r == 0)
		r = buffer_append_slice(&f->text, script);
	f->action.text = buffer_slice(&f->text);
	*ret_script = slice_from(f->action.text, f->action.text.length - script.length);
	return r;
}

static void add_line(struct ssh_facts *f, const struct ssh_facts *command, struct slice text,
	const struct shell_line *line, bool unread)
{
	if (command->pairs[0].operation == OPERATION_SSH_SHELL)
		add(f, OPERATION_SSH_SHELL, OBJECT_NONE, SLICE_EMPTY);
	else if (unread)
		add_unread_line(f, text);
	else
		add_commands(f, OPERATION_SSH_EXEC, text, line);
	if (!unread)
		add_transfers(f, line, true);
}

/* Both have their words in one buffer. What has too many commands is an error that is no failure.
 */
static int split_both(struct ssh_facts *f, struct slice text, struct slice script,
	struct shell_line *line, struct shell_line *lines, int errors[2])
{
	buffer_init(&line->text, 2 * f->action.text.length + 4);
	errors[0] = split_line(text, line);
	lines->text = line->text;
	errors[1] = script_split(script, lines);
	line->text = f->words = lines->text;
	for (size_t i = 0; i < 2; i++) {
		if (errors[i] < 0 && errors[i] != -E2BIG)
			return errors[i];
	}
	return 0;
}

int ssh_facts_init_script(
	struct ssh_facts *f, const struct ssh_facts *command, struct slice script, bool whole)
{
	struct shell_line *line = memory_new(sizeof(*line)), *lines = memory_new(sizeof(*lines));
	struct slice text = command->action.text;
	int r, errors[2] = {0};

	*f = (struct ssh_facts){.action = {.protocol = PROTOCOL_SSH}, .reader = command->reader};
	f->pairs = memory_new_array(PAIRS_MOST, sizeof(*f->pairs));
	f->action.pairs = f->pairs;
	r = append_texts(f, text, script, &script);
	text = slice_head(f->action.text, text.length);
	if (r == 0)
		r = split_both(f, text, script, line, lines, errors);
	if (r == 0) {
		add_line(f, command, text, line, errors[0]);
		add_script(f, lines, whole, errors[1]);
	}
	if (r == 0 && !errors[0] && !script_is_all(line))
		add_unknown_commands(f, "what a shell reads beside its script");
	free(line);
	free(lines);
	return r;
}

static int read_forwarded(struct ssh_facts *f, struct slice text)
{
	struct slice place, origin;
	int r = forwarded_split(text, &place, &origin);

	if (r < 0)
		return r;
	add(f, OPERATION_SSH_REMOTE_CONNECTION, OBJECT_KNOWN, place);
	add(f, OPERATION_SSH_REMOTE_CONNECTION, OBJECT_KNOWN, origin);
	return 0;
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

/* A terminal takes some bytes as keys, and adds others: what is read of files on our side is not
 * what the host's end reads. */
static void read_subsystem(struct ssh_facts *f, struct slice name, bool terminal)
{
	if (terminal && slice_equal_string(name, "sftp")) {
		f->action.unknown |= ACTION_UNKNOWN_TEXT;
		f->action.problem = "sftp on a terminal, which changes its bytes";
	}
	add(f, OPERATION_SSH_SUBSYSTEM, OBJECT_KNOWN, name);
}

int ssh_facts_init(struct ssh_facts *f, const struct bridge_request *request)
{
	struct slice text;
	int r;

	*f = (struct ssh_facts){.action = {.protocol = PROTOCOL_SSH}};
	f->pairs = memory_new_array(PAIRS_MOST, sizeof(*f->pairs));
	buffer_init(&f->text, TEXT_MOST);
	r = buffer_append_slice(&f->text, request->text);
	text = buffer_slice(&f->text);
	f->action.text = text;
	f->action.pairs = f->pairs;
	if (r == 0 && request->kind == BRIDGE_EXEC)
		r = read_exec(f, text, request->terminal);
	else if (r == 0 && request->kind == BRIDGE_DEEDS)
		r = read_deeds(f, text);
	else if (r == 0 && request->kind == BRIDGE_LINE)
		r = read_line(f, text);
	else if (r == 0 && request->kind == BRIDGE_FORWARDED)
		r = read_forwarded(f, text);
	else if (r == 0 && request->kind == BRIDGE_SUBSYSTEM)
		read_subsystem(f, text, request->terminal);
	else if (r == 0)
		add(f, operations[request->kind], OBJECT_KNOWN, text);
	if (request->kind == BRIDGE_SHELL)
		f->reader = READER_POSIX;
	return r;
}

void ssh_facts_done(struct ssh_facts *f)
{
	free(f->pairs);
	buffer_done(&f->text);
	buffer_done(&f->words);
	*f = (struct ssh_facts){0};
}
