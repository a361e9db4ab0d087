/* SPDX-License-Identifier: Apache-2.0
 *
 * policy: the compiled configuration, as workers and `wayleave policy explain` use it: agents,
 * resources and rules without any secret.
 *
 * The monitor builds an image, one flat run of bytes; whoever receives it opens it. A policy is
 * immutable and reference-counted, and belongs to one thread (counts are not atomic). Slices and
 * pointers in it live as long as a reference is held; every text is followed by a NUL that its
 * length does not count.
 */
#ifndef WAYLEAVE_POLICY_POLICY_H
#define WAYLEAVE_POLICY_POLICY_H

#include "base/buffer.h"
#include "base/error.h"
#include "masking/mask.h"
#include "policy/host.h"
#include "policy/mode.h"
#include "protocol/operation.h"

struct config;

/* As a resource's index: what no resource names. */
#define POLICY_EGRESS UINT32_MAX

struct policy_texts {
	struct slice *items;
	size_t count;
};

/* What an agent may have; 0: as much as it likes. */
struct policy_limits {
	uint64_t sessions; /* at a time */
	uint64_t rate; /* sessions that begin in a second */
	uint64_t bandwidth; /* bytes in a second, of both directions together */
};

struct policy_agent {
	uint32_t id; /* config_agent_id() of the name; never 0 */
	struct slice name;
	struct slice cgroup; /* relative to the cgroup2 root; empty: it is known by interfaces */
	struct policy_texts users;
	enum listen_mode listen;
	enum udp_mode udp;
	bool identified; /* it has a principal, or should have one */
	struct policy_limits limits;
};

/* How the monitor logs in instead of the agent; the secret is not here. */
enum policy_login {
	LOGIN_AS_AGENT,
	LOGIN_PASSWORD,
	LOGIN_CERTIFICATE,
	/* In each request of HTTP: */
	LOGIN_BEARER,
	LOGIN_BASIC,
	LOGIN_HEADER,
	LOGIN_QUERY,
	LOGIN_COUNT
};

struct policy_resource {
	struct slice name;
	enum protocol_id protocol;
	enum tls_upstream tls_upstream;
	enum tls_mode tls_mode;
	struct slice ca_text; /* PEM; empty: the system's store */
	struct slice
		server_name; /* the name to verify; empty: SNI, else matched name, else address */
	struct slice unix_path; /* connect there instead; empty: to where the agent dialled */
	bool allow_cleartext;
	bool names_identity; /* the server's logs are told who the agent is */
	/* For how long a connection that a session left is kept for the next, in nanoseconds. 0: it
	 * is not. */
	uint64_t reuse;
	enum policy_login login;
	struct slice login_user; /* empty where there is none; never with LOGIN_PASSWORD */
	struct slice login_name; /* of the header or query parameter; else empty */
	/* Whom the requests say that they are of: header lines, each with its end; or empty. */
	struct slice login_impersonates;
	struct slice login_chain; /* PEM, the certificate first; empty but with LOGIN_CERTIFICATE */
	struct host *hosts;
	size_t host_count;
};

/* What a path in a body is to say: one of the values, patterns with "*". */
struct policy_body {
	struct slice path; /* begins with "$." */
	struct policy_texts values;
};

enum rule_kind { RULE_ALLOW, RULE_REVIEW, RULE_DENY, RULE_KIND_COUNT };

/* An empty list, or no operations, match anything. */
struct policy_rule {
	enum rule_kind kind;
	struct slice name; /* unique in the policy */
	struct slice file; /* where it stands */
	uint32_t line;
	uint32_t *agents; /* indexes, ascending */
	size_t agent_count;
	uint32_t *resources; /* indexes, ascending; POLICY_EGRESS */
	size_t resource_count;
	struct policy_texts groups, principals, objects;
	struct policy_texts exe; /* globs of paths, hashes (rule_exe_hash()) */
	bool names_operations;
	struct operation_set operations;
	struct policy_body *bodies; /* all of them */
	size_t body_count;
	/* RULE_ALLOW, RULE_REVIEW */
	struct mask_column *columns;
	size_t column_count;
	struct mask_json *json;
	size_t json_count;
	uint32_t detectors[DETECTOR_COUNT]; /* enum mask_strategy */
	enum record_mode record;
	enum mask_binary binary; /* where it has `json` or `detectors` */
	enum secrets_mode secrets;
	enum masked_values_mode masked_values;
	struct slice as; /* the server's role that it runs as; empty: as who is logged in */
	/* RULE_REVIEW; nanoseconds */
	struct slice reviewers;
	uint64_t within;
	uint64_t grant; /* 0: this action alone */
	/* RULE_DENY */
	struct slice message; /* may be empty */
};

