/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/object_kubernetes.h"

#include "base/memory.h"
#include "base/text.h"

/* [NAMESPACE/]RESOURCE[.GROUP][:SUBRESOURCE]/NAME */
struct name {
	bool namespaced;
	struct slice namespace, resource, name;
};

static bool read_name(struct slice text, struct name *ret)
{
	struct slice first = slice_take_until(&text, '/'), second = slice_take_until(&text, '/'),
		     third = slice_take_until(&text, '/');

	*ret = (struct name){.namespaced = third.length != 0};
	ret->namespace = ret->namespaced ? first : SLICE_EMPTY;
	ret->resource = ret->namespaced ? second : first;
	ret->name = ret->namespaced ? third : second;
	return ret->resource.length && ret->name.length && text.length == 0;
}

/* Paths that are no resources': "/pods" would be a mistake. */
static bool is_path_pattern(struct slice pattern)
{
	static const char *const roots[] = {"api", "apis", "configz", "debug", "flagz", "healthz",
		"livez", "logs", "metrics", "openapi", "openid", "readyz", "statusz", "version",
		".well-known"};
	struct slice rest = slice_from(pattern, 1), root = slice_take_until(&rest, '/');

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		if (text_glob(root, slice_from_string(roots[i])))
			return true;
	}
	return pattern.length == 1;
}

bool kubernetes_is_pattern(struct slice pattern)
{
	struct name n;

	if (pattern.data[0] == '/')
		return is_path_pattern(pattern);
	return read_name(pattern, &n) && (!n.namespaced || n.namespace.length) &&
		pattern.data[pattern.length - 1] != '/';
}

/* What is known to be in no namespace, of the API's own resources: a list of others that names no
 * namespace may be one of all namespaces. */
static const char *const cluster_wide[] = {"componentstatuses", "namespaces", "nodes",
	"persistentvolumes", "mutatingadmissionpolicies.admissionregistration.k8s.io",
	"mutatingwebhookconfigurations.admissionregistration.k8s.io",
	"validatingadmissionpolicies.admissionregistration.k8s.io",
	"validatingadmissionpolicybindings.admissionregistration.k8s.io",
	"validatingwebhookconfigurations.admissionregistration.k8s.io",
	"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
	"selfsubjectreviews.authentication.k8s.io", "tokenreviews.authentication.k8s.io",
	"selfsubjectaccessreviews.authorization.k8s.io",
	"selfsubjectrulesreviews.authorization.k8s.io", "subjectaccessreviews.authorization.k8s.io",
	"certificatesigningrequests.certificates.k8s.io", "clustertrustbundles.certificates.k8s.io",
	"flowschemas.flowcontrol.apiserver.k8s.io",
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "nodes.metrics.k8s.io",
	"ingressclasses.networking.k8s.io", "ipaddresses.networking.k8s.io",
	"servicecidrs.networking.k8s.io", "runtimeclasses.node.k8s.io",
	"clusterrolebindings.rbac.authorization.k8s.io", "clusterroles.rbac.authorization.k8s.io",
	"deviceclasses.resource.k8s.io", "resourceslices.resource.k8s.io",
	"priorityclasses.scheduling.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io",
	"storageclasses.storage.k8s.io", "volumeattachments.storage.k8s.io",
	"volumeattributesclasses.storage.k8s.io"};

/* "serviceaccounts:token" → "serviceaccounts" */
static struct slice without_subresource(struct slice resource)
{
	const uint8_t *colon = memchr(resource.data, ':', resource.length);

	return colon ? slice_head(resource, (size_t)(colon - resource.data)) : resource;
}

static bool is_all_of_its_kind(const struct name *object)
{
	return slice_equal_string(object->name, "*");
}

static bool may_be_in_all_namespaces(const struct name *object)
{
	struct slice resource = without_subresource(object->resource);

	if (object->namespaced || !is_all_of_its_kind(object))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(cluster_wide); i++) {
		if (slice_equal_string(resource, cluster_wide[i]))
			return false;
	}
	return true;
}

static enum object_match and_then(enum object_match so_far, bool surely, bool perhaps)
{
	if (!perhaps && !surely)
		return OBJECT_MATCHES_NOT;
	return surely || so_far == OBJECT_MATCHES_NOT ? so_far : OBJECT_MATCHES_PERHAPS;
}

enum object_match kubernetes_match(struct slice pattern, struct slice object)
{
	enum object_match match = OBJECT_MATCHES;
	struct name p, o;

	if (!read_name(pattern, &p) || !read_name(object, &o))
		return OBJECT_MATCHES_NOT;
	if (p.namespaced != o.namespaced)
		match = and_then(match,
			p.namespaced && slice_equal_string(p.namespace, "*") &&
				may_be_in_all_namespaces(&o),
			p.namespaced && may_be_in_all_namespaces(&o));
	else if (!text_glob(p.namespace, o.namespace))
		return OBJECT_MATCHES_NOT;
	if (match == OBJECT_MATCHES_NOT)
		return match;
	/* Who means a resource means what can be done through it; but lets it be done only where
	 * the rule says so. */
	match = and_then(match, text_glob(p.resource, o.resource),
		text_glob(p.resource, without_subresource(o.resource)));
	if (match == OBJECT_MATCHES_NOT)
		return match;
	return and_then(match, text_glob(p.name, o.name), is_all_of_its_kind(&o));
}
