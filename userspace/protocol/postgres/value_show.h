/* SPDX-License-Identifier: Apache-2.0
 *
 * value_show: what people may see of a parameter in binary format (struct protocol: show).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_VALUE_SHOW_H
#define WAYLEAVE_PROTOCOL_POSTGRES_VALUE_SHOW_H

#include "protocol/protocol.h"

#define PG_NUMBER_MOST 1024 /* characters of a number that is shown */

/* Appends the number that `value` is in the format of *_send(), as the server would write it, if it
 * is of a number's type. -ENOTSUP: it is of another; -EBADMSG: it is not of its type; -E2BIG: it
 * has more characters than are shown. Then nothing was appended. */
int pg_number_put(uint32_t type, struct slice value, struct buffer *ret);

/* As struct protocol has it. */
int pg_value_show(
	const struct masker *masker, const struct protocol_value *value, struct buffer *ret);

#endif
