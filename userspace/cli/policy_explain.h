/* SPDX-License-Identifier: Apache-2.0
 *
 * policy_explain: `wayleave policy explain`: what would become of a text, and why.
 */
#ifndef WAYLEAVE_CLI_POLICY_EXPLAIN_H
#define WAYLEAVE_CLI_POLICY_EXPLAIN_H

#include "base/arena.h"
#include "cli/cli.h"
#include "policy/judge.h"
#include "protocol/http/pairs.h"
#include "protocol/sql/resolve.h"

extern const char policy_help[];

/* A configuration with these policy files, or, where `policies` is NULL, with its own, as workers
 * have it. Says what is wrong; negative errno. The caller holds one reference. */
int policy_from_config(const char *verb, const char *file, const char *const *policies,
	size_t count, struct policy **ret);

/* The subverb; argv[0] is "explain". */
int policy_explain(const struct cli *cli, int argc, char **argv);

/* One text, judged. */
struct explanation {
	struct policy_scope *scope; /* borrowed */
	const struct sql_view *view; /* borrowed */
	struct arena arena; /* of the facts below */
	struct sql_text *text; /* NULL: of a protocol without statements */
	struct http_pairs http; /* of one with requests */
	struct buffer paths; /* of them */
	struct ssh_facts *command; /* of SSH; else NULL */
	struct action action;
	struct verdict verdict;
	const char *refusal; /* why masks refuse it, or NULL; `verdict` then denies */
};

/* Judges `text` as a session between the ends of `scope` would. Needs a stack of
 * LIMIT_PARSER_STACK. */
void explanation_init(struct explanation *x, struct policy_scope *scope,
	const struct sql_view *view, struct slice text);
void explanation_done(struct explanation *x);
/* The sentence for the agent, or "" where the verdict is allow. Errors are the buffer's. */
int explanation_text(const struct explanation *x, struct buffer *ret);

/* It is refused all the same; `why` is static. */
void explanation_refuse(struct explanation *x, enum reason reason, const char *why);

/* policy_explain_ssh.c: the facts of a command line, what rules alone don't decide about it, and
 * the end of them. */
void explanation_resolve_command(struct explanation *x, struct slice text);
void explanation_refine_command(struct explanation *x);
void explanation_drop_command(struct explanation *x);

/* For people, with the reasons rule by rule. */
void explanation_print(const struct explanation *x);
/* For programs (docs/policy.md). `whole`: with the reasons rule by rule. On one line. */
void explanation_print_json(const struct explanation *x, bool whole);

#endif
