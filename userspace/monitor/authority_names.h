/* SPDX-License-Identifier: Apache-2.0
 *
 * authority_names: the name constraints of the host's CA (RFC 5280, 4.2.1.10), made of what the
 * configuration limits it to. Where it is limited to names alone, no address is right, and the
 * other way round.
 */
#ifndef WAYLEAVE_MONITOR_AUTHORITY_NAMES_H
#define WAYLEAVE_MONITOR_AUTHORITY_NAMES_H

#include <openssl/x509.h>

#include "policy/host.h"

/* Adds them, critical; of no limits nothing. -ENOMEM. */
int authority_names_add(X509 *ca, const struct host *limits, size_t count);
/* Whether the certificate has these, in whatever order they were configured, and no others. */
bool authority_names_match(X509 *ca, const struct host *limits, size_t count);
/* "example.com, 10.0.0.0/8", as much as there is room for; "anything". */
void authority_names_describe(X509 *ca, char *room, size_t size);

#endif
