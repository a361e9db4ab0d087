/* SPDX-License-Identifier: Apache-2.0
 *
 * messages: between the monitor and its workers, over a SOCK_SEQPACKET socketpair; the framing is
 * that of control.h. A worker is not trusted: the monitor checks every length and value, and
 * answers only what the table in monitor/requests.c lists.
 *
 * Payloads are the structs below, in the byte order of the machine, followed by their text where
 * they say so. A request begins with its `id`, which its reply carries back.
 */
#ifndef WAYLEAVE_MONITOR_MESSAGES_H
#define WAYLEAVE_MONITOR_MESSAGES_H

#include <stdint.h>

#include "base/identifier.h"
#include "policy/host.h"
#include "protocol/credentials.h"

enum message_type {
	/* worker → monitor */
	MESSAGE_READY = 1, /* the worker accepts */
	MESSAGE_PROCESS, /* struct message_process → the executable's path (monitor/process.h) */
	/* struct message_inspect; what was found comes as MESSAGE_FACTS, or never */
	MESSAGE_INSPECT,
	MESSAGE_CERTIFICATE, /* struct message_certificate, name → PEM: certificates, then the key
			      */
	MESSAGE_CONNECT_UNIX, /* struct message_connect_unix, the agent's connection → a connected
				 socket */
	/* struct message_delegate, the agent's connection → the socket of a process that carries
	 * the session (protocol/ssh/bridge.h), which has that connection now */
	MESSAGE_DELEGATE,
	MESSAGE_CANCEL, /* struct message_cancel, key, message; sent on to all workers */
	MESSAGE_CANCELLED, /* struct message_cancelled: the answer; sent on to who asked */
	MESSAGE_SEGMENT, /* struct message_segment; answered by one of the same type */
	MESSAGE_HEADS, /* struct stream_head[]: what is synced */
	MESSAGE_SELFTEST, /* struct origin of a connection by the monitor's own test agent */
	MESSAGE_STATISTICS, /* struct message_statistics */
	/* struct message_review and a descriptor of an encoded question (approval/question.h) →
	 * struct message_review_held, then the reviewers' names as people read them. The action
	 * waits until MESSAGE_DECISION, unless the answer is an error, with a sentence */
	MESSAGE_REVIEW,
	/* struct message_leave: nobody waits for that answer any more; or what was approved for it
	 * goes on */
	MESSAGE_LEAVE,
	/* struct message_proof, the resource's name, the challenge, and the connection to the
	 * server where the worker has it → what proves the resource's credentials to its server, or
	 * an error with a sentence for the agent; as enum proof_kind says (protocol/protocol.h) */
	MESSAGE_PROOF,
	/* struct message_pin, its addresses, its name → nothing; what it says holds in all workers
	 * from then on, or was not to be believed */
	MESSAGE_PIN,
	/* monitor → worker, and MESSAGE_SEGMENT with its number and the new file; MESSAGE_CANCEL,
	 * MESSAGE_CANCELLED */
	MESSAGE_POLICY, /* a descriptor: the compiled policy */
	MESSAGE_GRANTS, /* a descriptor: the grants there are (approval/grant.h) */
	MESSAGE_SETTLED, /* what waits may be covered by one of the grants */
	MESSAGE_PRINCIPALS, /* a descriptor: who agents are now (identity/principals.h) */
	MESSAGE_FACTS, /* struct message_facts, arguments, parents */
	MESSAGE_DECISION, /* struct message_decision, by, detail */
	MESSAGE_KILL, /* a session's id as text */
	MESSAGE_STOP, /* end all sessions and exit */
	/* struct message_network and a descriptor: accept on that listening socket, too */
	MESSAGE_LISTEN,
	MESSAGE_UNLISTEN, /* struct message_network: let go of all that came with its number */
	/* struct message_network and a descriptor: packets of that network namespace wait there
	 * for verdicts; without a descriptor: not any more */
	MESSAGE_PACKETS,
	MESSAGE_VERDICTS, /* the same, behind it: where the verdicts go */
	MESSAGE_DRAIN, /* accept no more, and exit when the last session has ended */
	MESSAGE_REPLY_BIT = 0x100, /* or-ed to the type of a request */
};

struct message_network {
	uint64_t network; /* cookie of the network namespace */
};

struct message_process {
	uint64_t id;
	uint32_t pid;
	uint32_t unused;
	uint64_t start_time; /* as struct origin has them */
	uint64_t exe_inode;
	uint64_t exe_device;
};

