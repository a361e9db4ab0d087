/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_variables: the environment variables in which runtimes that don't read the system's store
 * look for the path of a file of CAs instead. The launcher sets them, doctor tells who listens to
 * which.
 */
#ifndef WAYLEAVE_BASE_TRUST_VARIABLES_H
#define WAYLEAVE_BASE_TRUST_VARIABLES_H

#include <stddef.h>

/* NULL behind the last one. Static. */
const char *trust_variable(size_t index);

#endif
