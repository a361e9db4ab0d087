/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest: "did you mean" for names that a person mistyped.
 */
#ifndef WAYLEAVE_POLICY_SUGGEST_H
#define WAYLEAVE_POLICY_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

struct suggestion {
	const char *wanted;
	const char *best; /* NULL: nothing is near enough */
	size_t distance;
};

void suggestion_init(struct suggestion *s, const char *wanted);
/* Offers one existing name, which is kept by pointer. Of equally near ones the first wins. */
void suggestion_offer(struct suggestion *s, const char *name);
/* How many letters differ (case apart), are missing, too many or swapped with their neighbour;
 * names longer than 63 bytes count as far from everything. */
size_t suggestion_distance(const char *a, const char *b);

/* For printf: SUGGESTION_FORMAT with SUGGESTION_PRINT(s) adds `; did you mean "x"?` or nothing. */
#define SUGGESTION_FORMAT "%s%s%s"
#define SUGGESTION_PRINT(s)                                                                        \
	(s)->best ? "; did you mean \"" : "", (s)->best ? (s)->best : "", (s)->best ? "\"?" : ""

#endif
