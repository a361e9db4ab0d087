/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/transfer.h"

#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/path.h"

/* The command's words, one by one. */
struct words {
	struct slice rest;
	size_t count; /* that were taken */
};

static bool next_word(struct words *w, struct slice *ret)
{
	bool any = shell_next_word(&w->rest, ret);

	w->count += any;
	return any;
}

static bool is_called(struct slice word, const char *program)
{
	size_t length = strlen(program);

	return slice_equal_string(word, program) ||
		(word.length > length && word.data[word.length - length - 1] == '/' &&
			slice_equal_string(slice_from(word, word.length - length), program));
}

static bool is_option(struct slice word)
{
	return word.length && word.data[0] == '-';
}

/* What an empty one means is the program's to say. */
static void take_path(struct transfer *t, struct slice word, struct slice rest)
{
	t->known &= word.length > 0;
	if (t->path_count++ == 0)
		t->paths = slice_of(word.data, (size_t)(rest.data - word.data) + rest.length);
}

/* --- scp --- */

/* Without an argument, and without another file that they name. */
static bool take_scp_letters(struct transfer *t, struct slice letters)
{
	bool plain = letters.length > 0;

	for (size_t i = 0; i < letters.length; i++) {
		t->reads |= letters.data[i] == 'f';
		t->writes |= letters.data[i] == 't';
		t->below |= letters.data[i] == 'r';
		plain &= letters.data[i] && strchr("dfpqrtv", letters.data[i]);
	}
	return plain;
}

/* Some implementations read options behind paths, too. */
static void read_scp(struct transfer *t, struct words *w)
{
	struct slice word;
	bool plain = true, only_paths = false;

	while (next_word(w, &word)) {
		if (only_paths || !is_option(word)) {
			take_path(t, word, w->rest);
			continue;
		}
		plain &= !t->path_count;
		if (slice_equal_string(word, "--"))
			only_paths = true;
		else
			plain &= take_scp_letters(t, slice_from(word, 1));
	}
	if (!t->reads && !t->writes)
		t->program = TRANSFER_NONE;
	t->known &= plain && t->reads != t->writes && (t->reads || t->path_count == 1);
}

/* --- rsync --- */

/* "-logDtpre.iLsfxCIvu": behind "e" stands what the client is able to. "s" has the paths come
 * later, where nobody reads them; "b" keeps what was there under another name beside it. */
static bool take_rsync_letters(struct transfer *t, struct slice letters)
{
	static const char plain[] = "vqnlLkKHogDtOpEAXrRxSucCzWyIdmiNUJ";

	for (size_t i = 0; i < letters.length; i++) {
		t->below |= letters.data[i] == 'r' || letters.data[i] == 'd';
		if (letters.data[i] == 'e')
			return slice_from(letters, i + 1).length && letters.data[i + 1] == '.';
		if (!letters.data[i] || !strchr(plain, letters.data[i]))
			return false;
	}
	return letters.length > 0;
}

/* That make it read or write nothing else, wherever that is. */
static bool is_plain_long(struct slice word)
{
	static const char *const flags[] = {"--append", "--append-verify", "--delete",
		"--delete-after", "--delete-before", "--delete-delay", "--delete-during",
		"--delete-excluded", "--existing", "--force", "--ignore-errors",
		"--ignore-existing", "--ignore-missing-args", "--inplace", "--no-implied-dirs",
		"--no-relative", "--numeric-ids", "--open-noatime", "--partial", "--preallocate",
		"--safe-links", "--size-only", "--stats", "--super"};
	static const char *const values[] = {
		"--block-size=", "--bwlimit=", "--checksum-choice=", "--checksum-seed=",
		"--compress-choice=", "--compress-level=", "--debug=", "--info=", "--max-delete=",
		"--max-size=", "--min-size=", "--modify-window=", "--timeout="};

	if (SHELL_IS_ONE_OF(word, flags))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (slice_starts_with(word, slice_from_string(values[i])))
			return true;
	}
	return false;
}

/* False: what it does is not known. */
static bool take_rsync_option(struct transfer *t, struct slice word, bool *ret_server)
{
	if (slice_equal_string(word, "--server")) {
		*ret_server = true;
	} else if (slice_equal_string(word, "--sender")) {
		t->reads = true;
	} else if (slice_equal_string(word, "--remove-source-files")) {
		t->writes = true;
	} else if (slice_equal_string(word, "--daemon")) {
		/* What it serves stands in a file. */
		t->reads = t->writes = true;
		return false;
	} else if (slice_starts_with(word, slice_from_string("--"))) {
		return is_plain_long(word);
	} else {
		return take_rsync_letters(t, slice_from(word, 1));
	}
	return true;
}

/* The first word that is no option is ".", and paths are behind it. */
static void read_rsync(struct transfer *t, struct words *w)
{
	bool server = false, plain = true, dot = false;
	struct slice word;

	while (next_word(w, &word)) {
		if (is_option(word))
			plain &= take_rsync_option(t, word, &server) && !dot;
		else if (dot)
			take_path(t, word, w->rest);
		else if (slice_equal_string(word, "."))
			dot = true;
		else
			plain = false;
	}
	if (!server)
		t->program = TRANSFER_NONE;
	t->writes |= !t->reads;
	t->known &= plain && t->path_count > 0;
}

/* --- the command --- */

struct transfer transfer_of(const struct shell_line *line, const struct shell_command *c)
{
	struct transfer t = {.known = line->simple && c->known};
	struct words w = {.rest = shell_words(line, c)};
	struct slice word;

	while (t.program == TRANSFER_NONE && next_word(&w, &word)) {
		if (is_called(word, "scp"))
			t.program = TRANSFER_SCP;
		else if (is_called(word, "rsync"))
			t.program = TRANSFER_RSYNC;
		else
			continue;
		/* Another program of that name may do anything. */
		t.known &= w.count == 1 &&
			(slice_equal_string(word, "scp") || slice_equal_string(word, "rsync"));
	}
	if (t.program == TRANSFER_SCP)
		read_scp(&t, &w);
	else if (t.program == TRANSFER_RSYNC)
		read_rsync(&t, &w);
	t.below |= t.writes;
	/* A quoted blank parts no words. */
	t.known &= w.count == c->words && t.path_count <= TRANSFER_PATHS_MOST;
	return t;
}

bool transfer_next(struct transfer *t, struct slice *ret, bool *ret_known)
{
	if (!shell_next_word(&t->paths, ret))
		return false;
	while (ret->length > 1 && ret->data[ret->length - 1] == '/')
		ret->length--;
	/* rsync's programs expand some arguments by themselves. */
	*ret_known = path_is_plain(*ret) && !shell_has_any(*ret, "*?[{\\");
	return true;
}
