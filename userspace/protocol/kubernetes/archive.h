/* SPDX-License-Identifier: Apache-2.0
 *
 * archive: whether what a program in a pod writes is a tar archive, as `kubectl cp` has it write
 * one: then a mask of another length than what it hides would part each file behind it from its
 * header. Internal to protocol/kubernetes/.
 */
#ifndef WAYLEAVE_PROTOCOL_KUBERNETES_ARCHIVE_H
#define WAYLEAVE_PROTOCOL_KUBERNETES_ARCHIVE_H

#include "base/slice.h"

/* A header, with which one begins (POSIX.1-2017, pax, "ustar Interchange Format"). */
#define KUBERNETES_ARCHIVE_HEADER 512u /* bytes */

/* Whether so much of the begin is one's header: its magic and its sum are right. False where it is
 * shorter than a header. */
bool kubernetes_begins_archive(struct slice begin);
/* Whether a command calls tar to write one to its output ("tar cf - DIR"), also within the words of
 * a shell. `command`: its words, with blanks between. What only looks so counts. */
bool kubernetes_writes_archive(struct slice command);

#endif
