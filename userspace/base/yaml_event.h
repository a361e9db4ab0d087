/* SPDX-License-Identifier: Apache-2.0
 *
 * yaml_event: what the readers of YAML ask of libyaml's events.
 */
#ifndef WAYLEAVE_BASE_YAML_EVENT_H
#define WAYLEAVE_BASE_YAML_EVENT_H

#include <stdbool.h>
#include <yaml.h>

/* Whether a node has an anchor or a tag, or is an alias: what it means stands elsewhere, or is what
 * only its reader makes of it. */
bool yaml_event_is_decorated(const yaml_event_t *event);

#endif
