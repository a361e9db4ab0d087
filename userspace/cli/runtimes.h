/* SPDX-License-Identifier: Apache-2.0
 *
 * runtimes: the runtimes that agents may use on this host, and by what each would trust the host's
 * CA: a variable that `wayleave run` sets, the system's store, a store of its own, or nothing.
 *
 * Only files are looked at; nothing is executed. What is in a user's folders is looked at with that
 * user's rights, by a process that is ended if it takes long.
 */
#ifndef WAYLEAVE_CLI_RUNTIMES_H
#define WAYLEAVE_CLI_RUNTIMES_H

#include <cjson/cJSON.h>
#include <pwd.h>

#include "base/error.h"
#include "base/slice.h"
#include "policy/config.h"

#define RUNTIMES_MOST 128 /* of one user's; the others are not told */
#define RUNTIMES_USERS_MOST 32

/* The host's CA, as files hold it. */
struct runtimes_ca {
	struct slice der;
	struct slice base64; /* of PEM, between its lines: in lines of 64 */
	bool installed; /* in the system's store */
};

/* Fills it from the CA's certificate in PEM; runtimes_ca_done() frees what it has. -EINVAL: it is
 * none. */
int runtimes_ca_init(struct runtimes_ca *ca, struct slice pem);
void runtimes_ca_done(struct runtimes_ca *ca);
/* Whether the file has the CA in it, as PEM or as DER: so have bundles, Java's stores, and the
 * databases of NSS. What can't be read has not. */
bool runtimes_file_holds(const char *path, const struct runtimes_ca *ca);

/* Adds what is found with the rights of the user that the process has: objects with name, path,
 * trusts (bool), by (text, or null) and text. `home`: the user's. */
void runtimes_list(const char *home, const struct runtimes_ca *ca, cJSON *ret);
/* The same in a process that becomes the user. -ETIMEDOUT: it took too long. */
int runtimes_list_as(const struct passwd *user, const struct runtimes_ca *ca, cJSON *ret);

/* The same for root and for all who may start agents, each thing once. What could not be looked at
 * is an error, and the rest is in the list all the same. */
int runtimes_report(const struct config *c, cJSON *ret, struct error *e);

#endif
