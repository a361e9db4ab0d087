/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/shell.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/redirection.h"

/* Where one of these stands in front, a list is not what it seems. Quotes make it plain. */
static const char *const reserved[] = {"!", "{", "}", "case", "do", "done", "elif", "else", "esac",
	"fi", "for", "if", "in", "then", "until", "while", "[[", "]]", "function", "select", "time",
	"coproc", "repeat", "foreach", "end", "nocorrect"};
/* Commands that run others, or change what others are; quoted or not. */
static const char *const runners[] = {"eval", "exec", "command", "builtin", ".", "source", "alias",
	"trap", "noglob", "emulate", "autoload", "bind", "compgen", "enable", "fc", "sched",
	"zmodload"};

struct splitter {
	struct slice in;
	size_t at;
	struct shell_line *line;
	struct shell_command *command; /* the one being read; NULL: none yet */
	bool named; /* its name is read */
	size_t raw; /* where it begins in the input */
	bool redirected;
	size_t word_end; /* of the last word, in the input */
	bool word_ends; /* for every shell, even if a redirection is glued to it */
	int error;
};

static void append(struct splitter *s, uint8_t c)
{
	if (s->error == 0)
		s->error = buffer_append_byte(&s->line->text, c);
}

static void begin_command(struct splitter *s)
{
	if (s->command)
		return;
	if (s->line->count == SHELL_COMMANDS_MOST) {
		s->error = -E2BIG;
		return;
	}
	s->command = &s->line->commands[s->line->count++];
	*s->command = (struct shell_command){.start = buffer_length(&s->line->text), .known = true};
	s->raw = s->at;
	s->named = s->redirected = false;
}

bool shell_is_one_of(struct slice word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_string(word, names[i]))
			return true;
	}
	return false;
}

/* What can't be known is shown as it was written. */
static void end_command(struct splitter *s)
{
	struct shell_command *c = s->command;
	size_t end = s->at;

	if (!c || s->error)
		return;
	s->command = NULL;
	/* zsh runs what NULLCMD says where nothing is named. */
	c->known &= s->named || !s->redirected;
	if (c->known) {
		c->length = buffer_length(&s->line->text) - c->start;
		return;
	}
	while (end > s->raw && (s->in.data[end - 1] == ' ' || s->in.data[end - 1] == '\t'))
		end--;
	buffer_truncate(&s->line->text, c->start);
	s->error = buffer_append(&s->line->text, s->in.data + s->raw, end - s->raw);
	c->length = end - s->raw;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool ends_word(uint8_t c)
{
	return is_blank(c) || c == '\n' || strchr(";&|<>()", c);
}

/* What an unquoted byte in a word may make of it: expansions, globs, and what only some shells
 * have. Bytes that no text has are read differently by different shells. */
static bool is_special(uint8_t c, bool first)
{
	if (c < ' ' || c == 0x7f)
		return true;
	return strchr("$`*?[]{}!^", c) || (first && (c == '~' || c == '#' || c == '='));
}

/* What looks like an assignment has its tildes expanded wherever it stands (bash): dd if=~/x. */
static bool is_home(const struct splitter *s)
{
	return s->in.data[s->at - 1] == '~' && strchr("=:", s->in.data[s->at - 2]);
}

/* In some encodings (GBK) a backslash is the second half of a letter and quotes nothing. */
static bool may_be_half(const struct splitter *s, size_t backslash)
{
	return backslash > 0 && s->in.data[backslash - 1] >= 0x80;
}

static void read_single_quotes(struct splitter *s)
{
	const uint8_t *end = memchr(s->in.data + s->at, '\'', s->in.length - s->at);

	if (!end) {
		s->command->known = false;
		s->at = s->in.length;
		return;
	}
	for (const uint8_t *p = s->in.data + s->at; p < end; p++) {
		s->command->known &= *p != '\0';
		append(s, *p);
	}
	s->at = (size_t)(end - s->in.data) + 1;
}

/* XCU 2.2.3: inside, "$" and "`" expand and a backslash quotes five characters. */
static void read_double_quotes(struct splitter *s)
{
	while (s->at < s->in.length) {
		uint8_t c = s->in.data[s->at++];

		if (c == '"')
			return;
		if (c == '$' || c == '`' || c == '\0' || c == '!')
			s->command->known = false;
		if (c == '\\' && s->at < s->in.length && s->in.data[s->at] &&
			strchr("$`\"\\\n", s->in.data[s->at])) {
			s->command->known &= !may_be_half(s, s->at - 1);
			c = s->in.data[s->at++];
			if (c == '\n')
				continue;
		}
		append(s, c);
	}
	s->command->known = false; /* the quote is not closed */
}

static void read_escape(struct splitter *s)
{
	if (s->at >= s->in.length) {
		s->command->known = false;
		return;
	}
	s->command->known &= s->in.data[s->at] != '\0' && !may_be_half(s, s->at - 1);
	if (s->in.data[s->at] != '\n')
		append(s, s->in.data[s->at]);
	s->at++;
}

/* Variables that are set for one command stand before it. */
static void read_name(struct splitter *s, struct slice word, bool quoted)
{
	if (s->named)
		return;
	s->named = !shell_is_assignment(word);
	if ((!quoted && shell_is_one_of(word, reserved, ARRAY_SIZE(reserved))) ||
		shell_is_one_of(word, runners, ARRAY_SIZE(runners)))
		s->command->known = false;
}

/* "2>" is no word, and what is more than one digit in front of an operator each shell reads in its
 * own way. In some encodings there are more blanks. */
static bool is_apart(struct slice word)
{
	bool digits = true;

	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] >= 0x80)
			return false;
		digits &= word.data[i] >= '0' && word.data[i] <= '9';
	}
	return !digits;
}

