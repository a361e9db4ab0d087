/* SPDX-License-Identifier: Apache-2.0
 *
 * messages: from the monitor to wayleave-ssh, over a SOCK_SEQPACKET socketpair; the framing is that
 * of monitor/control.h. Nothing comes back.
 */
#ifndef WAYLEAVE_SSH_MESSAGES_H
#define WAYLEAVE_SSH_MESSAGES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/limits.h"

#define SSH_HOST_KEYS 3 /* Ed25519, ECDSA, RSA */
#define SSH_TEXT_MOST LIMIT_HOST_KEYS_BYTES /* bytes of one text */
#define SSH_SIGNER_PROBLEM_MOST 450u

/* What the process begins with, in a descriptor that it inherits: this, then the host keys in PEM.
 */
struct ssh_start {
	int channel;
	uid_t uid;
	gid_t gid;
	uint32_t lengths[SSH_HOST_KEYS];
};

enum ssh_message_type {
	SSH_MESSAGE_SESSION = 1, /* struct ssh_opening, its texts, and its descriptors */
};

enum ssh_text {
	SSH_TEXT_NAME, /* the host's, as known_hosts has it: "db" or "[db]:2222" */
	SSH_TEXT_ADDRESS, /* what was dialled, in the same form */
	SSH_TEXT_USER, /* to log in as */
	SSH_TEXT_PASSWORD, /* empty: there is none */
	SSH_TEXT_KNOWN_HOSTS,
	SSH_TEXT_PROBLEM, /* empty, or why nobody can log in */
	SSH_TEXT_COUNT
};

enum ssh_descriptor {
	SSH_DESCRIPTOR_AGENT, /* the agent's connection; else BRIDGE_AGENT brings it */
	SSH_DESCRIPTOR_WORKER, /* protocol/ssh/bridge.h */
	/* An ssh-agent (draft-ietf-sshm-ssh-agent) with keys to log in with, before the password.
	 * First it says why there is none: a string (RFC 4251, 5) of up to SSH_SIGNER_PROBLEM_MOST
	 * bytes, empty where there are some. */
	SSH_DESCRIPTOR_SIGNER,
	SSH_DESCRIPTOR_OWN_KEYS, /* another one with the agent's own, after the password */
	SSH_DESCRIPTOR_COUNT
};

struct ssh_opening {
	uint32_t lengths[SSH_TEXT_COUNT];
	uint32_t present[SSH_DESCRIPTOR_COUNT]; /* 1: that descriptor comes, in this order */
};

#endif
