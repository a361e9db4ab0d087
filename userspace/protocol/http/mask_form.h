/* SPDX-License-Identifier: Apache-2.0
 *
 * mask_form: fields of application/x-www-form-urlencoded with what detectors find replaced. What a
 * field says stands there percent-encoded; its name tells what its value is.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_MASK_FORM_H
#define WAYLEAVE_PROTOCOL_HTTP_MASK_FORM_H

#include "masking/strategy.h"

/* How much of what came is complete fields; none is in so many bytes of it that were searched
 * before: a long field in tiny pieces must not keep a worker from all others. */
size_t mask_form_complete(struct slice came, size_t searched);
/* Appends the fields, which have "&" between them; one in which nothing is found as it came.
 * -E2BIG, -ENOMEM. */
int mask_form_append(const struct masker *m, struct slice fields, struct buffer *out);

#endif
