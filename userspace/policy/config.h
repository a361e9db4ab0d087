/* SPDX-License-Identifier: Apache-2.0
 *
 * config: wayleave.yaml and the policy files as read and checked (docs/configuration.md,
 * docs/policy.md). Used by the monitor and the command line alone;
 * workers get the compiled image (policy.h), which holds no path of a secret.
 *
 * Everything belongs to the config and lives as long as it does. Texts that are absent have text
 * NULL, mappings that are absent are NULL, numbers that are absent have their default.
 */
#ifndef WAYLEAVE_POLICY_CONFIG_H
#define WAYLEAVE_POLICY_CONFIG_H

#include "policy/host.h"
#include "policy/mode.h"
#include "policy/schema.h"
#include "protocol/operation.h"

#define CONFIG_DEFAULT_FILE "/etc/wayleave/wayleave.yaml"
/* The name under which rules mean destinations that no resource names. */
#define CONFIG_EGRESS "egress"

struct config_metrics {
	struct place place;
	struct config_text listen; /* ADDRESS:PORT of loopback */
	struct config_text health;
};

struct config_retention {
	struct place place;
	struct config_number days;
	struct config_number max_bytes;
	struct config_number warn_at; /* percent of max_bytes */
};

/* Of the workers' processes. */
struct config_worker_limits {
	struct place place;
	struct config_number memory; /* bytes; 0: half of the host's */
	struct config_number tasks; /* processes and threads */
};

struct config_audit {
	struct place place;
	bool append_only; /* by the file system's attribute */
};

/* As which client people log in. */
struct config_login {
	struct place place;
	struct config_text client_id, client_secret_file, scope;
};

/* What the host's CA may sign for. */
struct config_ca {
	struct place place;
	struct config_texts names;
	struct host *limits; /* as ca_name_parse() has them: the names */
	size_t limit_count;
};

struct config_issuer {
	struct place place;
	struct config_text name;
	struct config_text url, audience, groups_claim, token_type, ca_file;
	struct config_texts algorithms; /* none: all that there are */
	struct config_number keys_max_age;
	struct slice ca_text; /* the content of ca_file */
	struct config_login *login; /* NULL: nobody can */
};

struct config_identity {
	struct place place;
	struct config_text issuer, token_file;
	struct config_text client, subject; /* that the token must be of */
	struct config_text client_id, client_secret_file, private_key_file, scope;
};

struct config_limits {
	struct place place;
	struct config_number sessions, rate, bandwidth; /* 0: none */
};

struct config_agent {
	struct place place;
	struct config_text name;
	struct config_text
		cgroup; /* relative to the cgroup2 root, clean; or `text` is NULL, and: */
	struct config_texts interfaces; /* of this host, behind which it is; a `*` may end one */
	struct config_texts addresses; /* that it has there; none: all */
	struct host *networks; /* HOST_ADDRESS and HOST_PREFIX, of any port: the addresses */
	size_t network_count;
	struct config_texts users;
	struct config_identity *identity;
	struct config_choice listen; /* enum listen_mode */
	struct config_choice io_uring; /* enum io_uring_mode */
	struct config_choice udp; /* enum udp_mode */
	struct config_texts trust_files;
	struct config_choice known_hosts; /* enum known_hosts_mode */
	struct config_texts sockets; /* of /run that its commands see although they are hidden */
	struct config_number pending_reviews; /* most at once */
	struct config_number reviews_per_minute; /* new ones that nobody decides; 0: not limited */
	struct config_limits *limits; /* NULL: none */
	uint32_t id; /* config_agent_id() of the name */
};

struct config_tls {
	struct place place;
	struct config_choice upstream; /* enum tls_upstream */
	struct config_choice mode; /* enum tls_mode */
	struct config_text ca_file, server_name;
	struct slice ca_text; /* the content of ca_file */
};

struct config_header {
	struct place place;
	struct config_text name, value_file;
};

/* Whom the credentials let the host be to the server. */
struct config_impersonate {
	struct place place;
	struct config_text user;
	struct config_texts groups;
};

struct config_credentials {
	struct place place;
	struct config_text user, password_file, client_cert_file, client_key_file, bearer_file,
		basic_file, key_file;
	struct config_header *header, *query;
	struct config_impersonate *impersonate;
	bool ca, agent, allow_cleartext;
	struct config_texts source_addresses; /* of certificates */
	struct config_text force_command; /* the same */
	struct slice client_text; /* content of client_cert_file */
};

struct config_upstream {
	struct place place;
	struct config_text unix_path;
};

struct config_resource {
	struct place place;
	struct config_text name;
	struct config_choice protocol; /* enum protocol_id; never PROTOCOL_COUNT once loaded */
	struct config_texts host_texts;
	struct host *hosts; /* one per text that could be read */
	struct place *host_places;
	size_t host_count;
	struct config_tls *tls;
	struct config_credentials *credentials;
	struct config_upstream *upstream;
	struct config_text host_keys;
	bool allow_cleartext;
	struct config_choice application_name; /* enum application_mode */
	struct config_text reuse; /* as written; absent: the default */
	uint64_t reuse_time; /* nanoseconds; 0: off */
};

struct config_reviewer_slack {
	struct place place;
	struct config_text channel;
	struct config_texts users;
};

struct config_reviewer {
	struct place place;
	struct config_text name;
	struct config_reviewer_slack *slack;
	struct config_texts local_users;
	struct config_number approvals;
};

