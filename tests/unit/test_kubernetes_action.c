/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests of the API do: verbs and objects, as the API server's own reading of them goes.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/kubernetes/kubernetes.h"

static struct buffer room;
static char shown[1024];

/* "get prod/pods/web", pairs separated by ", "; "? and why" where it is not understood. */
static const char *read_line(const char *text)
{
	struct http_pairs pairs;
	size_t n = 0;

	buffer_done(&room);
	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_of_line(slice_from_string(text), &room, &pairs);
	shown[0] = '\0';
	for (size_t i = 0; i < pairs.count; i++)
		n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%s %.*s", i ? ", " : "",
			operation_name(pairs.items[i].operation),
			SLICE_PRINT(pairs.items[i].object));
	if (pairs.unknown)
		snprintf(shown, sizeof(shown), "? %s", pairs.problem);
	return shown;
}

struct reading {
	const char *line, *read;
};

static void check_all(const struct reading *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cr_expect_str_eq(
			read_line(cases[i].line), cases[i].read, "%s: %s", cases[i].line, shown);
	buffer_done(&room);
}

#define POD "/api/v1/namespaces/prod/pods/web"

Test(kubernetes_action, resources)
{
	static const struct reading cases[] = {
		{"GET " POD, "get prod/pods/web"},
		{"HEAD " POD, "get prod/pods/web"},
		{"GET " POD "?watch=1", "get prod/pods/web"},
		{"PUT " POD, "update prod/pods/web"},
		{"PATCH " POD, "patch prod/pods/web"},
		{"DELETE " POD, "delete prod/pods/web"},
		{"DELETE " POD "?dryRun=All", "delete prod/pods/web"},
		{"GET https://kube:6443" POD, "get prod/pods/web"},
		{"GET " POD "/", "get prod/pods/web"},
		{"POST /api/v1/namespaces/prod/pods", "create prod/pods/*"},
		{"DELETE /api/v1/namespaces/prod/pods", "deletecollection prod/pods/*"},
		{"GET /apis/apps/v1/namespaces/prod/deployments/web",
			"get prod/deployments.apps/web"},
		{"GET /apis/apps/v1beta2/namespaces/prod/deployments/web",
			"get prod/deployments.apps/web"},
		{"GET /api/v1/nodes/n1", "get nodes/n1"},
		{"GET /apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
			"get clusterroles.rbac.authorization.k8s.io/system:node"},
		/* A namespace is itself a resource, and so is what it has. */
		{"GET /api/v1/namespaces", "list namespaces/*"},
		{"POST /api/v1/namespaces", "create namespaces/*"},
		{"GET /api/v1/namespaces/prod", "get namespaces/prod"},
		{"DELETE /api/v1/namespaces/prod", "delete namespaces/prod"},
		{"PUT /api/v1/namespaces/prod/status", "update namespaces/prod"},
		{"PUT /api/v1/namespaces/prod/finalize", "update namespaces:finalize/prod"},
		{"GET /api/v1/namespaces/status/pods", "list status/pods/*"},
		{"GET /api/v1/namespaces/status/pods/x", "get status/pods/x"},
	};

	check_all(cases, ARRAY_SIZE(cases));
}

