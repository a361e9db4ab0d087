/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/reader.h"

#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/input_names.h"
#include "protocol/ssh/shell_options.h"

static const char *const shells[] = {"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash",
	"posh", "yash", "hush", "lksh", "oksh", "pdksh", "rksh", "ksh93", "rzsh", "zsh5", "bash5"};
static const char *const other_shells[] = {"fish", "csh", "tcsh", "elvish", "nu", "pwsh", "rc",
	"es", "ion", "xonsh", "osh", "ysh", "sash"};
static const char *const users_shells[] = {"su", "runuser"};
static const char *const sudos[] = {"sudo", "doas"};

/* They run what stands behind them and their options. */
static const struct wrapper {
	const char *name;
	uint8_t words; /* that belong to it, beside options */
	bool opens; /* a shell, where nothing stands behind */
} wrappers[] = {
	{"sudo", 0, false}, /* with options: opens_shell() */
	{"doas", 0, false},
	{"env", 0, false}, /* with -S: splits_string() */
	{"nohup", 0, false},
	{"nice", 0, false},
	{"ionice", 0, false},
	{"setsid", 0, false},
	{"stdbuf", 0, false},
	{"timeout", 1, false},
	{"chroot", 1, true},
	{"busybox", 0, false},
	{"toybox", 0, false},
	{"exec", 0, false},
	{"command", 0, false},
	{"builtin", 0, false},
	{"noglob", 0, false},
	{"function", 1, false},
	{"coproc", 0, false},
	{"repeat", 1, false},
	{"flock", 1, false},
	{"taskset", 1, false},
	{"chrt", 1, false},
	{"runcon", 1, false},
	{"gosu", 1, false},
	{"su-exec", 1, false},
	{"runuser", 0, false},
	{"setpriv", 0, false},
	{"prlimit", 0, false},
	{"numactl", 0, false},
	{"strace", 0, false},
	{"systemd-run", 0, false},
	{"unshare", 0, true},
	{"nsenter", 0, true},
	{"setarch", 1, true},
	{"linux32", 0, true},
	{"linux64", 0, true},
	{"fakeroot", 0, true},
	{"pkexec", 0, true},
	{"newgrp", 1, true},
	{"time", 0, false}, /* by its path; else a keyword, with options */
	{"ssh-agent", 0, false},
};

/* What may stand before a command of the same list. */
static const char *const openings[] = {"!", "{", "if", "then", "elif", "else", "while", "until",
	"do", "time", "eval", "nocorrect"};

static const struct reader none = {READER_NONE, true};

#define NAME_MOST 16u

/* A word's name without folders, and without what quotes or brackets it where that is not known. */
static struct slice bare(struct slice word, char room[NAME_MOST])
{
	const uint8_t *slash = word.length ? memrchr(word.data, '/', word.length) : NULL;
	size_t length = 0;

	if (slash)
		word = slice_from(word, (size_t)(slash - word.data) + 1);
	for (size_t i = 0; i < word.length; i++) {
		if (word.data[i] && strchr("'\"\\()", word.data[i]))
			continue;
		if (length == NAME_MOST)
			return SLICE_EMPTY;
		room[length++] = (char)word.data[i];
	}
	return slice_of(room, length);
}

static bool starts_with(struct slice word, const char *text)
{
	return slice_starts_with(word, slice_from_string(text));
}

static bool redirects(struct slice word)
{
	return shell_has_any(word, "<>");
}

/* --- what opens a user's shell --- */

/* Letters of an option, up to one that has a value; true: that is the next word. */
static bool ends_with_value(struct slice word, const char *with_value, const char *asked, bool *ret)
{
	for (size_t i = 1; i < word.length; i++) {
		if (word.data[i] && strchr(with_value, word.data[i]))
			return i + 1 == word.length;
		*ret |= word.data[i] && strchr(asked, word.data[i]);
	}
	return false;
}

/* su(1): a shell, unless it is given a command, for which runuser(1) has -u as well. Its password
 * may be what it reads first. */
static struct reader reader_su(struct slice arguments)
{
	struct slice word;
	bool command = false;

	while (!command && shell_next_word(&arguments, &word)) {
		if (starts_with(word, "--"))
			command = starts_with(word, "--c") || starts_with(word, "--se") ||
				starts_with(word, "--u");
		else if (word.length && word.data[0] == '-' &&
			ends_with_value(word, "gGswT", "cu", &command))
			shell_next_word(&arguments, &word);
	}
	return (struct reader){command ? READER_NONE : READER_POSIX, false};
}

