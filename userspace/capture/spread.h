/* SPDX-License-Identifier: Apache-2.0
 *
 * spread: gives each of several listening sockets its turn (bpf/spread.bpf.c).
 */
#ifndef WAYLEAVE_CAPTURE_SPREAD_H
#define WAYLEAVE_CAPTURE_SPREAD_H

/* The sockets listen on one address with SO_REUSEPORT. The program lives as long as they do.
 * Negative errno where it can't be used: the kernel goes on choosing by hash. */
int spread_attach(const int *sockets, unsigned count);

#endif