struct message_inspect {
	struct message_process process;
	struct identifier session; /* whose it is */
	uint32_t agent;
	uint32_t unused;
};

/* What /proc says of the process behind a session, all of it read of the process that connected;
 * else nothing of it is known. */
#define MESSAGE_HASH_SIZE 32
struct message_facts {
	struct identifier session;
	uint32_t known; /* whether the process was that one */
	uint32_t hashed; /* whether the hash is known */
	uint8_t hash[MESSAGE_HASH_SIZE]; /* SHA-256 of its program */
	uint32_t arguments_length; /* as the process has them: a NUL behind each */
	uint32_t arguments_cut; /* there were more */
	uint32_t parents_length; /* "PID PATH" of each, a NUL behind it; the nearest first */
	uint32_t parents_cut; /* there are more, or the rest is not known */
};

struct message_certificate {
	uint64_t id; /* then the name or address, at most 253 bytes */
};

struct message_connect_unix {
	uint64_t id;
	uint32_t resource; /* index in the policy of this generation */
	uint32_t unused;
	uint64_t generation;
};

struct message_delegate {
	uint64_t id;
	uint32_t resource; /* index in the policy of this generation */
	/* Another session carries it: the connection that comes with the request is only whose it
	 * is, the process gets its own over the bridge, and the place is the worker's word. */
	uint32_t inner;
	uint64_t generation;
	struct identifier session; /* for the host's log alone */
	/* The place of an inner one: an address, or where that is zeroes a name. */
	uint8_t address[16];
	uint16_t port;
	char name[HOST_NAME_MOST + 1];
};

/* Every worker answers, that of the session to cancel once the server has acted: before its end of
 * the connection is closed, an agent must not believe that a cancel can no longer hit its next
 * statement. */
struct message_cancel {
	struct identifier session; /* that brought the request */
	uint32_t worker; /* whose it is; the monitor's word */
	uint32_t agent;
	uint32_t key_length;
	uint32_t message_length;
};

struct message_cancelled {
	struct identifier session;
	uint32_t worker;
	int32_t more; /* answers to come: the monitor says how many, each worker -1 */
};

struct message_segment {
	uint32_t kind; /* enum stream_kind */
	uint32_t number; /* in the answer: the segment's, … */
	uint64_t bytes_most; /* … and the size at which a recording shall ask for the next */
};

/* What follows struct message_proof: a name of up to 63 bytes, a challenge. */
#define MESSAGE_PROOF_MOST (1024u + PROOF_SIGNED_MOST)
struct message_proof {
	uint64_t id;
	uint32_t kind; /* enum proof_kind */
	uint32_t resource_length; /* the challenge is the rest */
};
/* The challenge of PROOF_SIGNATURE, as in struct proof_signature; what is signed is the rest. */
struct message_signature {
	uint32_t digest, padding;
};

/* What a name server answered an agent. */
struct message_pin_address {
	uint8_t bytes[16];
	uint32_t lifetime; /* seconds */
};

struct message_pin {
	uint64_t id;
	uint64_t network; /* where it was asked: cookie of a network namespace, 0: the daemon's */
	uint8_t server[16];
	uint32_t agent;
	uint32_t address_count;
};

struct message_review {
	uint64_t id; /* also names the wait, until it is decided or left */
};

struct message_review_held {
	struct identifier review;
	uint64_t deadline; /* wall clock, nanoseconds */
};

struct message_leave {
	uint64_t id; /* of the MESSAGE_REVIEW */
	uint64_t stays; /* 1: who waited gave up, or was not let begin, and may ask again; else 0 */
	uint64_t ran; /* 1: what was approved goes on, and nothing else is meant; else 0 */
};

/* Approved once for this wait, or not: the wait is over. */
struct message_decision {
	uint64_t id; /* of the MESSAGE_REVIEW */
	uint32_t outcome; /* enum record_outcome */
	uint32_t by_length; /* who decided, as people read it; empty where nobody did */
	uint32_t detail_length; /* the reason that was given */
	struct identifier grant; /* that came of it; empty: none */
};

/* Counters since the worker's start; the monitor adds those of all workers. */
#define MESSAGE_REASONS_MOST 64
struct message_statistics {
	uint64_t sessions; /* now */
	uint64_t sessions_total;
	uint64_t actions, denied;
	uint64_t recording_error; /* errno; 0: recording works */
	uint64_t reasons[MESSAGE_REASONS_MOST]; /* by enum reason */
};

#endif