/* script(1): a shell on a terminal of its own, unless it is given a command. Where words can't be
 * told apart, an option may be a part of some other word. */
static struct reader reader_script(struct slice arguments, bool blanks)
{
	static const char with_value[] = "BEImoOTt";
	struct slice word;
	bool command = false;

	while (!command && shell_next_word(&arguments, &word)) {
		bool letters = word.length > 1 && word.data[0] == '-' && word.data[1] != '-';

		command = starts_with(word, "--c");
		if (!command && blanks && (!letters || shell_has_any(word, with_value)))
			break;
		if (letters && ends_with_value(word, with_value, "c", &command))
			shell_next_word(&arguments, &word);
	}
	return (struct reader){command ? READER_NONE : READER_POSIX, false};
}

/* env -Ssh, env --split-string 'sh -x': what is in the word is split, expanded and run. */
static bool splits_string(struct slice word)
{
	bool splits = false;

	if (starts_with(word, "--"))
		return starts_with(word, "--s");
	if (word.length && word.data[0] == '-')
		ends_with_value(word, "aCu", "S", &splits);
	return splits;
}

static bool is_long_with_word(struct slice word)
{
	static const char *const alone[] = {"--as", "--ba", "--be", "--he", "--k", "--li", "--lo",
		"--n", "--pre", "--re", "--se", "--sh", "--st", "--v"};

	for (size_t i = 0; i < ARRAY_SIZE(alone); i++) {
		if (starts_with(word, alone[i]))
			return false;
	}
	return !shell_has_any(word, "=") && !slice_equal_string(word, "--");
}

/* sudo -i, sudo -u x -s, doas -s: without a command behind. */
static bool opens_shell(struct slice arguments)
{
	struct slice word;
	bool shell = false;

	while (shell_next_word(&arguments, &word)) {
		bool more = false;

		if (starts_with(word, "--")) {
			shell |= starts_with(word, "--lo") || starts_with(word, "--sh");
			more = is_long_with_word(word);
		} else if (word.length && word.data[0] == '-') {
			more = ends_with_value(word, "CDghpRrtTUu", "is", &shell);
		} else if (word.length && !redirects(word) && !shell_is_assignment(word)) {
			return false;
		}
		if (more && !shell_next_word(&arguments, &word))
			break;
	}
	return shell;
}

/* --- finding the shell among the words --- */

struct search {
	bool known, blanks;
	bool never_ends; /* where words can't be told apart, any behind the first may be one */
	bool passed; /* the name went by */
	bool option; /* the word before was an option of a wrapper: this may be its value */
	bool wrapped, opens;
	bool env; /* is the wrapper */
	unsigned words; /* that belong to the wrapper */
};

static const struct wrapper *find_wrapper(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++) {
		if (slice_equal_string(name, wrappers[i].name))
			return &wrappers[i];
	}
	return NULL;
}

/* "2>&10 sh" is "2>" and "10 sh" to shell_split(). */
static bool is_number(struct slice word)
{
	size_t i = 0;

	while (i < word.length && word.data[i] >= '0' && word.data[i] <= '9')
		i++;
	return i && i == word.length;
}

/* A word that is neither: the value of an option, what a wrapper has before the name, or the name.
 */
static bool takes_word(struct search *s, struct slice word, bool value)
{
	if (value)
		s->opens &= is_number(word);
	else if (s->words)
		s->words--;
	else if (!is_number(word))
		s->passed = true;
	return !s->passed || s->never_ends;
}

/* Whether the shell's name may still come behind this word. */
static bool goes_on(struct search *s, struct slice word, struct slice name)
{
	const struct wrapper *w = find_wrapper(name);
	bool option = word.data[0] == '-', value = s->option;

	s->option = false;
	if (w) {
		s->wrapped = true;
		s->words = w->words;
		s->opens = w->opens;
		s->env = slice_equal_string(name, "env");
	} else if (redirects(word)) {
		s->words += shell_has_any(slice_from(word, word.length - 1), "<>");
	} else if (option && s->wrapped) {
		s->option = word.length > 1 && !slice_equal_string(word, "--");
	} else if (!shell_is_assignment(word) && !SHELL_IS_ONE_OF(word, openings)) {
		return takes_word(s, word, value);
	}
	s->never_ends |= s->blanks;
	return true;
}

