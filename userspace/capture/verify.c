/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether everything is still there that holds agents, which others on the host can take away.
 */
#include <errno.h>

#include "base/memory.h"
#include "capture/enrolment.h"
#include "capture/network_rules.h"
#include "capture/state.h"

static int verify_workers(struct capture *c, struct error *e)
{
	const char *missing;
	uint64_t cgroup;
	int r = cgroup_get_id(c->worker_fd, &cgroup);

	if (r < 0)
		return error_set_errno(e, r, "the workers' cgroup");
	missing = programs_missing(&c->programs, PROGRAMS_WORKER, CAPTURE_WORKER_OWNER, cgroup);
	return missing ? error_set(e, -ESTALE, "a hook of the workers was taken away: %s", missing)
		       : 0;
}

static int verify_networks(struct capture *c, struct error *e)
{
	return network_rules_verify(&c->networks, e);
}

static int nothing_to_renew(struct capture *c, struct error *e)
{
	(void)c;
	(void)e;
	return 0;
}

/* Each part with what puts it back. */
static const struct part {
	int (*verify)(struct capture *c, struct error *e);
	int (*renew)(struct capture *c, struct error *e);
} parts[] = {
	{verify_workers, capture_attach_workers}, {enrolment_verify, enrolment_renew},
	{governed_verify, governed_renew}, {forwarded_verify, forwarded_load},
	{verify_networks, nothing_to_renew}, /* does it itself */
};

static int verify_part(struct capture *c, const struct part *part, struct error *e)
{
	struct error found = {""}, again = {""};
	int r = part->verify(c, &found);

	if (r < 0 && part->renew(c, &again) < 0)
		error_set(e, r, "%.240s; and it can't be put back: %.240s", found.text, again.text);
	else if (r < 0)
		*e = found;
	return r;
}

int capture_verify(struct capture *c, struct error *e)
{
	struct error later, before = c->tampered;
	int r = 0;

	c->tampered.text[0] = '\0';
	/* The first is told, and all are put back. */
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int own = verify_part(c, &parts[i], r == 0 ? e : &later);

		r = r == 0 ? own : r;
	}
	if (r == 0 && before.text[0])
		r = error_set(e, -ESTALE, "%s", before.text);
	return r;
}
