/* SPDX-License-Identifier: Apache-2.0
 *
 * object_kubernetes: patterns of Kubernetes' objects, for object.c. An object whose name is "*" is
 * not one object but all of its kind ("list pods"), and one of those without a namespace may be in
 * all of them: an allow must cover everything that it may be, a deny fires for any of it.
 */
#ifndef WAYLEAVE_POLICY_OBJECT_KUBERNETES_H
#define WAYLEAVE_POLICY_OBJECT_KUBERNETES_H

#include "policy/object.h"

/* As object_match(); neither begins with "/". */
enum object_match kubernetes_match(struct slice pattern, struct slice object);
/* Whether it can match something; not empty. */
bool kubernetes_is_pattern(struct slice pattern);

#endif
