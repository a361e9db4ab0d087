/* SPDX-License-Identifier: Apache-2.0
 *
 * fields: how questions and grants are written as bytes: big-endian numbers, texts behind their
 * length. Reading never goes beyond the end; the first thing that is wrong makes all later reads
 * empty, so that a reader checks once, at its end.
 */
#ifndef WAYLEAVE_APPROVAL_FIELDS_H
#define WAYLEAVE_APPROVAL_FIELDS_H

#include "approval/question.h"

struct field_reader {
	struct slice rest;
	bool bad;
};

int fields_put_number(struct buffer *b, uint64_t value);
int fields_put_text(struct buffer *b, struct slice text);
/* The scope without database and user. */
int fields_put_work(struct buffer *b, const struct scope_of_action *scope);
int fields_put_scope(struct buffer *b, const struct scope_of_action *scope);
/* The question's parameters, as they may be shown. */
int fields_put_values(struct buffer *b, const struct question *q);
int fields_put_parts(struct buffer *b, const struct question *q);

uint64_t fields_get_number(struct field_reader *r);
struct slice fields_get_text(struct field_reader *r);
void fields_get_work(struct field_reader *r, struct scope_of_action *ret);
void fields_get_scope(struct field_reader *r, struct scope_of_action *ret);
void fields_get_values(struct field_reader *r, struct question *ret);
void fields_get_parts(struct field_reader *r, struct question *ret);

#endif