Test(kubernetes_action, subresources)
{
	static const struct reading cases[] = {
		{"GET " POD "/status", "get prod/pods/web"},
		{"PUT /apis/apps/v1/namespaces/prod/deployments/web/scale",
			"update prod/deployments.apps/web"},
		{"POST " POD "/eviction", "create prod/pods:eviction/web"},
		{"PATCH " POD "/ephemeralcontainers", "patch prod/pods:ephemeralcontainers/web"},
		{"POST /api/v1/namespaces/ci/serviceaccounts/bot/token",
			"create ci/serviceaccounts:token/bot"},
		{"GET " POD "/log?container=a&follow=true", "logs prod/pods/web"},
		{"POST " POD "/exec?command=ls", "exec prod/pods/web"},
		{"GET " POD "/exec?command=ls", "exec prod/pods/web"},
		{"GET " POD "/attach", "attach prod/pods/web"},
		{"GET " POD "/portforward", "portforward prod/pods/web"},
		{"GET " POD "/proxy/any/path", "proxy prod/pods/web"},
		{"DELETE /api/v1/namespaces/prod/services/http:web:80/proxy/x",
			"proxy prod/services/http:web:80"},
		{"GET /api/v1/nodes/n1/proxy/pods", "proxy nodes/n1"},
		{"POST " POD "/proxy/x\nupgrade: SPDY/3.1",
			"proxy prod/pods/web, proxy_spdy prod/pods/web"},
		{"POST " POD "/proxy/x\nupgrade: websocket", "proxy prod/pods/web"},
		{"POST " POD "/proxy/x\n\nupgrade: SPDY/3.1", "proxy prod/pods/web"},
		{"POST " POD "/exec\nupgrade: SPDY/3.1", "exec prod/pods/web"},
		{"GET /api/v1/proxy/namespaces/prod/pods/web/x", "proxy prod/pods/web"},
		{"exec https://kube" POD "/exec?command=ls", "exec prod/pods/web"},
		{"logs " POD "/log", "logs prod/pods/web"},
	};

	check_all(cases, ARRAY_SIZE(cases));
}

#define PODS "/api/v1/namespaces/prod/pods"

Test(kubernetes_action, lists_and_watches)
{
	static const struct reading cases[] = {
		{"GET " PODS, "list prod/pods/*"},
		{"GET /api/v1/pods", "list pods/*"},
		{"GET " PODS "?watch=true", "watch prod/pods/*"},
		{"GET " PODS "?watch=1", "watch prod/pods/*"},
		{"GET " PODS "?watch=t", "watch prod/pods/*"},
		{"GET " PODS "?watch=", "watch prod/pods/*"},
		{"GET " PODS "?watch", "watch prod/pods/*"},
		{"GET " PODS "?w%61tch=yes", "watch prod/pods/*"},
		{"GET " PODS "?limit=500&watch=false", "list prod/pods/*"},
		{"GET " PODS "?watch=FALSE", "list prod/pods/*"},
		{"GET " PODS "?watch=0", "list prod/pods/*"},
		{"GET " PODS "?Watch=1", "list prod/pods/*"},
		{"GET " PODS "?watch=0&watch=1", "watch prod/pods/*, list prod/pods/*"},
		{"GET " PODS "?watch=1&watch=0", "watch prod/pods/*, list prod/pods/*"},
		{"GET " PODS "?watch=%zz", "watch prod/pods/*, list prod/pods/*"},
		{"GET " PODS "?limit=1;watch=1", "watch prod/pods/*, list prod/pods/*"},
		{"GET /api/v1/watch/namespaces/prod/pods", "watch prod/pods/*"},
		{"GET /api/v1/watch/namespaces/prod/pods/web", "watch prod/pods/web"},
		{"GET /apis/apps/v1/watch/deployments", "watch deployments.apps/*"},
		{"GET " PODS "?fieldSelector=metadata.name%3Dweb", "list prod/pods/web"},
		{"GET " PODS "?fieldSelector=metadata.name==web&watch=1", "watch prod/pods/web"},
		{"GET " PODS "?fieldSelector=status.phase%3DRunning%2Cmetadata.name%3Dweb",
			"list prod/pods/web"},
		{"GET " PODS "?fieldSelector=metadata.name!=web", "list prod/pods/*"},
		{"GET " PODS "?fieldSelector=metadata.name=a,metadata.name=b", "list prod/pods/*"},
		{"GET " PODS "?fieldSelector=metadata.name=a&fieldSelector=metadata.name=b",
			"list prod/pods/*"},
		{"GET " PODS "?fieldSelector=metadata.name=a%5C,b", "list prod/pods/*"},
		{"GET " PODS "?fieldSelector=metadata.name=a/b", "list prod/pods/*"},
		{"DELETE " PODS "?fieldSelector=metadata.name=web", "deletecollection prod/pods/*"},
	};

	check_all(cases, ARRAY_SIZE(cases));
}

