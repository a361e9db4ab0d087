/* SPDX-License-Identifier: Apache-2.0
 *
 * shown_yaml: a Secret in YAML as people are shown it (`kubectl apply --server-side` of other
 * clients): read, and written anew with other values. What stands behind "data", wherever that is,
 * is a value.
 */
#include <yaml.h>

#include "base/memory.h"
#include "base/yaml_event.h"
#include "protocol/kubernetes/kubernetes.h"

#define DEPTH_MOST 64u /* an object of the API has ten */
/* libyaml looks through all that is open at each token: what is longer and deep would take a worker
 * from others. */
#define CONTENT_MOST 65536u

struct level {
	bool mapping;
	bool at_value; /* of a mapping: its key came */
	bool hides; /* all that is in it */
	bool hides_value; /* which stands behind that key */
};

struct reading {
	yaml_parser_t parser;
	yaml_emitter_t emitter;
	struct level levels[DEPTH_MOST];
	unsigned depth;
	struct buffer *out;
};

static int write_out(void *data, unsigned char *bytes, size_t size)
{
	return buffer_append(data, bytes, size) == 0;
}

static bool is_of_values(struct slice key)
{
	return slice_equal_string(key, "data") || slice_equal_string(key, "stringData") ||
		slice_equal_string(key, KUBERNETES_LAST_APPLIED);
}

/* Whether what comes next is a mapping's key. */
static bool is_at_key(const struct reading *r)
{
	const struct level *at = r->depth ? &r->levels[r->depth - 1] : NULL;

	return at && at->mapping && !at->at_value;
}

/* A node begins: whether it is a value that nobody is shown. */
static bool begin_node(struct reading *r)
{
	struct level *at = r->depth ? &r->levels[r->depth - 1] : NULL;

	if (!at)
		return false;
	at->at_value = false;
	return at->hides || at->hides_value;
}

static bool open_level(struct reading *r, bool mapping)
{
	bool hides = begin_node(r);

	if (r->depth == DEPTH_MOST)
		return false;
	r->levels[r->depth++] = (struct level){.mapping = mapping, .hides = hides};
	return true;
}

static bool read_key(struct reading *r, const yaml_event_t *event)
{
	struct level *at = &r->levels[r->depth - 1];

	if (event->type != YAML_SCALAR_EVENT)
		return false;
	at->at_value = true;
	at->hides_value =
		is_of_values(slice_of(event->data.scalar.value, event->data.scalar.length));
	return true;
}

static bool hide_value(yaml_event_t *event)
{
	yaml_char_t masked[] = "[masked]";

	yaml_event_delete(event);
	return yaml_scalar_event_initialize(event, NULL, NULL, masked, sizeof(masked) - 1, 1, 1,
		YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* False: it can't be shown. */
static bool read_event(struct reading *r, yaml_event_t *event)
{
	bool begins = event->type == YAML_SCALAR_EVENT ||
		event->type == YAML_SEQUENCE_START_EVENT || event->type == YAML_MAPPING_START_EVENT;

	if (yaml_event_is_decorated(event))
		return false;
	if (event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT)
		r->depth--;
	if (!begins)
		return true;
	if (is_at_key(r))
		return read_key(r, event);
	if (event->type != YAML_SCALAR_EVENT)
		return open_level(r, event->type == YAML_MAPPING_START_EVENT);
	return !begin_node(r) || hide_value(event);
}

static bool copy(struct reading *r)
{
	bool ends = false;

	while (!ends) {
		yaml_event_t event;

		if (!yaml_parser_parse(&r->parser, &event))
			return false;
		ends = event.type == YAML_STREAM_END_EVENT;
		if (!read_event(r, &event)) {
			yaml_event_delete(&event);
			return false;
		}
		/* It takes the event over, whatever comes of it. */
		if (!yaml_emitter_emit(&r->emitter, &event))
			return false;
	}
	return true;
}

bool kubernetes_yaml_hide(struct slice content, struct buffer *ret)
{
	struct reading *r;
	bool done;

	if (content.length > CONTENT_MOST)
		return false;
	r = memory_new(sizeof(*r));
	if (!yaml_parser_initialize(&r->parser) || !yaml_emitter_initialize(&r->emitter))
		memory_exhausted(0);
	yaml_parser_set_input_string(&r->parser, content.data, content.length);
	yaml_emitter_set_output(&r->emitter, write_out, ret);
	yaml_emitter_set_unicode(&r->emitter, 1);
	yaml_emitter_set_width(&r->emitter, -1);
	done = copy(r);
	yaml_emitter_delete(&r->emitter);
	yaml_parser_delete(&r->parser);
	free(r);
	return done;
}
