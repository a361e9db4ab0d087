/* SPDX-License-Identifier: Apache-2.0
 *
 * user_name: the name of a local user.
 */
#ifndef WAYLEAVE_MONITOR_USER_NAME_H
#define WAYLEAVE_MONITOR_USER_NAME_H

#include <sys/types.h>

/* NULL: the user has none. The text is valid until the next look-up. Negative errno: it is not
 * known whether there is one. */
int user_name(uid_t uid, const char **ret);

#endif
