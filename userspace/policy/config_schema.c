/* SPDX-License-Identifier: Apache-2.0
 *
 * What wayleave.yaml may say. docs/configuration.md explains each key.
 */
#include "policy/config.h"

#include "base/limits.h"
#include "base/memory.h"

#define KEY(object, name_, type_, member, ...)                                                     \
	{                                                                                          \
		.name = name_, .type = SCHEMA_##type_, .offset = offsetof(struct object, member),  \
		__VA_ARGS__                                                                        \
	}
#define NEEDED .required = true
#define CHOICES(...)                                                                               \
	.names = (const char *const[])                                                             \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}
#define OF(schema_) .schema = &schema_
#define MANY(object, schema_, count)                                                               \
	.schema = &schema_, .count_offset = offsetof(struct object, count)
#define SCHEMA(what_, object, keys_)                                                               \
	.what = what_, .size = sizeof(struct object), .keys = keys_, .key_count = ARRAY_SIZE(keys_)

static const struct schema_key retention_keys[] = {
	KEY(config_retention, "days", NUMBER, days, .most = 36500),
	KEY(config_retention, "max_bytes", SIZE, max_bytes),
	KEY(config_retention, "warn_at", PERCENT, warn_at),
};
const struct config_retention config_default_retention = {
	.days.value = 90,
	.max_bytes.value = 20ULL << 30,
	.warn_at.value = 80,
};
static const struct schema retention_schema = {
	SCHEMA("retention", config_retention, retention_keys),
	.initial = &config_default_retention};

static const struct schema_key worker_limits_keys[] = {
	KEY(config_worker_limits, "memory", SIZE, memory),
	KEY(config_worker_limits, "tasks", NUMBER, tasks, .most = 1000000),
};
/* Every session of SSH is a process. */
const struct config_worker_limits config_default_worker_limits = {
	.tasks.value = 2 * LIMIT_SSH_SESSIONS,
};
static const struct schema worker_limits_schema = {
	SCHEMA("worker_limits", config_worker_limits, worker_limits_keys),
	.initial = &config_default_worker_limits};

static const struct schema_key audit_keys[] = {
	KEY(config_audit, "append_only", FLAG, append_only, NEEDED),
};
static const struct schema audit_schema = {SCHEMA("audit", config_audit, audit_keys)};

static const struct schema_key metrics_keys[] = {
	KEY(config_metrics, "listen", TEXT, listen),
	KEY(config_metrics, "health", TEXT, health),
};
static const struct schema metrics_schema = {SCHEMA("metrics", config_metrics, metrics_keys)};

static const struct schema_key ca_keys[] = {
	KEY(config_ca, "names", TEXTS, names, NEEDED),
};
static const struct schema ca_schema = {SCHEMA("ca", config_ca, ca_keys)};

static const struct schema_key login_keys[] = {
	KEY(config_login, "client_id", TEXT, client_id, NEEDED),
	KEY(config_login, "client_secret_file", TEXT, client_secret_file),
	KEY(config_login, "scope", TEXT, scope),
};
static const struct schema login_schema = {SCHEMA("a login", config_login, login_keys)};

static const struct schema_key issuer_keys[] = {
	KEY(config_issuer, "url", TEXT, url, NEEDED),
	KEY(config_issuer, "audience", TEXT, audience, NEEDED),
	KEY(config_issuer, "groups_claim", TEXT, groups_claim),
	KEY(config_issuer, "algorithms", TEXTS, algorithms),
	KEY(config_issuer, "token_type", TEXT, token_type),
	KEY(config_issuer, "ca_file", TEXT, ca_file),
	KEY(config_issuer, "keys_max_age", DURATION, keys_max_age),
	KEY(config_issuer, "login", MAPPING, login, OF(login_schema)),
};
static const struct schema issuer_schema = {SCHEMA("an issuer", config_issuer, issuer_keys),
	.initial = &(const struct config_issuer){
		.groups_claim.text = "groups", .keys_max_age.value = 24 * 3600 * 1000000000ULL}};

static const struct schema_key identity_keys[] = {
	KEY(config_identity, "issuer", TEXT, issuer, NEEDED),
	KEY(config_identity, "token_file", TEXT, token_file),
	KEY(config_identity, "client", TEXT, client),
	KEY(config_identity, "subject", TEXT, subject),
	KEY(config_identity, "client_id", TEXT, client_id),
	KEY(config_identity, "client_secret_file", TEXT, client_secret_file),
	KEY(config_identity, "private_key_file", TEXT, private_key_file),
	KEY(config_identity, "scope", TEXT, scope),
};
static const struct schema identity_schema = {
	SCHEMA("an identity", config_identity, identity_keys)};

