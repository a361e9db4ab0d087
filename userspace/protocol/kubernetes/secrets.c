/* SPDX-License-Identifier: Apache-2.0
 *
 * secrets: where the values of Secrets stand in what the API answers: an object, a list, the
 * objects of a table, an event of a watch; and what an earlier apply has kept of them in an
 * annotation.
 */
#include "base/memory.h"
#include "protocol/kubernetes/kubernetes.h"

#define VALUES(prefix)                                                                             \
	PATH(prefix ".data.*", MASK_BASE64), PATH(prefix ".stringData.*", MASK_REDACT),            \
		PATH(prefix ".metadata.annotations['" KUBERNETES_LAST_APPLIED "']", MASK_NULL)
#define PATH(text, how)                                                                            \
	{                                                                                          \
		.path = {(const uint8_t *)(text), sizeof(text) - 1}, .strategy = (how)             \
	}

/* A value stays what its reader expects: base64, as typed clients decode it; the annotation would
 * be read as an object, and is not there. */
static const struct mask_json masks[] = {VALUES("$"), VALUES("$.items[*]"), VALUES("$.object"),
	VALUES("$.object.items[*]"), VALUES("$.rows[*].object"), VALUES("$.object.rows[*].object")};

static bool is_secret(struct slice object)
{
	static const char resource[] = "secrets/";
	size_t length = sizeof(resource) - 1;
	const uint8_t *slash;

	if (slice_starts_with(object, slice_from_string(resource)))
		return true;
	slash = object.length ? memchr(object.data, '/', object.length) : NULL;
	return slash &&
		slice_equal_string(
			slice_head(slice_from(object, (size_t)(slash - object.data) + 1), length),
			resource);
}

const struct mask_json *kubernetes_secrets_masks(const struct http_pairs *pairs, size_t *ret_count)
{
	/* What could not be read may be about Secrets. */
	bool masked = pairs->unknown & ACTION_UNKNOWN_TEXT;

	for (size_t i = 0; i < pairs->count; i++)
		masked |= is_secret(pairs->items[i].object);
	*ret_count = masked ? ARRAY_SIZE(masks) : 0;
	return masks;
}
