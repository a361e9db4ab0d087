/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/argument.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "recording/secret.h"

/* --- words that name secrets --- */

struct secret_word {
	const char *text;
	bool ends; /* only where the name ends with it */
};

static const struct secret_word secret_words[] = {
	{"pass", false},
	{"pwd", false},
	{"secret", false},
	{"token", false},
	{"apikey", false},
	{"api-key", false},
	{"api_key", false},
	{"credential", false},
	{"authorization", false},
	{"cookie", false},
	{"bearer", false},
	{"identified", false},
	{"from-literal", true}, /* kubectl create secret */
	{"auth", true},
	{"key", true},
	{"sig", true},
	{"signature", true},
};

static bool is_name(uint8_t c)
{
	return isalnum(c) || c == '_' || c == '-' || c >= 0x80;
}

static size_t name_end(struct slice s, size_t at)
{
	while (at < s.length && is_name(s.data[at]))
		at++;
	return at;
}

static bool has_word(struct slice s, size_t at, const char *word)
{
	size_t length = strlen(word);

	return s.length - at >= length && strncasecmp((const char *)s.data + at, word, length) == 0;
}

/* The end of the name that a secret word at `at` belongs to, or 0. */
static size_t secret_name(struct slice s, size_t at)
{
	/* "bypass" is a word of options that take nothing. */
	if (at >= 2 && has_word(s, at - 2, "bypass"))
		return 0;
	for (size_t i = 0; i < sizeof(secret_words) / sizeof(secret_words[0]); i++) {
		size_t end = at + strlen(secret_words[i].text);

		if (!has_word(s, at, secret_words[i].text))
			continue;
		if (!secret_words[i].ends || end == name_end(s, end))
			return name_end(s, end);
	}
	return 0;
}

/* Where what a name hides begins: behind one byte that ends the name. The length: nowhere. A name
 * in a path hides nothing. */
static size_t find_secret(struct slice s)
{
	for (size_t at = 0; at < s.length; at++) {
		size_t end = secret_name(s, at);

		if (end && end + 1 < s.length && !memchr("/.@", s.data[end], 3))
			return end + 1;
	}
	return s.length;
}

/* --- passwords of URLs --- */

static bool is_web(struct slice before)
{
	return memmem(before.data, before.length, "http://", 7) ||
		memmem(before.data, before.length, "https://", 8);
}

/* "user:PASSWORD@host", with a scheme or without. Passwords may hold any byte, so that the last
 * '@' ends it. Without a colon, what stands before a web server's name is a token. */
static bool find_userinfo(struct slice s, size_t *ret_start, size_t *ret_end)
{
	const uint8_t *at = memrchr(s.data, '@', s.length), *colon;
	const uint8_t *scheme = memmem(s.data, s.length, "://", 3), *start;

	if (!at)
		return false;
	start = scheme && scheme < at ? scheme + 3 : s.data;
	if (start > at)
		return false;
	colon = memchr(start, ':', (size_t)(at - start));
	if (!colon && !is_web(slice_head(s, (size_t)(start - s.data))))
		return false;
	*ret_start = (size_t)((colon ? colon + 1 : start) - s.data);
	*ret_end = (size_t)(at - s.data);
	return true;
}

int argument_append_safe(struct buffer *b, struct slice s)
{
	size_t secret = find_secret(s), start, end;
	int r = 0;

	if (find_userinfo(s, &start, &end) && start < secret) {
		r = buffer_append_slice(b, slice_head(s, start));
		if (r == 0)
			r = buffer_append_string(b, SECRET_MARK);
		/* What was found may have stood in the password. */
		s = slice_from(s, end);
		secret = find_secret(s);
	}
	if (r == 0)
		r = buffer_append_slice(b, slice_head(s, secret));
	return r < 0 || secret == s.length ? r : buffer_append_string(b, SECRET_MARK);
}

/* --- programs --- */

enum style {
	STYLE_INTERPRETER, /* `letters` take code; behind code or a script nothing is known */
	STYLE_SHELL, /* the same, where other letters may follow */
	STYLE_COUNTED, /* nothing is known of any argument */
	STYLE_LETTERS, /* `letters` take a secret */
	STYLE_CLUSTERS, /* the same, where other letters may come first */
};