static const struct schema_key limits_keys[] = {
	KEY(config_limits, "sessions", NUMBER, sessions, .most = 1000000),
	KEY(config_limits, "rate", NUMBER, rate, .most = 1000000),
	KEY(config_limits, "bandwidth", SIZE, bandwidth),
};
static const struct schema limits_schema = {SCHEMA("limits", config_limits, limits_keys)};

static const struct schema_key agent_keys[] = {
	KEY(config_agent, "name", TEXT, name, NEEDED),
	KEY(config_agent, "cgroup", TEXT, cgroup),
	KEY(config_agent, "interfaces", TEXTS, interfaces),
	KEY(config_agent, "addresses", TEXTS, addresses),
	KEY(config_agent, "users", TEXTS, users),
	KEY(config_agent, "identity", MAPPING, identity, OF(identity_schema)),
	KEY(config_agent, "listen", CHOICE, listen, CHOICES("deny", "allow")),
	KEY(config_agent, "io_uring", CHOICE, io_uring, CHOICES("allow", "deny")),
	KEY(config_agent, "udp", CHOICE, udp, CHOICES("policy", "dns", "deny", "allow")),
	KEY(config_agent, "trust_files", TEXTS, trust_files),
	KEY(config_agent, "known_hosts", CHOICE, known_hosts, CHOICES("system", "user")),
	KEY(config_agent, "sockets", TEXTS, sockets),
	KEY(config_agent, "pending_reviews", NUMBER, pending_reviews, .most = 10000),
	KEY(config_agent, "reviews_per_minute", NUMBER, reviews_per_minute, .most = 100000),
	KEY(config_agent, "limits", MAPPING, limits, OF(limits_schema)),
};
static const struct schema agent_schema = {SCHEMA("an agent", config_agent, agent_keys),
	.initial = &(const struct config_agent){
		.pending_reviews.value = 64, .reviews_per_minute.value = 120}};

static const struct schema_key tls_keys[] = {
	KEY(config_tls, "upstream", CHOICE, upstream,
		CHOICES("off", "require", "verify-ca", "verify-full")),
	KEY(config_tls, "mode", CHOICE, mode, CHOICES("terminate", "passthrough")),
	KEY(config_tls, "ca_file", TEXT, ca_file),
	KEY(config_tls, "server_name", TEXT, server_name),
};
static const struct schema tls_schema = {SCHEMA("tls", config_tls, tls_keys),
	.initial = &(const struct config_tls){.upstream.value = TLS_UPSTREAM_AS_CLIENT}};

static const struct schema_key header_keys[] = {
	KEY(config_header, "name", TEXT, name, NEEDED),
	KEY(config_header, "value_file", TEXT, value_file, NEEDED),
};
static const struct schema header_schema = {SCHEMA("a header", config_header, header_keys)};
static const struct schema query_schema = {SCHEMA("a query parameter", config_header, header_keys)};

static const struct schema_key impersonate_keys[] = {
	KEY(config_impersonate, "user", TEXT, user, NEEDED),
	KEY(config_impersonate, "groups", TEXTS, groups),
};
static const struct schema impersonate_schema = {
	SCHEMA("impersonate", config_impersonate, impersonate_keys)};

static const struct schema_key credentials_keys[] = {
	KEY(config_credentials, "user", TEXT, user),
	KEY(config_credentials, "password_file", TEXT, password_file),
	KEY(config_credentials, "client_cert_file", TEXT, client_cert_file),
	KEY(config_credentials, "client_key_file", TEXT, client_key_file),
	KEY(config_credentials, "bearer_file", TEXT, bearer_file),
	KEY(config_credentials, "basic_file", TEXT, basic_file),
	KEY(config_credentials, "key_file", TEXT, key_file),
	KEY(config_credentials, "header", MAPPING, header, OF(header_schema)),
	KEY(config_credentials, "query", MAPPING, query, OF(query_schema)),
	KEY(config_credentials, "impersonate", MAPPING, impersonate, OF(impersonate_schema)),
	KEY(config_credentials, "ca", FLAG, ca),
	KEY(config_credentials, "source_addresses", TEXTS, source_addresses),
	KEY(config_credentials, "force_command", TEXT, force_command),
	KEY(config_credentials, "agent", FLAG, agent),
	KEY(config_credentials, "allow_cleartext", FLAG, allow_cleartext),
};
static const struct schema credentials_schema = {
	SCHEMA("credentials", config_credentials, credentials_keys)};

static const struct schema_key upstream_keys[] = {
	KEY(config_upstream, "unix", TEXT, unix_path, NEEDED),
};
static const struct schema upstream_schema = {SCHEMA("upstream", config_upstream, upstream_keys)};

