/* SPDX-License-Identifier: Apache-2.0
 *
 * redirection: those of a command line (XCU 2.7) that open no file, in the forms that all shells of
 * that kind read alike.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_REDIRECTION_H
#define WAYLEAVE_PROTOCOL_SSH_REDIRECTION_H

#include "base/slice.h"

/* The length of the one that `text` begins with: a descriptor that is duplicated or closed (2>&1,
 * >&2, <&3, 2>&-), or /dev/null (>/dev/null, 2>> /dev/null, </dev/null); descriptors have one
 * digit. 0: there is none, or what it is, or where it ends, is for each shell to say.
 * `ret_descriptor` is the one that changes. */
size_t redirection_length(struct slice text, unsigned *ret_descriptor);

#endif
