/* SPDX-License-Identifier: Apache-2.0
 *
 * error: the sentence that goes with a negative errno, for errors that a person must understand.
 */
#ifndef WAYLEAVE_BASE_ERROR_H
#define WAYLEAVE_BASE_ERROR_H

struct error {
	char text[512];
};

/* Stores the text (cut where too long) and returns `code`, a negative errno, for
 * "return error_set(...)". A NULL error keeps only the code. */
int error_set(struct error *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As error_set(), with ": " and strerror(-code) added. */
int error_set_errno(struct error *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
