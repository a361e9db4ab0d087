/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_store: where distributions keep the system's CAs as one file of PEM.
 */
#ifndef WAYLEAVE_BASE_TRUST_STORE_H
#define WAYLEAVE_BASE_TRUST_STORE_H

#include <stdbool.h>

/* The one of this host; NULL: there is none. Static. */
const char *trust_store_find(void);
/* Whether some distribution keeps it there. */
bool trust_store_is(const char *path);

#endif
