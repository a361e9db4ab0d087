/* SPDX-License-Identifier: Apache-2.0
 *
 * certificates: those that the monitor minted for the names that agents ask for, kept for a while.
 */
#ifndef WAYLEAVE_WORKER_CERTIFICATES_H
#define WAYLEAVE_WORKER_CERTIFICATES_H

#include "base/table.h"
#include "worker/channel.h"
#include "worker/tls.h"

struct certificates {
	struct channel *channel;
	struct table table;
};

/* Called when the certificate is there, or can't be had: `problem` is a sentence, else NULL. */
typedef void certificates_ready(void *context, const char *problem);

void certificates_init(struct certificates *c, struct channel *channel);
/* The context for that name or address, or NULL: then `ready` is called later, once, unless
 * certificates_forget() comes first. Borrowed, lives as long as the worker. */
SSL_CTX *certificates_find(
	struct certificates *c, struct slice name, certificates_ready *ready, void *context);
void certificates_forget(struct certificates *c, const void *context);

#endif