/* The names stand in the order of enum protocol_id. */
static const struct schema_key resource_keys[] = {
	KEY(config_resource, "name", TEXT, name, NEEDED),
	KEY(config_resource, "protocol", CHOICE, protocol, NEEDED,
		CHOICES("tcp", "postgres", "mysql", "ssh", "http", "kubernetes", "udp", "icmp")),
	KEY(config_resource, "hosts", TEXTS, host_texts, NEEDED),
	KEY(config_resource, "tls", MAPPING, tls, OF(tls_schema)),
	KEY(config_resource, "credentials", MAPPING, credentials, OF(credentials_schema)),
	KEY(config_resource, "upstream", MAPPING, upstream, OF(upstream_schema)),
	KEY(config_resource, "host_keys", TEXT, host_keys),
	KEY(config_resource, "allow_cleartext", FLAG, allow_cleartext),
	KEY(config_resource, "application_name", CHOICE, application_name,
		CHOICES("agent", "identity")),
	KEY(config_resource, "reuse", TEXT, reuse),
};
static const struct schema resource_schema = {SCHEMA("a resource", config_resource, resource_keys),
	.initial = &(const struct config_resource){.protocol.value = PROTOCOL_COUNT,
		.application_name.value = APPLICATION_BY_CREDENTIALS}};

static const struct schema_key reviewer_slack_keys[] = {
	KEY(config_reviewer_slack, "channel", TEXT, channel, NEEDED),
	KEY(config_reviewer_slack, "users", TEXTS, users),
};
static const struct schema reviewer_slack_schema = {
	SCHEMA("a reviewer's slack", config_reviewer_slack, reviewer_slack_keys)};

static const struct schema_key reviewer_keys[] = {
	KEY(config_reviewer, "slack", MAPPING, slack, OF(reviewer_slack_schema)),
	KEY(config_reviewer, "local_users", TEXTS, local_users),
	KEY(config_reviewer, "approvals", NUMBER, approvals, .most = 100),
};
static const struct schema reviewer_schema = {
	SCHEMA("a group of reviewers", config_reviewer, reviewer_keys),
	.initial = &(const struct config_reviewer){.approvals.value = 1}};

static const struct schema_key person_keys[] = {
	KEY(config_person, "name", TEXT, name, NEEDED),
	KEY(config_person, "slack", TEXT, slack),
	KEY(config_person, "local", TEXT, local),
	KEY(config_person, "principals", TEXTS, principals),
};
static const struct schema person_schema = {SCHEMA("a person", config_person, person_keys)};

static const struct schema_key slack_tls_keys[] = {
	KEY(config_slack_tls, "cert_file", TEXT, cert_file, NEEDED),
	KEY(config_slack_tls, "key_file", TEXT, key_file, NEEDED),
};
static const struct schema slack_tls_schema = {
	SCHEMA("slack's tls", config_slack_tls, slack_tls_keys)};

static const struct schema_key slack_keys[] = {
	KEY(config_slack, "webhook_url_file", TEXT, webhook_url_file),
	KEY(config_slack, "bot_token_file", TEXT, bot_token_file),
	KEY(config_slack, "signing_secret_file", TEXT, signing_secret_file),
	KEY(config_slack, "listen", TEXT, listen),
	KEY(config_slack, "tls", MAPPING, tls, OF(slack_tls_schema)),
	KEY(config_slack, "api_url", TEXT, api_url),
};
static const struct schema slack_schema = {SCHEMA("slack", config_slack, slack_keys),
	.initial = &(const struct config_slack){.api_url.text = "https://slack.com/api"}};

static const struct schema_key config_keys[] = {
	KEY(config, "state_dir", TEXT, state_dir),
	KEY(config, "runtime_dir", TEXT, runtime_dir),
	KEY(config, "user", TEXT, user),
	KEY(config, "policies", TEXTS, policies),
	KEY(config, "mode", CHOICE, mode, CHOICES("enforce", "observe")),
	KEY(config, "egress", CHOICE, egress, CHOICES("deny", "allow", "review")),
	KEY(config, "loopback", CHOICE, loopback, CHOICES("own", "direct", "egress")),
	KEY(config, "workers", NUMBER, workers, .most = 64),
	KEY(config, "canary", DURATION, canary),
	KEY(config, "listen_port", NUMBER, listen_port, .most = 65535),
	KEY(config, "metrics", MAPPING, metrics, OF(metrics_schema)),
	KEY(config, "retention", MAPPING, retention, OF(retention_schema)),
	KEY(config, "worker_limits", MAPPING, worker_limits, OF(worker_limits_schema)),
	KEY(config, "audit", MAPPING, audit, OF(audit_schema)),
	KEY(config, "ca", MAPPING, ca, OF(ca_schema)),
	KEY(config, "issuers", NAMED, issuers, MANY(config, issuer_schema, issuer_count)),
	KEY(config, "agents", LIST, agents, MANY(config, agent_schema, agent_count)),
	KEY(config, "resources", LIST, resources, MANY(config, resource_schema, resource_count)),
	KEY(config, "reviewers", NAMED, reviewers, MANY(config, reviewer_schema, reviewer_count)),
	KEY(config, "people", LIST, people, MANY(config, person_schema, person_count)),
	KEY(config, "slack", MAPPING, slack, OF(slack_schema)),
};
const struct schema config_schema = {
	.what = "the configuration",
	.size = offsetof(struct config, arena),
	.keys = config_keys,
	.key_count = ARRAY_SIZE(config_keys),
	.initial = &(const struct config){.state_dir.text = "/var/lib/wayleave",
		.runtime_dir.text = "/run/wayleave",
		.user.text = "wayleave",
		.canary.value = 300 * 1000000000ULL},
};

