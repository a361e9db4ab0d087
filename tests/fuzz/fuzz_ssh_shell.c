/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_shell: command lines. What is known of one, quoted, is known to be the same again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/facts.h"
#include "protocol/ssh/shell.h"

static void check(bool good)
{
	if (!good)
		abort();
}

static void append_quoted(struct buffer *to, struct slice text)
{
	buffer_append_byte(to, '\'');
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '\'')
			buffer_append_string(to, "'\\''");
		else
			buffer_append_byte(to, text.data[i]);
	}
	buffer_append_byte(to, '\'');
}

/* A known command as one quoted word is one known command with that very text. */
static void split_again(struct slice words)
{
	struct shell_line *l = memory_new(sizeof(*l));
	struct buffer quoted;

	buffer_init(&quoted, 4 * words.length + 8);
	append_quoted(&quoted, words);
	buffer_init(&l->text, 2 * buffer_length(&quoted) + 2);
	check(shell_split(buffer_slice(&quoted), l) == 0);
	check(l->count == 1 && l->commands[0].known && l->simple);
	check(slice_equal(buffer_slice(&l->text), words));
	buffer_done(&l->text);
	buffer_done(&quoted);
	free(l);
}

static void try_line(struct slice line)
{
	struct shell_line *l = memory_new(sizeof(*l));
	size_t end = 0;

	buffer_init(&l->text, 2 * line.length + 2);
	if (shell_split(line, l) == 0) {
		for (size_t i = 0; i < l->count; i++) {
			const struct shell_command *c = &l->commands[i];

			check(c->start >= end);
			end = c->start + c->length;
			check(end <= buffer_length(&l->text));
			if (c->known)
				split_again(slice_of(
					buffer_slice(&l->text).data + c->start, c->length));
		}
	}
	buffer_done(&l->text);
	free(l);
}

/* The bytes as the script of a command: all of both is what people would decide about. */
static void try_script(const struct ssh_facts *command, struct slice script)
{
	struct ssh_facts facts;
	struct slice text;

	check(ssh_facts_init_script(&facts, command, script, script.length % 16 != 0) == 0);
	text = facts.action.text;
	check(slice_starts_with(text, command->action.text));
	check(text.length >= command->action.text.length + script.length);
	check(slice_equal(slice_from(text, text.length - script.length), script));
	for (size_t i = 0; i < facts.action.pair_count; i++)
		check(facts.pairs[i].state != OBJECT_UNKNOWN || facts.pairs[i].object.length);
	ssh_facts_done(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bridge_request request = {.kind = BRIDGE_EXEC, .text = slice_of(data, size)};
	struct ssh_facts facts;

	if (size > 4096)
		return 0;
	try_line(slice_of(data, size));
	check(ssh_facts_init(&facts, &request) == 0);
	check(facts.action.pair_count > 0);
	try_script(&facts, slice_of(data, size));
	ssh_facts_done(&facts);
	return 0;
}