struct config_person {
	struct place place;
	struct config_text name, slack, local;
	struct config_texts principals;
};

struct config_slack_tls {
	struct place place;
	struct config_text cert_file, key_file;
};

struct config_slack {
	struct place place;
	struct config_text webhook_url_file, bot_token_file, signing_secret_file, listen, api_url;
	struct config_slack_tls *tls;
};

struct config_mask {
	struct place place;
	struct config_texts columns, json, detect;
	struct config_choice with; /* enum mask_strategy - 1 */
	struct config_choice filter; /* enum mask_filter */
	struct config_choice binary; /* enum mask_binary */
};

struct config_allow {
	struct place place;
	struct config_mask *masks;
	size_t mask_count;
	struct config_choice record; /* enum record_mode */
	struct config_choice secrets; /* enum secrets_mode */
	struct config_choice masked_values; /* enum masked_values_mode */
	struct config_text as; /* a role of the server's */
};

struct config_review {
	struct place place;
	struct config_mask *masks;
	size_t mask_count;
	struct config_choice record, secrets, masked_values;
	struct config_text as, by;
	struct config_number within, grant; /* grant absent: this action alone */
};

struct config_deny {
	struct place place;
	struct config_text message;
};

/* Exactly one of allow, review and deny is set once it has been checked. */
struct config_rule {
	struct place place;
	struct config_text name;
	struct config_texts agents, groups, principals, exe, resources, operations, objects;
	struct config_named_texts *bodies; /* by path; NULL: the key is absent */
	size_t body_count;
	struct config_allow *allow;
	struct config_review *review;
	struct config_deny *deny;
};

struct config {
	/* What stands in the file: filled by config_schema. */
	struct place place;
	struct config_text state_dir, runtime_dir, user;
	struct config_texts policies;
	struct config_choice mode; /* enum policy_mode */
	struct config_choice egress; /* enum egress_mode */
	struct config_choice loopback; /* enum loopback_mode */
	struct config_number workers; /* 0: one per core */
	struct config_metrics *metrics; /* NULL: none */
	struct config_number canary; /* between its runs: nanoseconds */
	struct config_number listen_port; /* 0: chosen, below 1024 */
	struct config_retention *retention; /* NULL: config_default_retention */
	struct config_worker_limits *worker_limits; /* NULL: config_default_worker_limits */
	struct config_audit *audit; /* NULL: append-only in the default state_dir alone */
	struct config_ca *ca; /* NULL: it is not limited */
	struct config_issuer *issuers;
	size_t issuer_count;
	struct config_agent *agents;
	size_t agent_count;
	struct config_resource *resources;
	size_t resource_count;
	struct config_reviewer *reviewers;
	size_t reviewer_count;
	struct config_person *people;
	size_t person_count;
	struct config_slack *slack;

	/* What the loader adds. */
	struct arena arena;
	const char *file; /* NULL: policy files alone */
	struct config_rule *rules; /* of all policy files */
	size_t rule_count;
	const char **policy_files; /* what was read: the files to watch besides `file` */
	size_t policy_file_count;
	const char *
		*secret_files; /* all that the resources and Slack name: to be kept from agents */
	size_t secret_file_count;
};

/* What a policy file holds: filled by policy_file_schema. */
struct config_policy_file {
	struct place place;
	struct config_rule *rules;
	size_t rule_count;
};

extern const struct schema config_schema;
extern const struct schema policy_file_schema;
extern const struct config_retention config_default_retention;
extern const struct config_worker_limits config_default_worker_limits;

enum config_flags {
	/* Files that the configuration names (certificates, secrets) are not opened, so that others
	 * than root can judge by a configuration. The result is for explaining, not for running. */
	CONFIG_WITHOUT_FILES = 1 << 0,
	/* What the product does not do yet is accepted (unbuilt.h): for tests of what is to come.
	 */
	CONFIG_WITH_UNBUILT = 1 << 1,
};

/* Reads and checks the configuration and its policy files; relative paths in it are relative to its
 * folder. All that is wrong is added to `d`. -EINVAL where that has errors: then nothing is
 * returned. The caller frees with config_free(). */
int config_load(const char *file, unsigned flags, struct diagnostics *d, struct config **ret);
/* As config_load(), with these policy files (relative names are the process's) instead of those
 * that the configuration names: to try them before they are put there. */
int config_load_with(const char *file, const char *const *policies, size_t count, unsigned flags,
	struct diagnostics *d, struct config **ret);
/* Policy files alone: names of agents, resources and reviewers can't be checked then. */
int config_load_policies(const char *const *files, size_t count, unsigned flags,
	struct diagnostics *d, struct config **ret);
void config_free(struct config *c); /* takes NULL */

/* The host names of all resources that must be resolved for policy_image_build(), each once, in
 * lower case, sorted. The array is the caller's to free; the names are the config's. */
size_t config_list_names(const struct config *c, const char ***ret_names);

/* The number by which kernel programs know the agent: the first 32 bits of the SHA-256 of its name,
 * big-endian. Never 0 in a config that was loaded. */
uint32_t config_agent_id(const char *name);
/* NULL: there is none. */
const struct config_agent *config_find_agent(const struct config *c, const char *name);
const struct config_resource *config_find_resource(const struct config *c, const char *name);

#endif