/* A name and one of the addresses that it had when the image was built. */
struct policy_address {
	struct slice name;
	struct address address;
};

struct policy {
	uint64_t generation;
	enum policy_mode mode;
	enum egress_mode egress;
	enum loopback_mode loopback;
	struct policy_agent *agents;
	size_t agent_count;
	struct policy_resource *resources; /* in the order of the configuration */
	size_t resource_count;
	struct policy_rule *rules; /* by name: the order of rules and files means nothing */
	size_t rule_count;
	/* Some rule has `exe` with a path, or with a hash */
	bool asks_exe, asks_exe_hash;
	struct policy_address *addresses;
	size_t address_count;
	struct policy_private *private;
};

/* Whether some rule that may be about the agent asks for the hash of its programs. */
bool policy_asks_hash(const struct policy *p, const struct policy_agent *agent);

/* Compiles a checked configuration. `addresses` are what its names (config_list_names()) and, for
 * wildcards, other known names resolve to; names in lower case. Appends the image to `ret`, whose
 * limit should be LIMIT_POLICY_IMAGE. -E2BIG: it does not fit. */
int policy_image_build(const struct config *config, uint64_t generation,
	const struct policy_address *addresses, size_t address_count, struct buffer *ret);
/* Copies, checks every length, count and value, and unpacks. -EINVAL or -E2BIG with a sentence. The
 * caller holds one reference. */
int policy_open(const void *image, size_t length, struct policy **ret, struct error *e);
/* As policy_open(), of a descriptor such as the monitor sends; read from its start, not closed. */
int policy_open_descriptor(int fd, struct policy **ret, struct error *e);
struct policy *policy_get(struct policy *p);
void policy_put(struct policy *p); /* takes NULL */

/* NULL: there is none. */
const struct policy_agent *policy_find_agent(const struct policy *p, uint32_t id);
const struct policy_agent *policy_find_agent_name(const struct policy *p, struct slice name);
const struct policy_resource *policy_find_resource(const struct policy *p, struct slice name);
uint32_t policy_resource_index(const struct policy *p, const struct policy_resource *r);

/* Resources that a destination may mean. */
struct policy_candidate {
	uint32_t resource; /* index */
	/* Of the host that matched; empty: an address or prefix did. ".example.com": a wildcard, if
	 * it is proven that the server has such a name; where nothing proves names (tcp, udp, SQL)
	 * a resolver said so. */
	struct slice name;
	/* What the resolver said it of, where it did: one of struct policy_place's names, which
	 * are the caller's. */
	struct slice answered;
};
/* Where an agent connects, and which names the host's resolvers told it that this address has. */
struct policy_place {
	struct address address;
	uint16_t port;
	enum transport transport;
	const struct slice *names; /* in lower case */
	size_t name_count;
};
/* The candidates of a place, as the functions below say. A name that only a resolver's answer gave
 * makes no resource a candidate whose credentials a server would get that did not prove the name.
 */
size_t policy_match_place(const struct policy *p, const struct policy_place *place,
	struct policy_candidate *ret, size_t most);
/* The candidates for a destination of which only the name is known, in lower case, as somebody else
 * looks it up: none, or one. -EPERM: it may be a resource all the same: one whose host is an
 * address, or one whose credentials a server would get that did not prove the name. */
int policy_match_name(const struct policy *p, struct slice name, uint16_t port,
	struct policy_candidate *ret, size_t most);
/* Whether a resource has this name among its hosts; wildcards don't count. */
bool policy_has_name(const struct policy *p, struct slice name);
/* Whether what a resolver answers for it says where a resource is: it has the name, or a wildcard
 * for it whose servers don't prove their names. */
bool policy_needs_answers(const struct policy *p, struct slice name);
/* The candidates for a destination (exact address > name > longest prefix), at most
 * `most` of them, ascending by index. Several only where several names have that address, or where
 * there are wildcards of protocols that prove names, which are candidates wherever nothing but
 * names matches. Returns their number; 0: no resource names the place. */
size_t policy_match_address(const struct policy *p, const struct address *a, uint16_t port,
	struct policy_candidate *ret, size_t most);
/* The same for datagrams, among the resources of protocol udp. */
size_t policy_match_datagrams(const struct policy *p, const struct address *a, uint16_t port,
	struct policy_candidate *ret, size_t most);
/* Keeps the candidates that a name (SNI, Host) may mean: those that an address or prefix matched,
 * and those that have the name themselves. Exact names beat wildcards, longer wildcards beat
 * shorter ones. Returns how many are left, in the same array. */
size_t policy_narrow(const struct policy *p, struct slice name, uint16_t port,
	struct policy_candidate *candidates, size_t count);

#endif
