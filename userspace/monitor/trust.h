/* SPDX-License-Identifier: Apache-2.0
 *
 * trust: RUNTIME_DIR/trust/ca-bundle.pem, the system's CAs with the host's own behind them, for
 * agents whose runtimes don't read the system's store.
 */
#ifndef WAYLEAVE_MONITOR_TRUST_H
#define WAYLEAVE_MONITOR_TRUST_H

#include "base/error.h"
#include "base/slice.h"

#define TRUST_FOLDER "trust"
#define TRUST_FILE "ca-bundle.pem"

/* Writes it where it is missing or older than the system's. */
int trust_update(const char *runtime_dir, struct slice host_ca, struct error *e);
/* The same for the certificates of a file that programs pin, as `name` in that folder. */
int trust_pin(const char *runtime_dir, const char *name, const char *pinned, struct slice host_ca,
	struct error *e);

#endif
