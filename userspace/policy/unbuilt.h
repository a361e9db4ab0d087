/* SPDX-License-Identifier: Apache-2.0
 *
 * unbuilt: what the documentation describes and this version does not do yet. Using it is an error
 * at start, so that nobody believes to be protected by it.
 */
#ifndef WAYLEAVE_POLICY_UNBUILT_H
#define WAYLEAVE_POLICY_UNBUILT_H

#include "policy/config.h"

void unbuilt_check(const struct config *c, struct loader *l);

#endif
