/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of resources: where they are, how they are reached, with what.
 */
#include "policy/config_check.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/head.h"

#define ON(protocol) (1u << PROTOCOL_##protocol)
#define ON_SQL (ON(POSTGRES) | ON(MYSQL))
#define ON_WEB (ON(HTTP) | ON(KUBERNETES))
#define ON_NOTHING_WITH_TLS (ON(TCP) | ON(SSH) | ON(UDP) | ON(ICMP))

/* Nanoseconds for which a server's connection is kept: shorter than servers commonly do. */
#define REUSE_TIME (5 * 1000000000ULL)
#define REUSE_MOST (60 * 1000000000ULL)

static void read_hosts(struct loader *l, struct config_resource *resource)
{
	const struct config_texts *texts = &resource->host_texts;

	if (texts->place.file && texts->count == 0)
		loader_error(l, texts->place, "\"hosts\": an empty list is no place");
	resource->hosts = node_allocate(l->arena, (texts->count + 1) * sizeof(*resource->hosts));
	resource->host_places =
		node_allocate(l->arena, (texts->count + 1) * sizeof(*resource->host_places));
	for (size_t i = 0; i < texts->count; i++) {
		const struct config_text *text = &texts->items[i];
		struct error e;

		if (host_parse((char *)node_copy_text(l->arena, text->text),
			    &resource->hosts[resource->host_count], &e) < 0)
			loader_error(l, text->place, "\"hosts\": %s", e.text);
		else
			resource->host_places[resource->host_count++] = text->place;
	}
}

static enum transport transport_of(const struct config_resource *resource)
{
	return protocol_transport((enum protocol_id)resource->protocol.value);
}

/* An echo is asked of an address. */
static void check_ports(struct loader *l, const struct config_resource *resource)
{
	for (size_t i = 0; i < resource->host_count; i++) {
		if (transport_of(resource) == TRANSPORT_ICMP &&
			resource->hosts[i].port != HOST_ANY_PORT)
			loader_error(l, resource->host_places[i],
				"icmp has no ports; expected \"*\" behind the colon");
	}
}

/* Two resources that claim one place: nothing would tell which one a connection means. */
static void check_ties(struct config *c, struct loader *l, size_t index)
{
	const struct config_resource *resource = &c->resources[index];

	for (size_t i = 0; i < resource->host_count; i++) {
		for (const struct config_resource *other = c->resources; other < resource;
			other++) {
			for (size_t j = 0; j < other->host_count; j++) {
				if (transport_of(resource) == transport_of(other) &&
					host_ties(&resource->hosts[i], &other->hosts[j]))
					loader_error(l, resource->host_places[i],
						"\"hosts\": resource \"%s\" (line %u) names this "
						"place too; expected one resource for it",
						other->name.text ? other->name.text : "?",
						other->host_places[j].line);
			}
		}
	}
}

/* Which keys of `credentials` make one way to log in, and where. */
enum credential_key {
	CREDENTIAL_USER = 1 << 0,
	CREDENTIAL_PASSWORD = 1 << 1,
	CREDENTIAL_CLIENT_CERT = 1 << 2,
	CREDENTIAL_CLIENT_KEY = 1 << 3,
	CREDENTIAL_BEARER = 1 << 4,
	CREDENTIAL_BASIC = 1 << 5,
	CREDENTIAL_HEADER = 1 << 6,
	CREDENTIAL_KEY = 1 << 7,
	CREDENTIAL_CA = 1 << 8,
	CREDENTIAL_AGENT = 1 << 9,
	CREDENTIAL_QUERY = 1 << 10,
};
static const struct credential_way {
	unsigned protocols;
	unsigned keys;
} credential_ways[] = {
	{ON_SQL, CREDENTIAL_USER | CREDENTIAL_PASSWORD},
	{ON_SQL, CREDENTIAL_USER | CREDENTIAL_CLIENT_CERT | CREDENTIAL_CLIENT_KEY},
	{ON_WEB, CREDENTIAL_BEARER},
	{ON_WEB, CREDENTIAL_BASIC},
	{ON_WEB, CREDENTIAL_HEADER},
	{ON_WEB, CREDENTIAL_QUERY},
	{ON_WEB, CREDENTIAL_CLIENT_CERT | CREDENTIAL_CLIENT_KEY},
};
/* Of SSH: any of these, one after the other. */
static const unsigned credential_steps =
	CREDENTIAL_KEY | CREDENTIAL_PASSWORD | CREDENTIAL_CA | CREDENTIAL_AGENT;
