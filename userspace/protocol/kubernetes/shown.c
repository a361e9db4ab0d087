/* SPDX-License-Identifier: Apache-2.0
 *
 * shown: what people see of a request's content, and what is recorded of it: of a Secret that is
 * written, all but its values. Decisions are bound to the content itself.
 */
#include "base/memory.h"
#include "masking/json_path.h"
#include "masking/source.h"
#include "protocol/kubernetes/kubernetes.h"

#define VALUES(prefix)                                                                             \
	PATH(prefix ".data.*"), PATH(prefix ".stringData.*"),                                      \
		PATH(prefix ".metadata.annotations['" KUBERNETES_LAST_APPLIED "']")
#define PATH(text)                                                                                 \
	{                                                                                          \
		.path = {(const uint8_t *)(text), sizeof(text) - 1}, .strategy = MASK_REDACT       \
	}

/* An object or what is merged into one, a list of them, and what a JSON Patch puts in. */
static const struct mask_json paths[] = {VALUES("$"), VALUES("$.items[*]"), PATH("$[*].value")};

/* MASK_REPLACED, MASK_UNCHANGED, or negative errno. */
static int hide_json(struct slice content, struct buffer *ret)
{
	const struct mask_rules rules = {.json = paths, .json_count = ARRAY_SIZE(paths)};
	bool too_many = false;
	struct json_paths *compiled = json_paths_new(&rules, &too_many);
	struct masker masker;
	int r;

	masker_init(&masker, NULL, NULL, &rules);
	r = json_paths_mask(compiled, &masker, content, ret);
	json_paths_free(compiled);
	return r;
}

bool kubernetes_content_hide(
	const struct http_pairs *pairs, struct slice content, struct buffer *ret)
{
	size_t about_secrets;
	int r;

	kubernetes_secrets_masks(pairs, &about_secrets);
	if (!about_secrets)
		return false;
	r = hide_json(content, ret);
	if (r >= 0)
		return r == MASK_REPLACED;
	buffer_wipe(ret);
	/* It may be a comment alone. */
	if (kubernetes_yaml_hide(content, ret) && buffer_length(ret))
		return true;
	/* What can't be read is not shown. */
	buffer_wipe(ret);
	buffer_append_string(ret, "[masked]");
	return true;
}
