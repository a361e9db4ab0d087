/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres: the engine for PostgreSQL's protocol 3. What stands behind it is in engine.h.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_POSTGRES_H
#define WAYLEAVE_PROTOCOL_POSTGRES_POSTGRES_H

#include "protocol/protocol.h"

extern const struct protocol protocol_postgres;

#endif