/* Policy files */

/* The names stand in the order of enum mask_strategy, without MASK_NONE. */
static const struct schema_key mask_keys[] = {
	KEY(config_mask, "columns", TEXTS, columns),
	KEY(config_mask, "json", TEXTS, json),
	KEY(config_mask, "detect", TEXTS, detect),
	KEY(config_mask, "with", CHOICE, with, NEEDED,
		CHOICES("partial", "hash", "redact", "null")),
	KEY(config_mask, "filter", CHOICE, filter, CHOICES("deny", "allow")),
	KEY(config_mask, "binary", CHOICE, binary, CHOICES("search", "pass", "refuse")),
};
static const struct schema mask_schema = {SCHEMA("a mask", config_mask, mask_keys)};

static const struct schema_key allow_keys[] = {
	KEY(config_allow, "mask", LIST, masks, MANY(config_allow, mask_schema, mask_count)),
	KEY(config_allow, "record", CHOICE, record, CHOICES("actions", "rows")),
	KEY(config_allow, "secrets", CHOICE, secrets, CHOICES("masked", "shown")),
	KEY(config_allow, "masked_values", CHOICE, masked_values, CHOICES("refuse", "pass")),
	KEY(config_allow, "as", TEXT, as),
};
static const struct schema allow_schema = {SCHEMA("allow", config_allow, allow_keys)};

static const struct schema_key review_keys[] = {
	KEY(config_review, "by", TEXT, by, NEEDED),
	KEY(config_review, "within", DURATION, within),
	KEY(config_review, "grant", DURATION, grant),
	KEY(config_review, "mask", LIST, masks, MANY(config_review, mask_schema, mask_count)),
	KEY(config_review, "record", CHOICE, record, CHOICES("actions", "rows")),
	KEY(config_review, "secrets", CHOICE, secrets, CHOICES("masked", "shown")),
	KEY(config_review, "masked_values", CHOICE, masked_values, CHOICES("refuse", "pass")),
	KEY(config_review, "as", TEXT, as),
};
static const struct schema review_schema = {SCHEMA("review", config_review, review_keys),
	.initial = &(const struct config_review){.within.value = 15 * 60 * 1000000000ULL}};

static const struct schema_key deny_keys[] = {
	KEY(config_deny, "message", TEXT, message),
};
static const struct schema deny_schema = {SCHEMA("deny", config_deny, deny_keys)};

static const struct schema_key rule_keys[] = {
	KEY(config_rule, "name", TEXT, name, NEEDED),
	KEY(config_rule, "agents", TEXTS, agents),
	KEY(config_rule, "groups", TEXTS, groups),
	KEY(config_rule, "principals", TEXTS, principals),
	KEY(config_rule, "exe", TEXTS, exe),
	KEY(config_rule, "resources", TEXTS, resources),
	KEY(config_rule, "operations", TEXTS, operations),
	KEY(config_rule, "objects", TEXTS, objects),
	KEY(config_rule, "body", NAMED_TEXTS, bodies,
		.count_offset = offsetof(struct config_rule, body_count)),
	KEY(config_rule, "allow", MAPPING, allow, OF(allow_schema)),
	KEY(config_rule, "review", MAPPING, review, OF(review_schema)),
	KEY(config_rule, "deny", MAPPING, deny, OF(deny_schema)),
};
static const struct schema rule_schema = {SCHEMA("a rule", config_rule, rule_keys)};

static const struct schema_key policy_file_keys[] = {
	KEY(config_policy_file, "rules", LIST, rules, NEEDED,
		MANY(config_policy_file, rule_schema, rule_count)),
};
const struct schema policy_file_schema = {
	SCHEMA("a policy file", config_policy_file, policy_file_keys)};