Test(kubernetes_action, what_is_no_resource)
{
	static const struct reading cases[] = {
		{"GET /", "get /"},
		{"GET /api", "discovery /api"},
		{"GET /api/v1", "discovery /api/v1"},
		{"GET /apis/apps/v1", "discovery /apis/apps/v1"},
		{"GET /apis/apps/v1/", "discovery /apis/apps/v1/"},
		{"GET /openapi/v3/apis/apps/v1?hash=x", "discovery /openapi/v3/apis/apps/v1"},
		{"GET /version", "discovery /version"},
		{"HEAD /readyz/etcd", "discovery /readyz/etcd"},
		{"POST /version", "create /version"},
		{"GET /versions", "get /versions"},
		{"GET /metrics", "get /metrics"},
		{"GET /API/v1/pods", "get /API/v1/pods"},
		{"GET /debug/pprof/heap", "get /debug/pprof/heap"},
	};

	check_all(cases, ARRAY_SIZE(cases));
}

Test(kubernetes_action, what_is_refused)
{
	static const char *const lines[] = {"GET /api/v1//pods", "GET //api/v1/pods",
		"GET /api/v1/namespaces//pods", "GET /api/v1/namespaces/prod/pods/../secrets",
		"GET /api/v1/namespaces/prod/pods/%2e%2E/secrets", "GET /api/v1/./pods",
		"GET /api/v1/pods/.", "GET /api/v1/namespaces/prod%2Fpods/web",
		"GET /api/v1/namespaces/prod/pods/a%252Fb", "GET /api/v1/pods/a;b",
		"GET /api/v1/pods/a\\b", "GET /api/v1/Pods", "GET /api/v1/namespaces/p/pods:exec/x",
		"GET /api/v1/namespaces/p/pods/web/EXEC", "GET /api/v1/watch", "GET /api/v1/proxy",
		"GET /apis/a%20b/v1/x", "GET /apis/%2f/v1/x", "GET /api/v1/pods/a%25b",
		"GET /api/v1/pods/%00", "OPTIONS " POD, "TRACE " POD, "FOO " POD, "get", "",
		"GET pods", "frob prod/pods/web"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect_eq(read_line(lines[i])[0], '?', "%s: %s", lines[i], shown);
	buffer_done(&room);
}

Test(kubernetes_action, kubectls_words)
{
	static const struct reading cases[] = {
		{"get prod/pods/web", "get prod/pods/web"},
		{"deletecollection prod/pods/*", "deletecollection prod/pods/*"},
		{"exec prod/pods/web", "exec prod/pods/web"},
		{"list nodes/*", "list nodes/*"},
		{"proxy_spdy prod/pods/web", "proxy_spdy prod/pods/web"},
	};

	check_all(cases, ARRAY_SIZE(cases));
}

Test(kubernetes_action, server_side_apply)
{
	struct kubernetes_request r = {.method = slice_from_string("PATCH"),
		.path = slice_from_string(POD),
		.applies = true};
	struct http_pairs pairs;

	buffer_init(&room, 8 * LIMIT_HTTP_HEAD);
	kubernetes_pairs_read(&r, &room, &pairs);
	cr_assert_eq(pairs.count, 2);
	cr_expect_eq(pairs.items[0].operation, OPERATION_KUBE_PATCH);
	cr_expect_eq(pairs.items[1].operation, OPERATION_KUBE_CREATE);
	cr_expect(slice_equal_string(pairs.items[1].object, "prod/pods/web"));
	buffer_done(&room);
}
