/* SPDX-License-Identifier: Apache-2.0
 *
 * filter: the system calls that the broker keeps. Its privileges are gone by then
 * (base/privileges.h).
 */
#ifndef WAYLEAVE_BROKER_FILTER_H
#define WAYLEAVE_BROKER_FILTER_H

#include "base/error.h"

/* Sockets of the Internet, files for reading (names of hosts, certificates), threads that look
 * names up; no other programs, no writing to files, no memory that becomes code. For all threads.
 */
int filter_load(struct error *e);

#endif
