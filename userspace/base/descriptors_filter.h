/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors_filter: the system calls of a process that has every descriptor that it needs: what
 * those take, and no other files, sockets or processes.
 */
#ifndef WAYLEAVE_BASE_DESCRIPTORS_FILTER_H
#define WAYLEAVE_BASE_DESCRIPTORS_FILTER_H

#include "base/error.h"

/* From now on; another call kills the process. Landlock, as far as the kernel has it, refuses the
 * same beside it. */
int descriptors_filter(struct error *e);

#endif
