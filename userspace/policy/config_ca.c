/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host's CA is limited to, and which resources that leaves without certificates.
 */
#include "policy/ca_names.h"
#include "policy/config_check.h"

static void read_names(struct loader *l, struct config_ca *ca)
{
	if (ca->names.count == 0)
		loader_error(l, ca->names.place, "\"names\": an empty list limits to nothing");
	if (ca->names.count > CA_NAMES_MOST) {
		loader_error(l, ca->names.place, "\"names\": expected at most %u", CA_NAMES_MOST);
		ca->names.count = 0;
	}
	ca->limits = node_allocate(l->arena, (ca->names.count + 1) * sizeof(*ca->limits));
	for (size_t i = 0; i < ca->names.count; i++) {
		const struct config_text *item = &ca->names.items[i];
		size_t length = strlen(item->text);
		char *room = node_allocate(l->arena, length + 5);
		struct error e;

		memcpy(room, item->text, length + 1);
		if (ca_name_parse(room, &ca->limits[ca->limit_count], &e) < 0)
			loader_error(l, item->place, "\"names\": \"%s\": %s", item->text, e.text);
		else
			ca->limit_count++;
	}
}

/* Whether agents that ask for TLS there get a certificate of the CA. */
static bool is_answered(const struct config_resource *r)
{
	switch (r->protocol.value) {
	case PROTOCOL_POSTGRES:
	case PROTOCOL_HTTP:
	case PROTOCOL_KUBERNETES:
		return !r->tls || r->tls->mode.value == TLS_TERMINATE;
	default:
		return false;
	}
}

/* No error: its agents may not ask for TLS. */
static void warn_of_resource(
	const struct config_ca *ca, struct loader *l, const struct config_resource *r)
{
	for (size_t i = 0; is_answered(r) && i < r->host_count; i++) {
		if (!ca_names_cover_host(ca->limits, ca->limit_count, &r->hosts[i]))
			loader_warning(l, r->host_places[i],
				"agents that ask for TLS there get no certificate: the \"names\" "
				"of \"ca\" don't cover it");
	}
}

void config_check_ca(struct config *c, struct loader *l)
{
	if (!c->ca)
		return;
	read_names(l, c->ca);
	for (size_t i = 0; i < c->resource_count; i++)
		warn_of_resource(c->ca, l, &c->resources[i]);
}