struct argument_program {
	const char *name; /* what its name begins with */
	enum style style;
	const char *letters;
	const char *names; /* options that take secrets, each between spaces */
};

static const struct argument_program programs[] = {
	{"sshpass", STYLE_LETTERS, "p", ""},
	{"sh", STYLE_SHELL, "c", ""},
	{"bash", STYLE_SHELL, "c", ""},
	{"dash", STYLE_SHELL, "c", ""},
	{"zsh", STYLE_SHELL, "c", ""},
	{"ksh", STYLE_SHELL, "c", ""},
	{"fish", STYLE_SHELL, "c", ""},
	{"busybox", STYLE_INTERPRETER, "", ""},
	{"python", STYLE_INTERPRETER, "c", ""},
	{"pypy", STYLE_INTERPRETER, "c", ""},
	{"node", STYLE_INTERPRETER, "ep", ""},
	{"bun", STYLE_INTERPRETER, "ep", ""},
	{"deno", STYLE_INTERPRETER, "ep", ""},
	{"perl", STYLE_INTERPRETER, "eE", ""},
	{"ruby", STYLE_INTERPRETER, "e", ""},
	{"php", STYLE_INTERPRETER, "rBRE", ""},
	{"lua", STYLE_INTERPRETER, "e", ""},
	{"java", STYLE_INTERPRETER, "", ""},
	{"Rscript", STYLE_INTERPRETER, "e", ""},
	{"tclsh", STYLE_INTERPRETER, "c", ""},
	{"pwsh", STYLE_COUNTED, "", ""},
	{"awk", STYLE_COUNTED, "", ""},
	{"gawk", STYLE_COUNTED, "", ""},
	{"mawk", STYLE_COUNTED, "", ""},
	{"expect", STYLE_COUNTED, "", ""},
	{"sqlplus", STYLE_COUNTED, "", ""},
	{"redis-cli", STYLE_COUNTED, "", ""},
	{"mysqladmin", STYLE_COUNTED, "", ""},
	{"mariadb-admin", STYLE_COUNTED, "", ""},
	{"htpasswd", STYLE_COUNTED, "", ""},
	{"mysql", STYLE_LETTERS, "p", ""},
	{"mariadb", STYLE_LETTERS, "p", ""},
	{"mongo", STYLE_LETTERS, "p", ""},
	{"docker", STYLE_LETTERS, "p", ""},
	{"podman", STYLE_LETTERS, "p", ""},
	{"ldap", STYLE_LETTERS, "w", ""},
	{"sqlcmd", STYLE_LETTERS, "P", ""},
	{"bcp", STYLE_LETTERS, "P", ""},
	{"smbclient", STYLE_LETTERS, "U", " --user "},
	{"curl", STYLE_CLUSTERS, "uUbE", " --user --proxy-user --cert --oauth2-bearer "},
	{"wget", STYLE_CLUSTERS, "", " --user "},
};

static const struct argument_program *find_program(struct slice path)
{
	const uint8_t *slash = memrchr(path.data, '/', path.length);
	struct slice name = slice_from(path, slash ? (size_t)(slash - path.data) + 1 : 0);

	/* A login shell. */
	if (name.length && name.data[0] == '-')
		name = slice_from(name, 1);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const struct argument_program *p = &programs[i];
		size_t length = strlen(p->name);

		/* "python3.12"; but "shop" is no shell. */
		if (has_word(name, 0, p->name) &&
			(name.length == length || !isalpha(name.data[length]) ||
				p->style == STYLE_LETTERS))
			return p;
	}
	return NULL;
}

/* --- one after the other --- */

static bool is_option(struct slice a)
{
	return a.length > 1 && a.data[0] == '-';
}

static bool is_long(struct slice a)
{
	return a.length > 2 && a.data[0] == '-' && a.data[1] == '-';
}

/* "--password", "-token": its value comes next. */
static bool names_next(struct slice a)
{
	if (!is_option(a) || has_word(a, 0, "--no-"))
		return false;
	for (size_t at = 1; at < a.length; at++) {
		if (secret_name(a, at) == a.length)
			return true;
	}
	return false;
}