static const char *const credential_expected[PROTOCOL_COUNT] = {
	[PROTOCOL_TCP] = "none: tcp is relayed unread",
	[PROTOCOL_UDP] = "none: nobody logs in by udp",
	[PROTOCOL_ICMP] = "none: nobody logs in by icmp",
	[PROTOCOL_POSTGRES] =
		"user and password_file, or user, client_cert_file and client_key_file",
	[PROTOCOL_MYSQL] = "user and password_file, or user, client_cert_file and client_key_file",
	[PROTOCOL_SSH] = "user and at least one of ca: true, key_file, password_file, agent: true",
	[PROTOCOL_HTTP] = "one of bearer_file, basic_file, header, query, or client_cert_file and "
			  "client_key_file",
	[PROTOCOL_KUBERNETES] = "one of bearer_file, basic_file, header, query, or "
				"client_cert_file and client_key_file",
};

static unsigned credential_keys(const struct config_credentials *given)
{
	return (given->user.text ? CREDENTIAL_USER : 0u) |
		(given->password_file.text ? CREDENTIAL_PASSWORD : 0u) |
		(given->client_cert_file.text ? CREDENTIAL_CLIENT_CERT : 0u) |
		(given->client_key_file.text ? CREDENTIAL_CLIENT_KEY : 0u) |
		(given->bearer_file.text ? CREDENTIAL_BEARER : 0u) |
		(given->basic_file.text ? CREDENTIAL_BASIC : 0u) |
		(given->header ? CREDENTIAL_HEADER : 0u) | (given->query ? CREDENTIAL_QUERY : 0u) |
		(given->key_file.text ? CREDENTIAL_KEY : 0u) | (given->ca ? CREDENTIAL_CA : 0u) |
		(given->agent ? CREDENTIAL_AGENT : 0u);
}

/* sshd_config's "from" without its patterns: it refuses what it can't read. */
static void check_source_addresses(struct loader *l, const struct config_credentials *given)
{
	for (size_t i = 0; i < given->source_addresses.count; i++) {
		const struct config_text *address = &given->source_addresses.items[i];
		char *place = memory_format(
			strchr(address->text, ':') ? "[%s]:1" : "%s:1", address->text);
		struct error why;
		struct host host;

		if (host_parse(place, &host, &why) < 0 ||
			(host.kind != HOST_ADDRESS && host.kind != HOST_PREFIX))
			loader_error(l, address->place,
				"\"source_addresses\": expected an address or a prefix, as "
				"10.0.3.0/24, not \"%s\"",
				address->text);
		free(place);
	}
	if (given->source_addresses.count && !given->ca)
		loader_error(l, given->source_addresses.place,
			"\"source_addresses\" are those of certificates; expected \"ca: true\"");
}

/* A host runs it whatever is asked for, which it would not with another way to log in. */
static void check_force_command(struct loader *l, const struct config_credentials *given)
{
	struct slice text = slice_from_string(given->force_command.text);

	if (!given->force_command.text)
		return;
	if (text.length == 0 || text.length > LIMIT_FORCED_COMMAND || !text_is_one_line(text))
		loader_error(l, given->force_command.place,
			"\"force_command\": expected a command on one line, of at most %u bytes",
			LIMIT_FORCED_COMMAND);
	if (!given->ca || given->key_file.text || given->password_file.text || given->agent)
		loader_error(l, given->force_command.place,
			"\"force_command\" is that of certificates; expected \"ca: true\" and no "
			"other way to log in");
}

/* It is to stand in a header. */
static void check_impersonated(struct loader *l, const struct config_text *name)
{
	struct slice text = slice_from_string(name->text);

	if (text.length == 0 || text.length > LIMIT_IMPERSONATED_NAME || !text_is_ascii(text) ||
		!text_is_one_line(text) || text.data[0] == ' ' || text.data[text.length - 1] == ' ')
		loader_error(l, name->place,
			"\"impersonate\": expected the name of a user or group in ASCII, of at "
			"most %u bytes",
			LIMIT_IMPERSONATED_NAME);
}

