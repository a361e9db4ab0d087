/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that are typed, and what terminals show for them.
 */
#include <criterion/criterion.h>

#include "protocol/ssh/typing.h"

static struct typing typing;

static void begin(void)
{
	typing_init(&typing);
	typing_show(&typing, slice_from_string("\033[?2004h\033]0;host\007root@host:~# "));
	typing_begin(&typing);
}

static void type(const char *keys)
{
	for (; *keys; keys++)
		cr_expect(typing_type(&typing, (uint8_t)*keys));
}

static void expect(enum typing_state state, const char *line)
{
	cr_expect_eq(typing_state(&typing), state, "\"%s\": %d", line, typing_state(&typing));
	if (state == TYPING_KNOWN)
		cr_expect(slice_equal_string(typing_line(&typing), line), "%.*s",
			SLICE_PRINT(typing_line(&typing)));
}

Test(ssh_typing, what_is_shown_as_it_was_typed_is_known)
{
	static const struct {
		const char *keys, *shown, *line;
		enum typing_state state;
	} rows[] = {
		{"ls -l", "ls -l", "ls -l", TYPING_KNOWN},
		{"ls -l", "ls", "", TYPING_AWAITED},
		{"ls -l", "", "", TYPING_AWAITED},
		{"", "", "", TYPING_EMPTY},
		/* readline and a terminal by itself take back in their own ways */
		{"lss\177", "lss\b\033[K", "ls", TYPING_KNOWN},
		{"lss\177", "lss\b \b", "ls", TYPING_KNOWN},
		{"lss\b", "lss\b\033[J", "ls", TYPING_KNOWN},
		{"ab\025ls", "ab\b\b\033[Kls", "ls", TYPING_KNOWN},
		{"l\177", "l\b \b", "", TYPING_EMPTY},
		{"l\177", "l", "", TYPING_AWAITED},
		/* as at a margin, and with colours and bells */
		{"abcd", "ab \rcd", "abcd", TYPING_KNOWN},
		{"abcd", "abc\rcd", "abcd", TYPING_KNOWN},
		{"abcd", "abc\rdd", "", TYPING_UNKNOWN},
		{"abd", "abc\rd", "", TYPING_UNKNOWN},
		{"ab", "abc\r", "", TYPING_AWAITED},
		{"ls", "\033[1ml\033[0m\033[31ml\b\033[31ms\007\033[0m", "ls", TYPING_KNOWN},
		{"ls", "\033[1ml\033[0m\033[2Cs", "", TYPING_UNKNOWN},
		{"ls", "l\b\033[31mls\033[0m\007", "ls", TYPING_KNOWN},
		/* a program took some of the keys */
		{"ls qrm x", "rm x", "", TYPING_AWAITED},
		{"qrm x", "q$ rm x", "", TYPING_AWAITED},
		{"qrm x", "q\r\n$ rm x", "", TYPING_UNKNOWN},
		{"l", "l\303\274", "", TYPING_AWAITED},
		/* what moves elsewhere */
		{"ls", "\033[Hls", "", TYPING_UNKNOWN},
		{"ls", "\033[?1049hls", "", TYPING_UNKNOWN},
		{"ls", "ls\b\b\b", "", TYPING_UNKNOWN},
		{"ls", "l\033\003s", "", TYPING_UNKNOWN},
		{"ls", "\033(0ls", "", TYPING_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		type(rows[i].keys);
		typing_show(&typing, slice_from_string(rows[i].shown));
		cr_expect_eq(typing_state(&typing), rows[i].state, "row %zu: %d", i,
			typing_state(&typing));
		expect(rows[i].state, rows[i].line);
	}
}

/* Else what stands there already would run with it. */
Test(ssh_typing, a_line_is_known_only_behind_the_end_of_one)
{
	begin();
	type("rm x");
	typing_show(&typing, slice_from_string("rm x"));
	typing_end(&typing);
	typing_begin(&typing);
	expect(TYPING_UNKNOWN, "");
	cr_expect_not(typing_type(&typing, 'l'));
	typing_end(&typing);
	typing_show(&typing, slice_from_string("^C\r\n# "));
	typing_begin(&typing);
	expect(TYPING_EMPTY, "");
	type("ls");
	typing_show(&typing, slice_from_string("ls"));
	expect(TYPING_KNOWN, "ls");
}

/* Else a program may take some of what is typed, and the shell runs the rest. */
Test(ssh_typing, a_line_is_known_only_behind_a_prompt)
{
	static const struct {
		const char *shown;
		enum typing_state state;
	} rows[] = {
		{"\r\n", TYPING_UNKNOWN},
		{"\r\n\033[?2004l\r", TYPING_UNKNOWN},
		{"\r\n\033]0;title\007  \a", TYPING_UNKNOWN},
		{"\r\nsome\r\n", TYPING_UNKNOWN},
		{"\r\nsome\033\n", TYPING_UNKNOWN},
		{"\r\n# ", TYPING_KNOWN},
		{"\r\n\033[?2004l\rsome\r\n\033[?2004h\342\235\257 ", TYPING_KNOWN},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		type("head -c 5");
		typing_show(&typing, slice_from_string("head -c 5"));
		typing_end(&typing);
		typing_show(&typing, slice_from_string(rows[i].shown));
		typing_begin(&typing);
		/* Nothing stands in it. */
		expect(TYPING_EMPTY, "");
		for (const char *k = "ls"; *k; k++)
			cr_expect_eq(typing_type(&typing, (uint8_t)*k),
				rows[i].state == TYPING_KNOWN, "row %zu", i);
		typing_show(&typing, slice_from_string("ls"));
		cr_expect_eq(typing_state(&typing), rows[i].state, "row %zu", i);
	}
	/* A shell that has yet to say that it is there. */
	typing_init(&typing);
	typing_begin(&typing);
	cr_expect_not(typing_type(&typing, 'l'));
}

/* A terminal shows more than it keeps. */
Test(ssh_typing, what_is_too_long_is_not_known)
{
	cr_expect_eq(TYPING_LINE_MOST, 4095);
	begin();
	for (size_t i = 0; i < TYPING_LINE_MOST; i++) {
		type("x");
		typing_show(&typing, slice_from_string("x"));
	}
	cr_expect_eq(typing_state(&typing), TYPING_KNOWN);
	cr_expect_not(typing_type(&typing, 'x'));
	expect(TYPING_UNKNOWN, "");
}

Test(ssh_typing, keys_that_run_a_line_are_no_part_of_it)
{
	static const struct {
		const char *keys;
		enum typing_key kind;
	} rows[] = {
		{"\r\n", TYPING_KEY_ENTER},
		{"\003", TYPING_KEY_INTERRUPT},
		{"a ~\b\177\025", TYPING_KEY_TEXT},
		{"\t\033\001\017\020\022\026\030\205\215\303\377", TYPING_KEY_OTHER},
	};

	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (const char *k = rows[i].keys; *k; k++)
			cr_expect_eq(typing_key_of(&typing, (uint8_t)*k), rows[i].kind, "%zu: %d",
				i, *k);
	}
}

static void expect_end_keys(enum typing_key kind)
{
	for (const char *k = "\004\032\034"; *k; k++)
		cr_expect_eq(typing_key_of(&typing, (uint8_t)*k), kind, "%d", *k);
}

/* A shell keeps the line, and what is typed behind it is its rest. */
Test(ssh_typing, keys_that_end_programs_end_only_an_empty_line)
{
	begin();
	expect_end_keys(TYPING_KEY_ENTER);
	type("l");
	expect_end_keys(TYPING_KEY_OTHER);
	typing_show(&typing, slice_from_string("l"));
	expect_end_keys(TYPING_KEY_OTHER);
	type("\177");
	expect_end_keys(TYPING_KEY_OTHER);
	typing_show(&typing, slice_from_string("\b\033[K"));
	expect_end_keys(TYPING_KEY_ENTER);
	/* What history wrote is not seen here. */
	cr_expect_not(typing_type(&typing, 0x10));
	expect_end_keys(TYPING_KEY_OTHER);
	typing_end(&typing);
	typing_begin(&typing);
	expect_end_keys(TYPING_KEY_OTHER);
}
