/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup_pattern: paths of cgroups in which `*` stands for any run of characters within one
 * folder's name, as configurations write them. bpf/enrol.bpf.c compares in the same way.
 */
#ifndef WAYLEAVE_BASE_CGROUP_PATTERN_H
#define WAYLEAVE_BASE_CGROUP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether it has a `*`. */
bool cgroup_pattern_is_wild(const char *pattern);
bool cgroup_pattern_matches(const char *pattern, const char *path);
/* The length of the part of `path` that ends with a folder and matches: a process in `path` is in,
 * or below, a cgroup of the pattern. 0: none does. */
size_t cgroup_pattern_find(const char *pattern, const char *path);
/* Whether a cgroup of one may be, or lie in, a cgroup of the other. Says yes where it is not sure.
 */
bool cgroup_pattern_may_nest(const char *a, const char *b);

#endif