/* A name that something is put in for may be any, and so may one of which a part stands behind what
 * ends a word here: a quoted blank, or the end of a line. "[" is a command. */
static bool may_be_any(const struct search *s, struct slice word, struct slice name)
{
	const uint8_t *slash = word.length ? memrchr(word.data, '/', word.length) : NULL;

	return !s->known && !s->option && s->words == 0 && !s->passed &&
		!shell_is_assignment(word) && !SHELL_IS_ONE_OF(word, openings) &&
		!slice_equal_string(name, "[") && !slice_equal_string(name, "[[") &&
		(word.data[word.length - 1] == '\\' ||
			shell_has_any(slash ? slice_from(word, (size_t)(slash - word.data)) : word,
				"$`*?[{~"));
}

/* Whether a shell with these arguments takes its commands from its input (XCU sh): not with -c, nor
 * with the name of a file and no -s. */
static struct reader reader_with(
	const struct search *s, enum reader_kind kind, struct slice arguments)
{
	struct shell_options o = {.plain = true};
	bool redirected = !s->known && redirects(arguments);
	struct slice word;

	shell_options_take(&arguments, s->blanks, &o);
	o.plain &= !redirected;
	if (o.command)
		return o.input ? (struct reader){kind, false} : none;
	if (!o.input && !redirected && shell_next_word(&arguments, &word) && !input_is(word)) {
		if (!input_may_be_file(word))
			return none;
		o.plain = false;
	}
	return (struct reader){kind, o.plain};
}

static struct reader read_name(
	const struct search *s, struct slice word, struct slice name, struct slice rest)
{
	const struct reader some = {READER_POSIX, false};

	if (SHELL_IS_ONE_OF(name, shells))
		return reader_with(s, READER_POSIX, rest);
	if (SHELL_IS_ONE_OF(name, other_shells))
		return reader_with(s, READER_OTHER, rest);
	if (SHELL_IS_ONE_OF(name, sudos))
		return opens_shell(rest) ? some : none;
	if (SHELL_IS_ONE_OF(name, users_shells))
		return reader_su(rest);
	if (slice_equal_string(name, "script"))
		return reader_script(rest, s->blanks);
	if (s->env && splits_string(word))
		return some;
	if (!s->known && (slice_equal_string(word, ".") || slice_equal_string(word, "source")))
		return reader_with(s, READER_POSIX, rest);
	return may_be_any(s, word, name) ? some : none;
}

/* Whether some word may hold a blank. */
static bool has_blanks(struct slice words, const struct shell_command *c)
{
	struct slice word;
	size_t count = 0;

	while (shell_next_word(&words, &word))
		count++;
	return !c->known || count != c->words;
}

/* A shell that was given a command or file: what stands behind is its own. */
static bool is_settled(const struct search *s, struct slice name)
{
	return !s->passed && !s->option && s->words == 0 &&
		(SHELL_IS_ONE_OF(name, shells) || SHELL_IS_ONE_OF(name, other_shells));
}

static struct reader find_reader(const struct shell_line *line, const struct shell_command *c)
{
	struct slice words = shell_words(line, c), word, name;
	struct search s = {.known = c->known, .blanks = has_blanks(words, c)};
	struct reader found = none;
	char room[NAME_MOST];

	s.never_ends = !c->known && shell_has_any(words, "()");
	while (shell_next_word(&words, &word)) {
		if (word.length == 0)
			continue;
		name = bare(word, room);
		found = read_name(&s, word, name, words);
		if (found.kind != READER_NONE || is_settled(&s, name) || !goes_on(&s, word, name))
			return found;
	}
	return (struct reader){s.opens ? READER_POSIX : READER_NONE, !s.opens};
}

struct reader reader_of(const struct shell_line *line, const struct shell_command *c)
{
	struct reader r = find_reader(line, c);

	r.plain &= r.kind == READER_NONE || !c->input;
	return r;
}

void reader_doubt(struct shell_line *line)
{
	for (size_t i = 0; i < line->count; i++) {
		struct shell_command *c = &line->commands[i];

		c->known &= !c->input || reader_of(line, c).kind == READER_NONE;
	}
}
