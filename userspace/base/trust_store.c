/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trust_store.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

const char *trust_store_find(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		if (access(bundles[i], R_OK) == 0)
			return bundles[i];
	}
	return NULL;
}

bool trust_store_is(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(bundles); i++) {
		if (strcmp(bundles[i], path) == 0)
			return true;
	}
	return false;
}
