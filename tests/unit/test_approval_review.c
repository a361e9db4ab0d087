/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "approval/review.h"
#include "base/memory.h"

static bool asks_for(const char *principal, const char *on_behalf_of)
{
	struct config_text name = {.text = principal};
	struct config_login login = {.client_id = {.text = "wayleave"}};
	struct config_issuer issuers[] = {
		{.name = {.text = "okta"}, .login = &login},
		{.name = {.text = "bots"}},
	};
	struct config_person person = {
		.local = {.text = "ann"}, .principals = {.items = &name, .count = 1}};
	const struct config c = {.issuers = issuers,
		.issuer_count = ARRAY_SIZE(issuers),
		.people = &person,
		.person_count = 1};
	const struct reviewer ann = {.via = REVIEWER_LOCAL, .uid = 1, .name = "ann"},
			      user = {.via = REVIEWER_LOCAL, .uid = 2, .name = "agents"};
	const struct requester_names names = {.on_behalf_of = slice_from_string(on_behalf_of)};

	return reviewer_is_requester(&c, &ann, &user, &names);
}

Test(review, a_person_is_known_with_and_without_the_issuer)
{
	cr_expect(asks_for("ann@acme.com", "ann@acme.com"));
	cr_expect(asks_for("okta:ann@acme.com", "okta:ann@acme.com"));
	cr_expect(asks_for("ann@acme.com", "okta:ann@acme.com"));
	cr_expect_not(asks_for("ann@acme.com", "bots:ann@acme.com"));
	cr_expect_not(asks_for("ann@acme.com", "okta:bob@acme.com"));
	cr_expect_not(asks_for("okta", "okta:ann@acme.com"));
}
