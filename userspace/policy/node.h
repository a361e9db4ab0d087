/* SPDX-License-Identifier: Apache-2.0
 *
 * node: a YAML file as a small tree that knows its lines. Only what a configuration needs: one
 * document of mappings, lists and texts. Anchors, aliases, tags and merge keys are refused, so a
 * small file stays a small tree; a key that stands twice is an error, not a silent override.
 */
#ifndef WAYLEAVE_POLICY_NODE_H
#define WAYLEAVE_POLICY_NODE_H

#include "base/arena.h"
#include "base/diagnostics.h"

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAPPING };

struct node {
	enum node_kind kind;
	bool plain; /* a text without quotes */
	unsigned line; /* from 1 */
	const char *key; /* of a mapping's member, else NULL */
	unsigned key_line;
	const char *text; /* NODE_TEXT: never NULL; one line without control characters */
	size_t count; /* NODE_LIST, NODE_MAPPING: how many members, from `first` on */
	struct node *first;
	struct node *next; /* the next member of the parent */
};

/* Memory of the arena for what a configuration holds; never NULL: configurations are written by the
 * admin and their files are bounded (limits.h), so running out ends the process. */
void *node_allocate(struct arena *a, size_t size) __attribute__((returns_nonnull));
const char *node_copy_text(struct arena *a, const char *text) __attribute__((returns_nonnull));

/* Parses `content`; `file` is its name for messages and must live as long as the arena, which owns
 * the tree. NULL where the file can't be used at all; what is wrong has then been added to `d`. */
struct node *node_read(
	struct arena *a, const char *file, struct slice content, struct diagnostics *d);
/* As node_read(), of a file; relative names are the process's. */
struct node *node_read_file(struct arena *a, const char *file, struct diagnostics *d);
/* The member with that key, or NULL. */
const struct node *node_find(const struct node *mapping, const char *key);
/* "a text", "a list", "a mapping" */
const char *node_kind_name(enum node_kind kind);

#endif
