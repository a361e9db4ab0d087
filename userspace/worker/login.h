/* SPDX-License-Identifier: Apache-2.0
 *
 * login: what an engine needs of us to log in at the server: the resource's credentials, whose
 * secret the monitor keeps, and who the agent is.
 */
#ifndef WAYLEAVE_WORKER_LOGIN_H
#define WAYLEAVE_WORKER_LOGIN_H

#include "worker/session.h"

/* Fills the host's `credentials` and `identity` by the scope that applies now. */
void login_prepare(struct session *s);
/* For tls_events: asks the monitor for the client certificate's signature. */
int login_sign(struct leg *leg, const struct proof_signature *wanted);
/* Asks the monitor for what proves the credentials; the engine gets the answer. */
void login_prove(struct session *s, const struct protocol_proof *proof);

#endif
