/* SPDX-License-Identifier: Apache-2.0
 *
 * secret: takes passwords out of texts before they are recorded: what stands behind a word such as
 * PASSWORD or IDENTIFIED BY, in connection strings, and in the user part of URLs.
 *
 * This looks at bytes, not at any language's grammar, so that it works for every protocol and for
 * text that no parser accepts. It hides as little as it can, because an agent could put the word
 * there on purpose; what it can't know is a password that nothing around it names as one.
 */
#ifndef WAYLEAVE_RECORDING_SECRET_H
#define WAYLEAVE_RECORDING_SECRET_H

#include "base/buffer.h"

#define SECRET_MARK "[hidden]"
/* In a set of parameters: every one. */
#define SECRET_ALL_PARAMETERS UINT64_MAX

struct secret_found {
	bool hidden; /* something was taken out of the text */
	uint64_t parameters; /* bit n-1: parameter $n is a password; SECRET_ALL_PARAMETERS */
};

/* Appends the text with each password replaced by SECRET_MARK, if there is one; nothing at all
 * where there is none (ret->hidden is false). 0, or buffer_append()'s errors. */
int secret_hide(struct slice text, struct buffer *ret_text, struct secret_found *ret);

#endif
