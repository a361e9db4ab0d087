/* SPDX-License-Identifier: Apache-2.0
 *
 * schema: what a file may say, as tables, and the one walker that reads a node tree by them into
 * structs. Whatever is wrong (unknown keys, wrong types, missing keys) is added to the diagnostics
 * with its line and what was expected, and the walk goes on.
 *
 * Every struct that a schema fills begins with a struct place. All that is filled in belongs to the
 * loader's arena.
 */
#ifndef WAYLEAVE_POLICY_SCHEMA_H
#define WAYLEAVE_POLICY_SCHEMA_H

#include "policy/node.h"

/* Where something stands. `file` NULL: it stands nowhere (absent). */
struct place {
	const char *file;
	unsigned line;
};

/* A text and its place; `text` NULL: absent. */
struct config_text {
	struct place place;
	const char *text;
};

/* A list of texts. `place.file` tells an absent list (NULL) from an empty one. */
struct config_texts {
	struct place place;
	struct config_text *items;
	size_t count;
};

/* A number, duration (nanoseconds), size (bytes) or percentage; `place.file` NULL: absent, and
 * `value` is the default. */
struct config_number {
	struct place place;
	uint64_t value;
};

/* One of several names: the value is the name's index; `place.file` NULL: absent. */
struct config_choice {
	struct place place;
	unsigned value;
};

enum schema_type {
	SCHEMA_TEXT, /* struct config_text */
	SCHEMA_TEXTS, /* struct config_texts */
	SCHEMA_CHOICE, /* struct config_choice, of `names` */
	SCHEMA_FLAG, /* bool */
	SCHEMA_NUMBER, /* struct config_number, from 0 to `most` */
	SCHEMA_DURATION, /* struct config_number */
	SCHEMA_SIZE, /* struct config_number */
	SCHEMA_PERCENT, /* struct config_number, from 1 to 100 */
	SCHEMA_MAPPING, /* struct X *: NULL where absent */
	SCHEMA_LIST, /* struct X *, and a size_t at `count_offset` */
	SCHEMA_NAMED, /* the same, of a mapping whose keys are names (struct config_named) */
	SCHEMA_NAMED_TEXTS, /* the same, and what they name are lists (struct config_named_texts) */
};

struct schema;

struct schema_key {
	const char *name;
	enum schema_type type;
	bool required;
	size_t offset;
	size_t count_offset;
	const struct schema *schema; /* of the members */
	const char *const *names; /* SCHEMA_CHOICE: up to a NULL */
	uint64_t most;
};

struct schema {
	const char *what; /* "a rule", for messages */
	size_t size;
	const struct schema_key *keys;
	size_t key_count;
	const void *initial; /* the defaults, `size` bytes; NULL: zeros */
};

/* How the structs of a SCHEMA_NAMED begin. */
struct config_named {
	struct place place;
	struct config_text name;
};

/* The structs of a SCHEMA_NAMED_TEXTS. */
struct config_named_texts {
	struct place place;
	struct config_text name;
	struct config_texts texts;
};

struct loader {
	struct arena *arena;
	struct diagnostics *diagnostics;
	const char *file; /* the one that is read now */
};

#define loader_error(l, place_, ...)                                                               \
	diagnostics_add(                                                                           \
		(l)->diagnostics, DIAGNOSTIC_ERROR, (place_).file, (place_).line, __VA_ARGS__)
#define loader_warning(l, place_, ...)                                                             \
	diagnostics_add(                                                                           \
		(l)->diagnostics, DIAGNOSTIC_WARNING, (place_).file, (place_).line, __VA_ARGS__)

/* Reads `node` into `target` (schema->size bytes, filled with the defaults here). */
void schema_read(
	struct loader *l, const struct schema *schema, const struct node *node, void *target);

#endif
