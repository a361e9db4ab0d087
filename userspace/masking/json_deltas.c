/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_deltas.h"

#include "base/memory.h"
#include "masking/json_reader.h"

/* An object or array that is open, or the value that comes next. */
struct place {
	uint64_t key; /* of names */
	uint64_t shape; /* of names, too, but for what "*" stands for */
	bool below_delta;
	uint64_t position; /* in an array: of its next element */
	/* What tells it from others of its key: its own indices, else its item's name, else where
	 * it stands in its array; 0: none. */
	uint64_t indices, item, standing;
	size_t first; /* piece in it */
};

struct walk {
	struct json_reader reader;
	struct place open[JSON_DEPTH_MOST + 1];
	struct place next;
	struct slice name; /* of the next value; empty in an array */
	bool goes_on; /* it says that it is not the last one */
	size_t count, room; /* pieces */
	bool too_many;
	struct json_delta *items;
};

/* What texts are called below a "delta". */
static const char *const texts[] = {"delta", "content", "text", "partial_json", "arguments",
	"thinking", "reasoning", "reasoning_content", "reasoning_text", "refusal", "transcript",
	"summary", "code", "input", "output"};
/* What tells one text from another of the same place. Some give an item's name anew in each event,
 * and its index beside it. */
static const char *const indices[] = {"index", "output_index", "content_index", "summary_index"};
#define ITEM "item_id"
/* Texts elsewhere; "*" is an array's element. */
static const struct {
	bool unfinished; /* only where "done" or "stop" is false beside it */
	bool counted; /* "index" counts its pieces */
	const char *names[6];
} elsewhere[] = {
	{false, false, {"choices", "*", "text"}},
	{false, false, {"candidates", "*", "content", "parts", "*", "text"}},
	{false, true, {"token", "text"}},
	{false, false, {"completion"}},
	{true, false, {"response"}},
	{true, false, {"content"}},
	{true, false, {"message", "content"}},
	{true, false, {"message", "thinking"}},
};

/* FNV-1a; a peer that makes two texts one gains nothing: what is found is masked. */
static uint64_t mix(uint64_t hash, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return (hash ^ 0xff) * 0x100000001b3u;
}

static bool is_one_of(struct slice name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_string(name, names[i]))
			return true;
	}
	return false;
}

static uint64_t shape_of(const char *const names[6])
{
	uint64_t shape = 0;

	for (size_t i = 0; i < 6 && names[i]; i++)
		shape = mix(shape, names[i], strlen(names[i]));
	return shape;
}

static bool is_elsewhere(struct slice name, uint64_t shape, bool *ret_unfinished, bool *ret_counted)
{
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		const char *const *names = elsewhere[i].names;
		size_t last = 5;

		while (!names[last])
			last--;
		if (!slice_equal_string(name, names[last]) || shape != shape_of(names))
			continue;
		*ret_unfinished = elsewhere[i].unfinished;
		*ret_counted = elsewhere[i].counted;
		return true;
	}
	return false;
}

/* The value that comes next is an array's element. */
static void take_position(struct walk *w)
{
	struct place *array = &w->open[w->reader.depth];

	w->next = *array;
	w->next.key = mix(array->key, "*", 1);
	w->next.shape = mix(array->shape, "*", 1);
	w->next.standing = mix(w->next.key, &array->position, sizeof(array->position));
	array->position++;
	w->name = SLICE_EMPTY;
}

static void take_name(struct walk *w)
{
	const struct place *object = &w->open[w->reader.depth];

	w->name = slice_of(w->reader.text.data + w->reader.start, w->reader.end - w->reader.start);
	w->next = *object;
	w->next.key = mix(object->key, w->name.data, w->name.length);
	w->next.shape = mix(object->shape, w->name.data, w->name.length);
	w->next.below_delta |= slice_equal_string(w->name, "delta");
	w->next.standing = 0;
}

static void take_scalar(struct walk *w, enum json_token token)
{
	const struct json_reader *r = &w->reader;
	uint64_t value = mix(w->next.key, r->text.data + r->start, r->end - r->start);

	if (is_one_of(w->name, indices, ARRAY_SIZE(indices)))
		w->open[r->depth].indices += value;
	else if (slice_equal_string(w->name, ITEM))
		w->open[r->depth].item = value;
	if (token == JSON_FALSE && r->depth == 1 &&
		(slice_equal_string(w->name, "done") || slice_equal_string(w->name, "stop")))
		w->goes_on = true;
}

static void take_string(struct walk *w)
{
	const struct json_reader *r = &w->reader;
	bool unfinished = false, counted = false;
	bool is_text = (w->next.below_delta && is_one_of(w->name, texts, ARRAY_SIZE(texts))) ||
		is_elsewhere(w->name, w->next.shape, &unfinished, &counted);

	if (!is_text || r->start == r->end)
		return;
	if (w->count == w->room) {
		w->too_many = true;
		return;
	}
	w->items[w->count++] = (struct json_delta){.key = w->next.key,
		.start = r->start,
		.end = r->end,
		.unfinished = unfinished && !w->next.below_delta,
		.counted = counted && !w->next.below_delta};
}

/* What tells the object or array that was closed from others tells its pieces from theirs. */
static void take_close(struct walk *w)
{
	const struct place *closed = &w->open[w->reader.depth + 1];
	uint64_t apart = closed->indices ? closed->indices
		: closed->item           ? closed->item
					 : closed->standing;

	for (size_t i = closed->first; apart && i < w->count; i++) {
		if (!w->items[i].counted)
			w->items[i].key += apart;
	}
}

/* False: no more comes, or it is no JSON. */
static bool take_token(struct walk *w, enum json_token token)
{
	switch (token) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		w->open[w->reader.depth] = (struct place){.key = w->next.key,
			.shape = w->next.shape,
			.below_delta = w->next.below_delta,
			.standing = w->next.standing,
			.first = w->count};
		return true;
	case JSON_NAME:
		take_name(w);
		return true;
	case JSON_CLOSE:
		take_close(w);
		return true;
	case JSON_STRING:
		take_scalar(w, token);
		take_string(w);
		return true;
	case JSON_NUMBER:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		take_scalar(w, token);
		return true;
	default:
		return false;
	}
}

static bool is_in_array(const struct json_reader *r)
{
	return r->depth && !r->objects[r->depth - 1];
}

size_t json_deltas_find(struct slice json, struct json_delta *ret, size_t room)
{
	struct walk w = {.items = ret, .room = room};
	enum json_token token;
	size_t count = 0;

	json_reader_init(&w.reader, json);
	do {
		/* Before the token is known: what it opens stands there. */
		if (is_in_array(&w.reader))
			take_position(&w);
		token = json_next(&w.reader);
	} while (take_token(&w, token));
	if (token != JSON_END)
		return 0;
	if (w.too_many)
		return room + 1;
	for (size_t i = 0; i < w.count; i++) {
		if (ret[i].unfinished && !w.goes_on)
			continue;
		ret[count++] = ret[i];
	}
	return count;
}
