/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/node.h"

#include <errno.h>
#include <yaml.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/yaml_event.h"

struct reader {
	yaml_parser_t parser;
	struct arena *arena;
	const char *file;
	struct diagnostics *diagnostics;
	size_t nodes;
};

void *node_allocate(struct arena *a, size_t size)
{
	void *p = arena_new(a, size);

	if (!p)
		memory_exhausted(size);
	return p;
}

const char *node_copy_text(struct arena *a, const char *text)
{
	struct slice copy = arena_copy(a, slice_from_string(text));

	if (!copy.data)
		memory_exhausted(strlen(text) + 1);
	return (const char *)copy.data;
}

const char *node_kind_name(enum node_kind kind)
{
	static const char *const names[] = {
		[NODE_TEXT] = "a text",
		[NODE_LIST] = "a list",
		[NODE_MAPPING] = "a mapping",
	};

	return names[kind];
}

const struct node *node_find(const struct node *mapping, const char *key)
{
	for (const struct node *member = mapping->first; member; member = member->next) {
		if (member->key && strcmp(member->key, key) == 0)
			return member;
	}
	return NULL;
}

#define reader_error(r, line, ...)                                                                 \
	diagnostics_add((r)->diagnostics, DIAGNOSTIC_ERROR, (r)->file, line, __VA_ARGS__)

static bool reader_next(struct reader *r, yaml_event_t *ret)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, ret))
		return true;
	if (p->error == YAML_READER_ERROR)
		reader_error(r, 0, "not valid YAML: %s (byte %zu)", p->problem, p->problem_offset);
	else
		reader_error(r, (unsigned)p->problem_mark.line + 1, "not valid YAML: %s%s%s",
			p->context ? p->context : "", p->context ? ", " : "",
			p->problem ? p->problem : "out of memory");
	return false;
}

static struct node *reader_read_node(struct reader *r, yaml_event_t *event, unsigned depth);

static unsigned event_line(const yaml_event_t *event)
{
	return (unsigned)event->start_mark.line + 1;
}

/* Names and messages end up in logs, on terminals and in errors that agents read. */
static bool is_one_printable_line(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		uint8_t c = text.data[i];
		uint8_t after = i + 1 < text.length ? text.data[i + 1] : 0;

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && after >= 0x80 && after < 0xa0))
			return false;
	}
	return true;
}

static bool reader_take_text(struct reader *r, const yaml_event_t *event, struct node *ret)
{
	struct slice text = slice_of(event->data.scalar.value, event->data.scalar.length);
	char *copy;

	/* YAML's block styles end with a line break that nobody means. */
	while (text.length && text.data[text.length - 1] == '\n')
		text.length--;
	if (!is_one_printable_line(text)) {
		reader_error(r, event_line(event), "expected one line without control characters");
		return false;
	}
	copy = node_allocate(r->arena, text.length + 1);
	memcpy(copy, text.data, text.length);
	ret->text = copy;
	ret->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return true;
}

static bool reader_check_key(struct reader *r, const struct node *mapping, const struct node *key)
{
	const struct node *other;

	if (key->kind != NODE_TEXT) {
		reader_error(r, key->line, "expected a key, not %s", node_kind_name(key->kind));
		return false;
	}
	other = node_find(mapping, key->text);
	if (other)
		reader_error(r, key->line, "\"%s\" stands here twice; the first is in line %u",
			key->text, other->key_line);
	if (mapping->count >= LIMIT_CONFIG_KEYS) {
		reader_error(r, key->line, "more than %u keys in one mapping", LIMIT_CONFIG_KEYS);
		return false;
	}
	return true;
}

/* Fills a list or mapping up to its end event. */
static bool reader_read_members(
	struct reader *r, struct node *parent, yaml_event_type_t end, unsigned depth)
{
	struct node **tail = &parent->first;

	for (;;) {
		struct node *key = NULL, *member;
		yaml_event_t event;

		if (!reader_next(r, &event))
			return false;
		if (event.type == end) {
			yaml_event_delete(&event);
			return true;
		}
		if (parent->kind == NODE_MAPPING) {
			key = reader_read_node(r, &event, depth);
			if (!key || !reader_check_key(r, parent, key) || !reader_next(r, &event))
				return false;
		}
		member = reader_read_node(r, &event, depth);
		if (!member)
			return false;
		if (key) {
			member->key = key->text;
			member->key_line = key->line;
		}
		*tail = member;
		tail = &member->next;
		parent->count++;
	}
}

