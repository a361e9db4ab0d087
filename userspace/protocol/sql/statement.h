/* SPDX-License-Identifier: Apache-2.0
 *
 * statement: one text as the agent sent it, parsed by PostgreSQL's own grammar (libpg_query).
 *
 * A sql_text is immutable and reference-counted, belongs to one thread, and holds what the text
 * alone says: its commands and their trees. What names mean needs a session's view (resolve.h).
 *
 * No text can crash or stall the process: length, tokens and depth are checked before the
 * recursive parser sees it (limits.h), and sql_text_parse() must run on a stack of
 * LIMIT_PARSER_STACK bytes, which those limits can't overflow.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_STATEMENT_H
#define WAYLEAVE_PROTOCOL_SQL_STATEMENT_H

#include "base/slice.h"

enum sql_status {
	SQL_PARSED,
	SQL_REJECTED, /* our grammar does not accept it; the server's may */
	SQL_TOO_LONG,
	SQL_TOO_DEEP, /* nested too deep, or too many tokens */
};

/* What the protocol engine must know of a command, apart from policy. */
enum sql_command_kind {
	SQL_COMMAND_OTHER,
	SQL_COMMAND_EMPTY, /* nothing but comments, in a text without any other command */
	SQL_COMMAND_PREPARE, /* name */
	SQL_COMMAND_EXECUTE, /* name */
	SQL_COMMAND_DEALLOCATE, /* name, or all */
	SQL_COMMAND_DECLARE, /* name; hold = WITH HOLD */
	SQL_COMMAND_FETCH, /* name; MOVE too */
	SQL_COMMAND_CLOSE, /* name, or all */
	SQL_COMMAND_COPY,
	SQL_COMMAND_BEGIN,
	SQL_COMMAND_COMMIT,
	SQL_COMMAND_ROLLBACK, /* of the whole transaction */
	SQL_COMMAND_SAVEPOINT, /* and RELEASE */
	SQL_COMMAND_ROLLBACK_TO, /* a savepoint */
	SQL_COMMAND_DISCARD, /* all = DISCARD ALL */
	SQL_COMMAND_LISTEN,
};

/* What a command may change once it ran. */
enum sql_effect {
	SQL_EFFECT_CATALOG = 1 << 0, /* names, columns, functions: DDL */
	SQL_EFFECT_TEMPORARY = 1 << 1, /* only the session's temporary relations */
	SQL_EFFECT_NAMING = 1 << 2, /* how names are looked up: search_path, role, DISCARD, RESET */
	SQL_EFFECT_UNKNOWN =
		1 << 3, /* ran code that may have done any of it: DO, CALL, functions */
	SQL_EFFECT_VALUES = 1 << 4, /* what values in a text mean: DateStyle and its like */
};

/* One option list of COPY … TO STDOUT / FROM STDIN, with PostgreSQL's defaults filled in. */
enum sql_copy_format { SQL_COPY_TEXT, SQL_COPY_CSV, SQL_COPY_BINARY };
struct sql_copy {
	bool to_client; /* TO STDOUT */
	bool from_client; /* FROM STDIN */
	enum sql_copy_format format;
	uint8_t delimiter, quote, escape;
	struct slice null_text;
	bool header;
	bool encoding_given; /* ENCODING 'x': the data is in another encoding than the session's */
};

struct sql_command {
	enum sql_command_kind kind;
	unsigned effects; /* enum sql_effect, or-ed; before functions are resolved */
	bool all, hold;
	/* Its meaning depends on the session's prepared statements or cursors, or it changes them.
	 */
	bool session_names;
	bool takes_all; /* a SELECT from something, without WHERE */
	struct slice name; /* case-folded as the server does; owned by the sql_text */
	struct sql_copy copy;
	struct slice part; /* its own part of the text */
};

struct sql_text;

/* Parses. Never NULL; the caller holds one reference. The text is copied. */
struct sql_text *sql_text_parse(struct slice text);
/* One that is longer than what is parsed, and not all here: SQL_TOO_LONG. As above. */
struct sql_text *sql_text_too_long(void);
struct sql_text *sql_text_get(struct sql_text *t);
void sql_text_put(struct sql_text *t); /* takes NULL */

enum sql_status sql_text_status(const struct sql_text *t);
bool sql_text_is_ascii(const struct sql_text *t);
/* Whether a server of that encoding reads the same names in it as here (sql_encoding_keeps_name()).
 * Of a text that was not parsed there are none. */
bool sql_text_keeps_names(const struct sql_text *t, const char *server);
/* Whether it is the same text under every setting of encodings and strings: ASCII without quotes
 * and backslashes. */
bool sql_text_is_plain(const struct sql_text *t);
/* Whether anything in it is looked up in the catalog: not in BEGIN, nor in SET. */
bool sql_text_has_names(const struct sql_text *t);
/* Whether the server may take a snapshot for it: not for what begins and ends transactions, nor for
 * SET and SHOW. */
bool sql_text_takes_snapshot(const struct sql_text *t);
/* For anything but SQL_PARSED: why, for people. Owned by the text. */
const char *sql_text_problem(const struct sql_text *t);
/* 0 where the text was not parsed. A text of nothing but comments has one SQL_COMMAND_EMPTY. */
size_t sql_text_command_count(const struct sql_text *t);
/* Whether it is one command alone, which neither names nor makes a prepared statement or cursor. */
bool sql_text_is_alone(const struct sql_text *t);
const struct sql_command *sql_text_command(const struct sql_text *t, size_t index);
/* Whether the facts depend on the value of a literal ("order by 1", set_config('x', …)), so that a
 * text that differs only in numbers is another statement. */
bool sql_text_depends_on_literals(const struct sql_text *t);
/* Bytes of memory it holds. */
size_t sql_text_size(const struct sql_text *t);
/* A place for its users to keep what they derived (a policy verdict, say), freed by `free` with the
 * text. One per text; NULL at first. */
void **sql_text_attachment(struct sql_text *t, void (*free)(void *));

#endif
