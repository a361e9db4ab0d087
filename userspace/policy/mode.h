/* SPDX-License-Identifier: Apache-2.0
 *
 * mode: the choices of a configuration that hold from the file to the worker. The order of the
 * values is that of the names in config_schema.c and is part of the image's format.
 */
#ifndef WAYLEAVE_POLICY_MODE_H
#define WAYLEAVE_POLICY_MODE_H

enum policy_mode { POLICY_ENFORCE, POLICY_OBSERVE, POLICY_MODE_COUNT };
/* What no resource names. */
enum egress_mode { EGRESS_DENY, EGRESS_ALLOW, EGRESS_REVIEW, EGRESS_MODE_COUNT };
/* Destinations on this host that no resource names. */
enum loopback_mode { LOOPBACK_OWN, LOOPBACK_DIRECT, LOOPBACK_EGRESS, LOOPBACK_MODE_COUNT };
/* Replies from an agent's own listening sockets to other hosts. */
enum listen_mode { LISTEN_DENY, LISTEN_ALLOW, LISTEN_MODE_COUNT };
enum io_uring_mode { IO_URING_ALLOW, IO_URING_DENY };
/* Where an agent's commands find the keys of intercepted hosts. */
enum known_hosts_mode { KNOWN_HOSTS_SYSTEM, KNOWN_HOSTS_USER };

/* What of an agent's UDP leaves. */
enum udp_mode {
	UDP_POLICY, /* each flow is judged by its first datagram */
	UDP_DNS, /* to the host's resolvers alone */
	UDP_DENY,
	UDP_ALLOW,
	UDP_MODE_COUNT
};

enum tls_upstream {
	TLS_UPSTREAM_OFF,
	TLS_UPSTREAM_REQUIRE, /* TLS, unverified */
	TLS_UPSTREAM_VERIFY_CA,
	TLS_UPSTREAM_VERIFY_FULL,
	TLS_UPSTREAM_AS_CLIENT, /* absent: TLS, verified in full, where the client asked for TLS */
	TLS_UPSTREAM_COUNT
};
enum tls_mode { TLS_TERMINATE, TLS_PASSTHROUGH, TLS_MODE_COUNT };

/* What the server's own logs call a session. */
enum application_mode {
	APPLICATION_AGENT, /* what the agent calls itself */
	APPLICATION_IDENTITY, /* who it is, and what it calls itself behind that */
	APPLICATION_BY_CREDENTIALS, /* absent: the latter where there are credentials */
	APPLICATION_MODE_COUNT
};

enum mask_filter { MASK_FILTER_DENY, MASK_FILTER_ALLOW, MASK_FILTER_COUNT };
/* Of requests that hold what stood in the place of masked values. */
enum masked_values_mode { MASKED_VALUES_REFUSE, MASKED_VALUES_PASS, MASKED_VALUES_MODE_COUNT };
enum secrets_mode { SECRETS_MASKED, SECRETS_SHOWN, SECRETS_MODE_COUNT };
enum record_mode { RECORD_MODE_ACTIONS, RECORD_MODE_ROWS, RECORD_MODE_COUNT };

#endif