static void check_impersonate(struct loader *l, const struct config_resource *resource)
{
	const struct config_impersonate *given =
		resource->credentials ? resource->credentials->impersonate : NULL;

	if (!given)
		return;
	if (resource->protocol.value != PROTOCOL_KUBERNETES)
		loader_error(l, given->place, "\"impersonate\" is for protocol kubernetes alone");
	if (given->user.text)
		check_impersonated(l, &given->user);
	for (size_t i = 0; i < given->groups.count; i++)
		check_impersonated(l, &given->groups.items[i]);
	if (given->groups.count > LIMIT_IMPERSONATED - 1)
		loader_error(l, given->groups.place, "\"groups\": expected at most %u",
			LIMIT_IMPERSONATED - 1);
}

static void check_credentials(struct loader *l, const struct config_resource *resource)
{
	const struct config_credentials *given = resource->credentials;
	unsigned keys;

	if (!given)
		return;
	keys = credential_keys(given);
	check_source_addresses(l, given);
	check_force_command(l, given);
	if (resource->protocol.value == PROTOCOL_SSH && keys & CREDENTIAL_USER &&
		keys & credential_steps && !(keys & ~(CREDENTIAL_USER | credential_steps)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(credential_ways); i++) {
		if (credential_ways[i].protocols >> resource->protocol.value & 1 &&
			credential_ways[i].keys == keys)
			return;
	}
	loader_error(l, given->place, "\"credentials\" of protocol %s: expected %s",
		protocol_name((enum protocol_id)resource->protocol.value),
		credential_expected[resource->protocol.value]);
}

/* What decides how a request is read, or belongs to one connection, is no place for a secret. */
static void check_header_name(struct loader *l, const struct config_text *name)
{
	static const char *const taken[] = {"host", "content-length", "content-type",
		"content-encoding", "transfer-encoding", "connection", "keep-alive",
		"proxy-connection", "te", "trailer", "upgrade", "expect", "range", "if-range",
		"accept-encoding"};
	struct slice text = slice_from_string(name->text);
	bool good = http_is_token(text);

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		good &= !text_equal_ignore_case(text, slice_from_string(taken[i]));
	if (!good)
		loader_error(l, name->place,
			"\"name\": expected the name of a header for secrets, as X-Api-Key, not "
			"\"%s\"",
			name->text);
}

static void check_query_name(struct loader *l, const struct config_text *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	if (!name->text[0] || name->text[strspn(name->text, plain)])
		loader_error(l, name->place,
			"\"name\": expected letters, digits, \"-\", \".\" or \"_\", as api_key, "
			"not "
			"\"%s\"",
			name->text);
}

/* The agent says which name it means; that the server has it only its certificate proves, or, where
 * there are none, what the host's resolvers say. */
static void check_wildcards(struct loader *l, const struct config_resource *resource)
{
	unsigned upstream = resource->tls ? resource->tls->upstream.value : TLS_UPSTREAM_AS_CLIENT;

	if (upstream == TLS_UPSTREAM_AS_CLIENT || upstream == TLS_UPSTREAM_VERIFY_FULL)
		return;
	for (size_t i = 0; i < resource->host_count; i++) {
		if (resource->hosts[i].kind == HOST_WILDCARD)
			loader_error(l, resource->host_places[i],
				"a name with \"*\" means servers that prove it; expected "
				"\"upstream: verify-full\" or no \"upstream\"");
	}
}

static void check_tls(struct loader *l, const struct config_resource *resource)
{
	const struct config_tls *tls = resource->tls;
	bool off;

	if (!tls)
		return;
	if (ON_NOTHING_WITH_TLS >> resource->protocol.value & 1)
		loader_error(l, tls->place, "\"tls\" means nothing for protocol %s",
			protocol_name((enum protocol_id)resource->protocol.value));
	if (tls->mode.value == TLS_PASSTHROUGH &&
		(tls->upstream.value != TLS_UPSTREAM_AS_CLIENT || tls->ca_file.text ||
			tls->server_name.text))
		loader_error(l, tls->place,
			"\"mode: passthrough\" relays TLS unread; expected no "
			"other key of \"tls\" with it");
	if (tls->mode.value == TLS_PASSTHROUGH && resource->credentials)
		loader_error(l, resource->credentials->place,
			"\"mode: passthrough\" relays TLS unread; expected no \"credentials\" with "
			"it");
	off = tls->upstream.value == TLS_UPSTREAM_OFF ||
		tls->upstream.value == TLS_UPSTREAM_REQUIRE;
	if (off && tls->ca_file.text)
		loader_error(l, tls->ca_file.place,
			"\"ca_file\" is not used with this \"upstream\"; expected verify-ca or "
			"verify-full");
}

/* A server sees a certificate in TLS alone. */
static void check_certificate(struct loader *l, const struct config_resource *resource)
{
	const struct config_credentials *given = resource->credentials;
	bool off = resource->tls && resource->tls->upstream.value == TLS_UPSTREAM_OFF;

	if (given && given->client_cert_file.text && (off || resource->upstream))
		loader_error(l, given->client_cert_file.place,
			"\"client_cert_file\" needs TLS with the server; expected no "
			"\"upstream: off\" and no \"unix\"");
}

static void check_reuse(struct loader *l, struct config_resource *resource)
{
	const char *given = resource->reuse.text;

	resource->reuse_time = given ? 0 : REUSE_TIME;
	if (!(ON_WEB >> resource->protocol.value & 1)) {
		resource->reuse_time = 0;
		if (given)
			loader_error(l, resource->reuse.place,
				"\"reuse\" is for protocols http and kubernetes alone");
	} else if (given && strcmp(given, "off") != 0 &&
		(text_to_duration(slice_from_string(given), &resource->reuse_time) < 0 ||
			resource->reuse_time == 0 || resource->reuse_time > REUSE_MOST)) {
		loader_error(l, resource->reuse.place,
			"\"reuse\": expected off or a duration of at most 60s, not \"%s\"", given);
	}
}

static void check_resource(struct loader *l, struct config_resource *resource)
{
	config_check_name(l, &resource->name, "a resource");
	if (resource->name.text && strcmp(resource->name.text, CONFIG_EGRESS) == 0)
		loader_error(l, resource->name.place,
			"\"" CONFIG_EGRESS
			"\" means what no resource names; expected another name");
	read_hosts(l, resource);
	if (resource->protocol.value == PROTOCOL_COUNT)
		return; /* reported: without a protocol nothing else can be said */
	check_ports(l, resource);
	check_wildcards(l, resource);
	check_tls(l, resource);
	check_credentials(l, resource);
	check_impersonate(l, resource);
	check_certificate(l, resource);
	if (resource->credentials && resource->credentials->header)
		check_header_name(l, &resource->credentials->header->name);
	if (resource->credentials && resource->credentials->query)
		check_query_name(l, &resource->credentials->query->name);
	if (resource->protocol.value == PROTOCOL_SSH && !resource->host_keys.text)
		loader_warning(l, resource->place,
			"without \"host_keys\" no host can prove who it is, and each is refused");
	if (resource->host_keys.text && resource->protocol.value != PROTOCOL_SSH)
		loader_error(
			l, resource->host_keys.place, "\"host_keys\" is for protocol ssh alone");
	if (resource->upstream && !(ON_SQL >> resource->protocol.value & 1))
		loader_error(l, resource->upstream->place,
			"\"upstream: unix\" is for protocols postgres and mysql alone");
	if (resource->application_name.place.file && resource->protocol.value != PROTOCOL_POSTGRES)
		loader_error(l, resource->application_name.place,
			"\"application_name\" is for protocol postgres alone");
	check_reuse(l, resource);
	if (resource->credentials)
		resource->allow_cleartext |= resource->credentials->allow_cleartext;
	if (resource->allow_cleartext && !((ON_SQL | ON_WEB) >> resource->protocol.value & 1))
		loader_error(l, resource->place,
			"\"allow_cleartext\" means nothing for protocol %s",
			protocol_name((enum protocol_id)resource->protocol.value));
}

void config_check_resources(struct config *c, struct loader *l)
{
	struct config_array resources = CONFIG_ARRAY(c->resources, c->resource_count, "resource");
	size_t hosts = 0;

	if (c->resource_count > LIMIT_CONFIG_RESOURCES) {
		loader_error(l, c->place, "more than %u resources", LIMIT_CONFIG_RESOURCES);
		return;
	}
	config_check_unique(l, &resources);
	for (size_t i = 0; i < c->resource_count; i++) {
		check_resource(l, &c->resources[i]);
		hosts += c->resources[i].host_count;
	}
	if (hosts > LIMIT_CONFIG_HOSTS) {
		loader_error(l, c->place, "more than %u hosts", LIMIT_CONFIG_HOSTS);
		return;
	}
	for (size_t i = 0; i < c->resource_count; i++)
		check_ties(c, l, i);
}
