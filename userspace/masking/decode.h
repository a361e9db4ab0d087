/* SPDX-License-Identifier: Apache-2.0
 *
 * decode: text inside text: runs of hexadecimal digits and of base64 (RFC 4648), as encode() and
 * bytea give them.
 */
#ifndef WAYLEAVE_MASKING_DECODE_H
#define WAYLEAVE_MASKING_DECODE_H

#include "base/slice.h"

/* Shorter runs are not looked into: nothing that a detector knows fits. Bytes, encoded. */
#define DECODE_LEAST 12

enum decode_alphabet { DECODE_STANDARD, DECODE_URL, DECODE_ALPHABET_COUNT };

/* The run of bytes of that alphabet around `at`, lines of 60 and more joined, padding included. Not
 * before `from`. Empty where it is too short. Hexadecimal is a part of both. */
struct slice decode_find(struct slice text, size_t at, size_t from, enum decode_alphabet alphabet);
/* Decodes as hexadecimal where all are such digits ("x" or "0x" before them), else as base64, to
 * `ret` (room for run.length * 3 / 4 + 3). Returns the number of bytes. */
size_t decode_run(struct slice run, uint8_t *ret);
/* Decodes base64 of either alphabet up to the first byte that is not of them, line ends skipped, to
 * `ret` (room for text.length * 3 / 4 + 3). Returns the number of whole bytes. */
size_t decode_base64(struct slice text, uint8_t *ret);

#endif
