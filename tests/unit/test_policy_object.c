/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of objects, per protocol; and "did you mean".
 */
#include <criterion/criterion.h>

#include "base/memory.h"
#include "base/text.h"
#include "policy/object.h"
#include "policy/suggest.h"

Test(policy_object, matches)
{
	static const struct {
		enum protocol_id protocol;
		const char *pattern, *object;
		bool surely, possibly;
	} cases[] = {
		{PROTOCOL_POSTGRES, "public.orders", "public.orders", true, true},
		{PROTOCOL_POSTGRES, "public.orders", "public.order", false, false},
		{PROTOCOL_POSTGRES, "*.*", "a.b", true, true},
		{PROTOCOL_POSTGRES, "*.*", "a", false, false},
		{PROTOCOL_POSTGRES, "a*.b*", "ax.by", true, true},
		{PROTOCOL_POSTGRES, "*", "a.b", false, true},
		{PROTOCOL_POSTGRES, "x*", "a.b", false, false},
		{PROTOCOL_POSTGRES, "*", "a", true, true},
		{PROTOCOL_POSTGRES, "public.*", "public.f()", true, true},
		{PROTOCOL_POSTGRES, "public.*()", "public.f()", true, true},
		{PROTOCOL_POSTGRES, "public.*()", "public.f", false, false},
		{PROTOCOL_POSTGRES, "public.*", "public.a.b", false, true},
		{PROTOCOL_POSTGRES, "*.b", "public.a.b", false, true},
		{PROTOCOL_POSTGRES, "*.*", "public.a.b", true, true},
		{PROTOCOL_POSTGRES, "x.*", "public.a.b", false, false},
		{PROTOCOL_POSTGRES, "a.b", "", false, false},
		{PROTOCOL_MYSQL, "shop.*", "shop.t", true, true},
		{PROTOCOL_HTTP, "/a/*/c", "/a/b/c", true, true},
		{PROTOCOL_HTTP, "/a/*/c", "/a/b/b/c", false, false},
		{PROTOCOL_HTTP, "/a/v*", "/a/v2", true, true},
		{PROTOCOL_HTTP, "/a/v*", "/a/v2/x", false, false},
		{PROTOCOL_HTTP, "/a/**", "/a", true, true},
		{PROTOCOL_HTTP, "/a/**", "/a/b/c/", true, true},
		{PROTOCOL_HTTP, "/a/**", "/ab", false, false},
		{PROTOCOL_HTTP, "/**", "/", true, true},
		{PROTOCOL_HTTP, "/**/z", "/z", true, true},
		{PROTOCOL_HTTP, "/**/z", "/a/z/b/z", true, true},
		{PROTOCOL_HTTP, "/**/z", "/a/z/b", false, false},
		{PROTOCOL_HTTP, "/**/m/**/z", "/a/m/z", true, true},
		{PROTOCOL_HTTP, "/**/m/**/z", "/a/z/m", false, false},
		{PROTOCOL_HTTP, "/a", "/a/", false, false},
		{PROTOCOL_HTTP, "/a", "a", false, false},
		{PROTOCOL_HTTP, "/a", "", false, false},
		{PROTOCOL_HTTP, "/a**", "/ab/c", false, false},
		{PROTOCOL_KUBERNETES, "prod/deployments.apps/web", "prod/deployments.apps/web",
			true, true},
		{PROTOCOL_KUBERNETES, "prod/*/web", "prod/deployments.apps/web", true, true},
		{PROTOCOL_KUBERNETES, "*/pods/*", "nodes/n1", false, false},
		{PROTOCOL_KUBERNETES, "nodes/*", "nodes/n1", true, true},
		{PROTOCOL_KUBERNETES, "nodes/*", "a/nodes/n1", false, false},
		/* All of a kind. */
		{PROTOCOL_KUBERNETES, "prod/pods/*", "prod/pods/*", true, true},
		{PROTOCOL_KUBERNETES, "prod/pods/web", "prod/pods/*", false, true},
		{PROTOCOL_KUBERNETES, "prod/pods/web*", "prod/pods/*", false, true},
		{PROTOCOL_KUBERNETES, "prod/pods/web", "dev/pods/*", false, false},
		{PROTOCOL_KUBERNETES, "prod/secrets/*", "prod/pods/*", false, false},
		/* Which may be in all namespaces. */
		{PROTOCOL_KUBERNETES, "pods/*", "pods/*", true, true},
		{PROTOCOL_KUBERNETES, "*/pods/*", "pods/*", true, true},
		{PROTOCOL_KUBERNETES, "prod/pods/*", "pods/*", false, true},
		{PROTOCOL_KUBERNETES, "prod/pods/web", "pods/*", false, true},
		{PROTOCOL_KUBERNETES, "prod/secrets/*", "pods/*", false, false},
		{PROTOCOL_KUBERNETES, "prod/*/*", "widgets.acme.com/*", false, true},
		{PROTOCOL_KUBERNETES, "prod/*/*", "nodes/*", false, false},
		{PROTOCOL_KUBERNETES, "*/*/*", "clusterroles.rbac.authorization.k8s.io/*", false,
			false},
		{PROTOCOL_KUBERNETES, "prod/pods/*", "pods/web", false, false},
		/* What is reached through it. */
		{PROTOCOL_KUBERNETES, "ci/serviceaccounts/*", "ci/serviceaccounts:token/bot", false,
			true},
		{PROTOCOL_KUBERNETES, "ci/serviceaccounts:token/*", "ci/serviceaccounts:token/bot",
			true, true},
		{PROTOCOL_KUBERNETES, "ci/serviceaccounts:token/*", "ci/serviceaccounts/bot", false,
			false},
		{PROTOCOL_KUBERNETES, "ci/*/*", "ci/serviceaccounts:token/bot", true, true},
		{PROTOCOL_KUBERNETES, "/metrics", "/metrics", true, true},
		{PROTOCOL_KUBERNETES, "/debug/**", "/debug/pprof/heap", true, true},
		{PROTOCOL_KUBERNETES, "*/pods/*", "/metrics", false, false},
		{PROTOCOL_SSH, "git *", "git status --short", true, true},
		{PROTOCOL_SSH, "git *", "git", false, false},
		{PROTOCOL_SSH, "/srv/*", "/srv/a/b", true, true},
		{PROTOCOL_TCP, "*", "x", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice pattern = slice_from_string(cases[i].pattern);
		struct slice object = slice_from_string(cases[i].object);

		enum object_match expected = cases[i].surely ? OBJECT_MATCHES
			: cases[i].possibly                  ? OBJECT_MATCHES_PERHAPS
							     : OBJECT_MATCHES_NOT;

		cr_expect_eq(object_match(cases[i].protocol, pattern, object), expected, "%s, %s",
			cases[i].pattern, cases[i].object);
	}
}

/* The quick look at both ends changes no answer. */
Test(policy_object, whole_globs)
{
	static const char letters[] = "ab*";
	unsigned state = 1;

	for (unsigned i = 0; i < 200000; i++) {
		char pattern[6] = "", object[6] = "";

		for (unsigned j = 0; j < 5; j++) {
			state = state * 1103515245 + 12345;
			pattern[j] = letters[(state >> 16) % 3];
			state = state * 1103515245 + 12345;
			object[j] = letters[(state >> 16) % 2];
		}
		pattern[1 + (state >> 8) % 5] = object[1 + (state >> 12) % 5] = '\0';
		cr_assert_eq(object_match(PROTOCOL_SSH, slice_from_string(pattern),
				     slice_from_string(object)),
			text_glob(slice_from_string(pattern), slice_from_string(object)), "%s %s",
			pattern, object);
	}
}

Test(policy_object, suggestions)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
		{"", "", 0},
		{"abc", "abc", 0},
		{"ABC", "abc", 0},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"abc", "acb", 1},
		{"abc", "", 3},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
	};
	struct suggestion s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cr_expect_eq(suggestion_distance(cases[i].a, cases[i].b), cases[i].distance,
			"%s %s", cases[i].a, cases[i].b);
		cr_expect_eq(suggestion_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
	suggestion_init(&s, "ordrs");
	suggestion_offer(&s, "customers");
	cr_expect_null(s.best);
	suggestion_offer(&s, "order");
	suggestion_offer(&s, "orders");
	cr_expect_str_eq(s.best, "orders");
	suggestion_init(&s, "x");
	suggestion_offer(&s, "y");
	cr_expect_null(s.best, "a letter is not like every other");
}
