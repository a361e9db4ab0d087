/* SPDX-License-Identifier: Apache-2.0
 *
 * facts: what a request of an SSH channel would do, as pairs of operation and object.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_FACTS_H
#define WAYLEAVE_PROTOCOL_SSH_FACTS_H

#include "protocol/action.h"
#include "protocol/ssh/bridge.h"
#include "protocol/ssh/script.h"

/* Owns what the action points to. */
struct ssh_facts {
	struct action action;
	struct action_pair *pairs;
	struct buffer text; /* as the agent sent it */
	struct buffer words; /* of its commands */
	enum reader_kind reader; /* of an exec or shell: who reads commands from its input */
};

/* Copies the request's text. 0, or a negative errno of the buffers. */
int ssh_facts_init(struct ssh_facts *f, const struct bridge_request *request);
/* The facts of a command or shell once it is known what it is to read, which stands behind the
 * command in the text. `whole`: that is all of it. Copies what it is given. Errors as before. */
int ssh_facts_init_script(
	struct ssh_facts *f, const struct ssh_facts *command, struct slice script, bool whole);
void ssh_facts_done(struct ssh_facts *f);

/* Appends the repository that a command of git's pushes to, and says whether the name can mean no
 * other. -ENOENT: the command is none. */
int ssh_facts_repository(struct slice command, struct buffer *ret, bool *ret_known);

#endif