static void read_word(struct splitter *s)
{
	size_t start, first = s->at;
	struct slice word;
	bool quoted = false, assigned = false;

	if (s->command->words++)
		append(s, ' ');
	start = buffer_length(&s->line->text);
	while (s->at < s->in.length && s->error == 0) {
		uint8_t c = s->in.data[s->at];

		if (c && ends_word(c))
			break;
		s->at++;
		/* A line that goes on in the next is joined before words are read (XCU 2.2.1). */
		if (c == '\'' || c == '"' ||
			(c == '\\' && (s->at == s->in.length || s->in.data[s->at] != '\n')))
			quoted = true;
		if (c == '\'') {
			read_single_quotes(s);
		} else if (c == '"') {
			read_double_quotes(s);
		} else if (c == '\\') {
			read_escape(s);
		} else {
			if (c == '\0' || is_special(c, s->at - 1 == first) ||
				(assigned && is_home(s)))
				s->command->known = false;
			assigned |= c == '=';
			append(s, c);
		}
	}
	word = slice_from(buffer_slice(&s->line->text), start);
	s->word_end = s->at;
	s->word_ends = !quoted && s->command->known && is_apart(word);
	read_name(s, word, quoted);
}

/* What opens no file changes nothing about what the command is. Behind "&" it could be a part of
 * that operator (bash, zsh). False: it is another one, or none. */
static bool read_redirection(struct splitter *s)
{
	size_t length, before = s->at - 1;
	unsigned descriptor;

	if (s->at == s->word_end ? !s->word_ends : s->at && !is_blank(s->in.data[before]))
		return false;
	length = redirection_length(slice_from(s->in, s->at), &descriptor);
	if (length == 0)
		return false;
	begin_command(s);
	s->at += length;
	if (!s->command)
		return true;
	s->redirected = true;
	s->command->input |= descriptor == 0;
	return true;
}

/* An operator. Lists and pipelines are what they are whatever it is; a redirection that is left
 * opens a file, a bracket changes how what follows is read. */
static void read_operator(struct splitter *s)
{
	uint8_t c = s->in.data[s->at];

	if (strchr("<>()", c)) {
		begin_command(s);
		if (s->command)
			s->command->known = false;
		s->at++;
		return;
	}
	end_command(s);
	s->at++;
	if (c != '|')
		return;
	if (s->at < s->in.length && s->in.data[s->at] == '|')
		s->at++;
	else
		s->line->pipes = true;
}

/* A line that goes on in the next one, between two words. */
static bool is_continued(const struct splitter *s)
{
	return s->in.data[s->at] == '\\' && s->at + 1 < s->in.length &&
		s->in.data[s->at + 1] == '\n';
}

static void skip_comment(struct splitter *s)
{
	while (s->at < s->in.length && s->in.data[s->at] != '\n')
		s->at++;
}

static int split(struct slice line, bool comments, struct shell_line *ret)
{
	struct splitter s = {.in = line, .line = ret, .word_end = SIZE_MAX};
	bool operators = false;

	ret->count = 0;
	ret->pipes = false;
	while (s.at < line.length && s.error == 0) {
		uint8_t c = line.data[s.at];

		if (is_blank(c)) {
			s.at++;
		} else if (is_continued(&s)) {
			s.at += 2;
		} else if (c == '#' && comments) {
			skip_comment(&s);
		} else if (read_redirection(&s)) {
			operators = true;
		} else if (c && ends_word(c)) {
			operators = true;
			read_operator(&s);
		} else {
			begin_command(&s);
			if (s.command)
				read_word(&s);
		}
	}
	end_command(&s);
	ret->simple = ret->count == 1 && !operators && ret->commands[0].known;
	return s.error;
}

int shell_split(struct slice line, struct shell_line *ret)
{
	return split(line, false, ret);
}

int shell_split_lines(struct slice lines, struct shell_line *ret)
{
	return split(lines, true, ret);
}

bool shell_has_any(struct slice word, const char *bytes)
{
	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] && strchr(bytes, word.data[i]))
			return true;
	}
	return false;
}

struct slice shell_words(const struct shell_line *line, const struct shell_command *c)
{
	return slice_head(slice_from(buffer_slice(&line->text), c->start), c->length);
}

bool shell_next_word(struct slice *rest, struct slice *ret)
{
	size_t length = 0;

	if (rest->length == 0)
		return false;
	while (length < rest->length && !is_blank(rest->data[length]) && rest->data[length] != '\n')
		length++;
	*ret = slice_head(*rest, length);
	*rest = slice_from(*rest, length < rest->length ? length + 1 : length);
	return true;
}

bool shell_is_assignment(struct slice word)
{
	const uint8_t *equals = word.length ? memchr(word.data, '=', word.length) : NULL;

	return equals && equals > word.data && word.data[0] != '-' &&
		!memchr(word.data, '/', (size_t)(equals - word.data));
}

struct slice shell_argument(const struct shell_line *line, const char *program)
{
	struct slice text = buffer_slice(&line->text), head = slice_from_string(program), word;

	if (!line->simple || line->commands[0].words != 2 || !slice_starts_with(text, head) ||
		text.length <= head.length || text.data[head.length] != ' ')
		return SLICE_EMPTY;
	word = slice_from(text, head.length + 1);
	return word.length && word.data[0] != '-' ? word : SLICE_EMPTY;
}
