/* SPDX-License-Identifier: Apache-2.0
 *
 * One row per feature; what gets built loses its row.
 */
#include "policy/unbuilt.h"

#include "base/memory.h"

struct unbuilt;

struct visit {
	struct loader *loader;
	const struct unbuilt *row;
};

struct unbuilt {
	const char *feature; /* completes "not built yet: " */
	const char *instead; /* what to do today */
	void (*visit)(const struct config *c, struct visit *v);
};

static void report(struct visit *v, struct place place)
{
	diagnostics_add(v->loader->diagnostics, DIAGNOSTIC_ERROR, place.file, place.line,
		"not built yet: %s; %s", v->row->feature, v->row->instead);
}

static bool is_web(const struct config_resource *r)
{
	return r->protocol.value == PROTOCOL_HTTP || r->protocol.value == PROTOCOL_KUBERNETES;
}

static void visit_protocols(const struct config *c, struct visit *v)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		unsigned protocol = c->resources[i].protocol.value;

		if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_POSTGRES &&
			!is_web(&c->resources[i]) && protocol != PROTOCOL_SSH &&
			protocol != PROTOCOL_UDP && protocol != PROTOCOL_ICMP &&
			protocol != PROTOCOL_COUNT)
			report(v, c->resources[i].protocol.place);
	}
}

static bool is_ssh(const struct config_resource *r)
{
	return r->protocol.value == PROTOCOL_SSH;
}

static void visit_ssh_logins(const struct config *c, struct visit *v)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		if (is_ssh(&c->resources[i]) && !c->resources[i].credentials)
			report(v, c->resources[i].place);
	}
}

static void visit_credentials(const struct config *c, struct visit *v)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_resource *r = &c->resources[i];

		if (r->credentials && !is_ssh(r) && r->protocol.value != PROTOCOL_POSTGRES &&
			!is_web(r))
			report(v, r->credentials->place);
	}
}

static void visit_passthrough(const struct config *c, struct visit *v)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_tls *tls = c->resources[i].tls;

		if (tls && tls->mode.value == TLS_PASSTHROUGH && !is_web(&c->resources[i]))
			report(v, tls->mode.place);
	}
}

static void visit_wildcards(const struct config *c, struct visit *v)
{
	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_tls *tls = c->resources[i].tls;

		/* Nothing proves the name to us. */
		if (!is_ssh(&c->resources[i]) && !(tls && tls->mode.value == TLS_PASSTHROUGH))
			continue;
		for (size_t j = 0; j < c->resources[i].host_count; j++) {
			if (c->resources[i].hosts[j].kind == HOST_WILDCARD)
				report(v, c->resources[i].host_places[j]);
		}
	}
}

static const struct unbuilt rows[] = {
	{"this protocol", "expected postgres, http, kubernetes, ssh, tcp, udp or icmp",
		visit_protocols},
	{"credentials of this protocol", "expected protocol postgres, http, kubernetes or ssh",
		visit_credentials},
	{"tls mode passthrough for this protocol", "expected no \"mode\"", visit_passthrough},
	{"ssh logins as whom the agent names",
		"expected \"credentials\" with user and key_file, password_file, ca: true or "
		"agent: true",
		visit_ssh_logins},
	{"host names with \"*\" for ssh or with tls mode passthrough",
		"expected names or addresses", visit_wildcards},
};

void unbuilt_check(const struct config *c, struct loader *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct visit v = {l, &rows[i]};

		rows[i].visit(c, &v);
	}
}