/* Takes over the event. NULL after an error that ends the reading. */
static struct node *reader_read_node(struct reader *r, yaml_event_t *event, unsigned depth)
{
	struct node *node = node_allocate(r->arena, sizeof(*node));
	yaml_event_type_t type = event->type;
	bool ok = true;

	node->line = event_line(event);
	if (yaml_event_is_decorated(event)) {
		reader_error(r, node->line,
			"anchors, aliases and tags are not used here; "
			"expected the value itself");
		ok = false;
	} else if (++r->nodes > LIMIT_CONFIG_NODES || depth > LIMIT_CONFIG_DEPTH) {
		reader_error(r, node->line, "too large: at most %u values, nested %u deep",
			LIMIT_CONFIG_NODES, LIMIT_CONFIG_DEPTH);
		ok = false;
	} else if (type == YAML_SCALAR_EVENT) {
		ok = reader_take_text(r, event, node);
	}
	yaml_event_delete(event);
	if (ok && type == YAML_SEQUENCE_START_EVENT) {
		node->kind = NODE_LIST;
		ok = reader_read_members(r, node, YAML_SEQUENCE_END_EVENT, depth + 1);
	} else if (ok && type == YAML_MAPPING_START_EVENT) {
		node->kind = NODE_MAPPING;
		ok = reader_read_members(r, node, YAML_MAPPING_END_EVENT, depth + 1);
	}
	return ok ? node : NULL;
}

/* The stream must hold one document and nothing behind it. */
static struct node *reader_read_document(struct reader *r)
{
	struct node *root = NULL;
	yaml_event_t event;

	for (;;) {
		yaml_event_type_t type;

		if (!reader_next(r, &event))
			return NULL;
		type = event.type;
		if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
			yaml_event_delete(&event);
		} else if (type == YAML_STREAM_END_EVENT) {
			yaml_event_delete(&event);
			if (!root)
				reader_error(r, 0, "the file is empty; expected a mapping of keys");
			return root;
		} else if (type == YAML_DOCUMENT_START_EVENT && root) {
			reader_error(
				r, event_line(&event), "expected one YAML document, not several");
			yaml_event_delete(&event);
			return NULL;
		} else if (type == YAML_DOCUMENT_START_EVENT) {
			yaml_event_delete(&event);
		} else {
			root = reader_read_node(r, &event, 0);
			if (!root)
				return NULL;
		}
	}
}

struct node *node_read(
	struct arena *a, const char *file, struct slice content, struct diagnostics *d)
{
	struct reader r = {.arena = a, .file = file, .diagnostics = d};
	struct node *root;

	if (!yaml_parser_initialize(&r.parser))
		memory_exhausted(0);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	/* A file without a byte has no data; libyaml ends the process where it gets NULL. */
	yaml_parser_set_input_string(
		&r.parser, content.length ? content.data : (const uint8_t *)"", content.length);
	root = reader_read_document(&r);
	yaml_parser_delete(&r.parser);
	if (root && root->kind != NODE_MAPPING) {
		reader_error(&r, root->line, "expected a mapping of keys, not %s",
			node_kind_name(root->kind));
		return NULL;
	}
	return root;
}

struct node *node_read_file(struct arena *a, const char *file, struct diagnostics *d)
{
	struct node *root = NULL;
	struct buffer content;
	int r;

	buffer_init(&content, LIMIT_CONFIG_FILE_BYTES);
	r = file_read(file, &content, NULL);
	if (r == -E2BIG)
		diagnostics_add(d, DIAGNOSTIC_ERROR, file, 0, "larger than %u bytes",
			LIMIT_CONFIG_FILE_BYTES);
	else if (r < 0)
		diagnostics_add(d, DIAGNOSTIC_ERROR, file, 0, "can't be read: %s", strerror(-r));
	else
		root = node_read(a, file, buffer_slice(&content), d);
	buffer_done(&content);
	return root;
}