static bool is_listed(const char *names, struct slice name)
{
	char word[64];

	if (name.length > sizeof(word) - 3)
		return false;
	snprintf(word, sizeof(word), " %.*s ", SLICE_PRINT(name));
	return strstr(names, word) != NULL;
}

static enum argument_kind judge_letters(
	struct argument_reader *r, struct slice a, size_t *ret_shown)
{
	const struct argument_program *p = r->program;

	if (is_long(a)) {
		r->hides_next |= is_listed(p->names, a);
		return ARGUMENT_SHOWN;
	}
	for (size_t i = 1; i < a.length && isalnum(a.data[i]); i++) {
		if (strchr(p->letters, a.data[i])) {
			r->hides_next = i + 1 == a.length;
			*ret_shown = i + 1;
			return r->hides_next ? ARGUMENT_SHOWN : ARGUMENT_START_SHOWN;
		}
		if (p->style != STYLE_CLUSTERS)
			break;
	}
	return ARGUMENT_SHOWN;
}

static bool takes_path(struct slice a)
{
	return slice_equal_string(a, "-cp") || slice_equal_string(a, "-classpath") ||
		slice_equal_string(a, "--class-path") || slice_equal_string(a, "-W") ||
		slice_equal_string(a, "-X");
}

/* "-c", "-lc"; and "-e'code'", whose end is code. */
static enum argument_kind judge_code_letters(struct argument_reader *r, struct slice a)
{
	for (size_t i = 1; i < a.length; i++) {
		if (!isalnum(a.data[i]))
			return strcmp(r->program->name, "java") == 0 ? ARGUMENT_SHOWN
								     : ARGUMENT_CODE;
		if (!strchr(r->program->letters, a.data[i]))
			continue;
		if (r->program->style != STYLE_SHELL && i + 1 < a.length)
			return ARGUMENT_CODE;
		r->code_next = true;
	}
	return ARGUMENT_SHOWN;
}

static enum argument_kind judge_interpreted(
	struct argument_reader *r, struct slice a, size_t *ret_shown)
{
	const uint8_t *sign = memchr(a.data, '=', a.length);

	if (r->code_next) {
		r->counts = true;
		return ARGUMENT_CODE;
	}
	if (r->value_next) {
		r->value_next = false;
		return ARGUMENT_SHOWN;
	}
	if (!is_option(a)) {
		/* The script, or its name for a module. */
		r->counts = true;
		return ARGUMENT_SHOWN;
	}
	if (sign && (is_long(a) || strcmp(r->program->name, "java") == 0)) {
		*ret_shown = (size_t)(sign - a.data) + 1;
		return ARGUMENT_START_SHOWN;
	}
	r->value_next = takes_path(a);
	if (is_long(a)) {
		r->code_next = is_listed(" --eval --print --command --execute --run ", a);
		return ARGUMENT_SHOWN;
	}
	return r->value_next ? ARGUMENT_SHOWN : judge_code_letters(r, a);
}

static void begin_program(struct argument_reader *r, struct slice path)
{
	const struct argument_program *p = find_program(path);

	if (!p)
		return;
	r->program = p;
	r->counts = p->style == STYLE_COUNTED;
}

static bool interprets(const struct argument_program *p)
{
	return p && (p->style == STYLE_INTERPRETER || p->style == STYLE_SHELL);
}

enum argument_kind argument_judge(struct argument_reader *r, struct slice a, size_t *ret_shown)
{
	if (!r->begun) {
		r->begun = true;
		begin_program(r, a);
		return ARGUMENT_SHOWN;
	}
	if (r->counts)
		return ARGUMENT_COUNTED;
	if (r->hides_next) {
		r->hides_next = false;
		return ARGUMENT_HIDDEN;
	}
	if (interprets(r->program))
		return judge_interpreted(r, a, ret_shown);
	r->hides_next = names_next(a);
	if (!is_option(a)) {
		/* "docker exec x python3 -c ..." */
		begin_program(r, a);
		return ARGUMENT_SHOWN;
	}
	return r->program ? judge_letters(r, a, ret_shown) : ARGUMENT_SHOWN;
}
