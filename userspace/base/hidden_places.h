/* SPDX-License-Identifier: Apache-2.0
 *
 * hidden_places: where of the host's files there is what agents' commands do not see, since behind
 * it somebody starts processes, or opens files, for whoever asks (bypass B8). The launcher hides
 * it; an agent's `sockets` may show parts of it again.
 */
#ifndef WAYLEAVE_BASE_HIDDEN_PLACES_H
#define WAYLEAVE_BASE_HIDDEN_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#define HIDDEN_KEYS_FOLDER "/tmp" /* of which sockets of ssh-agents are hidden */

/* Folders and files that are hidden whole, elsewhere than in /run. */
const char *const *hidden_places(size_t *ret_count);
/* Whether something that is hidden may be at `path`, which is plain (host_path.h) and has no slash
 * at its end. */
bool hidden_may_be(const char *path);

#endif
