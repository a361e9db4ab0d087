/* SPDX-License-Identifier: Apache-2.0
 *
 * setting: what it means to change a server setting, whichever way: SET, RESET, set_config(), a
 * startup parameter, ALTER ROLE … SET (settings.inc).
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_SETTING_H
#define WAYLEAVE_PROTOCOL_SQL_SETTING_H

#include "protocol/action.h"

/* The pair for setting `name` to `value` (NULL data: not known, or back to its default):
 * (session, none) for a harmless one, (transaction, none), (set_role, the role or none), else
 * (set, name). Names are compared as the server does, without regard to case. The object is static
 * text, `name` or `value`, which must outlive it. */
struct action_pair sql_setting_pair(struct slice name, struct slice value);
/* What the change does to how later text is understood: enum sql_effect. */
unsigned sql_setting_effects(struct slice name);
/* Whether the pair sets what decides how the server reads text, or may do so: what it sets is not
 * known. */
bool sql_setting_changes_reading(const struct action_pair *pair);

#endif
