/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of policy/ share: a policy from texts, through the image as in the product.
 */
#ifndef WAYLEAVE_TESTS_POLICY_TEST_H
#define WAYLEAVE_TESTS_POLICY_TEST_H

#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "policy/config_check.h"
#include "policy/judge.h"

/* The tree's members `config` and `rules`, each as in its own file. NULL where anything is wrong,
 * which is in `d`. The config takes over the arena that the tree is in. */
static inline struct config *policy_test_load(
	struct config *c, const struct node *root, const char *file, struct diagnostics *d)
{
	struct loader l = config_loader(c, d);
	const struct node *config = node_find(root, "config"), *rules = node_find(root, "rules");

	l.file = c->file = file;
	if (config && config->kind != NODE_MAPPING)
		diagnostics_add(d, DIAGNOSTIC_ERROR, file, config->line, "expected a mapping");
	else if (config)
		config_read(c, &l, config);
	if (rules) {
		struct node only = *rules;
		struct node policy_file = {
			.kind = NODE_MAPPING, .line = rules->line, .count = 1, .first = &only};

		only.next = NULL;
		config_add_rules(c, &l, file, &policy_file);
	}
	config_check(c, &l, CONFIG_WITH_UNBUILT | CONFIG_WITHOUT_FILES);
	if (d->errors == 0)
		return c;
	config_free(c);
	return NULL;
}

static inline struct config *policy_test_load_text(const char *text, struct diagnostics *d)
{
	struct config *c = config_new("test");
	struct node *root = node_read(&c->arena, c->file, slice_from_string(text), d);

	if (!root) {
		config_free(c);
		return NULL;
	}
	return policy_test_load(c, root, c->file, d);
}

static inline struct policy *policy_test_open(
	const struct config *c, const struct policy_address *addresses, size_t address_count)
{
	struct policy *p = NULL;
	struct buffer image;
	struct error e;

	buffer_init(&image, LIMIT_POLICY_IMAGE);
	if (policy_image_build(c, 7, addresses, address_count, &image) < 0)
		fprintf(stderr, "the image can't be built\n");
	else if (policy_open(buffer_slice(&image).data, buffer_length(&image), &p, &e) < 0)
		fprintf(stderr, "%s\n", e.text);
	buffer_done(&image);
	return p;
}

/* From `config:` and `rules:` in one text; ends the program where that has mistakes. `addresses`:
 * of names, as the monitor resolved them. */
static inline struct policy *policy_test_new_with(
	const char *text, const struct policy_address *addresses, size_t address_count)
{
	struct diagnostics d;
	struct config *c;
	struct policy *p;

	diagnostics_init(&d);
	c = policy_test_load_text(text, &d);
	if (!c) {
		diagnostics_print(&d, stderr);
		abort();
	}
	diagnostics_done(&d);
	p = policy_test_open(c, addresses, address_count);
	config_free(c);
	return p;
}

static inline struct policy *policy_test_new(const char *text)
{
	return policy_test_new_with(text, NULL, 0);
}

/* OPERATION_COUNT where the protocol has none of that name. */
static inline enum operation policy_test_operation(enum protocol_id protocol, struct slice name)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_is_of((enum operation)i, protocol) &&
			slice_equal_string(name, operation_name((enum operation)i)))
			return (enum operation)i;
	}
	return OPERATION_COUNT;
}

/* "select public.orders", "select" (no object), "select ?orders" (which orders is not known),
 * "delete +orders" (all of it). */
static inline bool policy_test_pair(
	enum protocol_id protocol, const char *text, struct action_pair *ret)
{
	size_t length = strcspn(text, " ");
	const char *object = text[length] ? text + length + 1 : NULL;

	*ret = (struct action_pair){
		.operation = policy_test_operation(protocol, slice_of(text, length)),
		.state = !object         ? OBJECT_NONE
			: *object == '?' ? OBJECT_UNKNOWN
					 : OBJECT_KNOWN,
		.everything = object && *object == '+',
		.object = slice_from_string(
			object && (*object == '?' || *object == '+') ? object + 1 : object),
	};
	return ret->operation != OPERATION_COUNT;
}

#endif
