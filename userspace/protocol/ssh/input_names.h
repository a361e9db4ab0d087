/* SPDX-License-Identifier: Apache-2.0
 *
 * input_names: names by which a command finds its input among files (proc(5), stdin(4)). Words are
 * those of shell.h, without quotes.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_INPUT_NAMES_H
#define WAYLEAVE_PROTOCOL_SSH_INPUT_NAMES_H

#include "base/slice.h"

/* The input, for a shell that is told what to read. */
bool input_is(struct slice word);
/* A path that may lead to it, or to a folder in which it has a name, as /proc/1/../self/fd/0 and fd
 * do; or an option that may have one for its value, as -ffd/0. */
bool input_may_be(struct slice word);
/* The same, and a number, which is a name of some input where the folder is /dev/fd: for what is a
 * file's name and no other word. */
bool input_may_be_file(struct slice word);

#endif
