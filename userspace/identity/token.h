/* SPDX-License-Identifier: Apache-2.0
 *
 * token: a signed token (RFC 7515, RFC 7519, RFC 9068) that somebody showed, and who it is about.
 *
 * What a token says of itself is believed only behind its signature. Before that, its header
 * chooses among the algorithms of the issuer's configuration and of the key's own type, and among
 * the issuer's keys; keys and addresses of keys that it brings along ("jwk", "jku", "x5c", "x5u")
 * are not looked at.
 *
 * The signature is checked with OpenSSL alone: libjwt 1.10 refuses "at+jwt", the type that access
 * tokens have (RFC 9068 section 2.1).
 */
#ifndef WAYLEAVE_IDENTITY_TOKEN_H
#define WAYLEAVE_IDENTITY_TOKEN_H

#include "base/arena.h"
#include "base/error.h"
#include "identity/document.h"
#include "identity/jwks.h"

#define TOKEN_LEEWAY 60 /* seconds by which clocks may differ */

/* Which tokens are taken. */
struct token_rules {
	const char *issuer; /* exactly */
	const char *audience; /* one of the token's */
	const char *groups_claim; /* "groups", "realm_access.roles" */
	const char *type; /* NULL: "JWT", "at+jwt" or none */
	unsigned algorithms; /* a set */
	const char *client; /* that the token was issued to; NULL: any */
	const char *subject; /* NULL: any */
	/* An ID token, for the client that `audience` is (OpenID Connect Core section 3.1.3.7). */
	bool is_id_token;
};

struct token {
	struct arena texts; /* that hold what follows */
	struct slice subject;
	struct slice *groups;
	size_t group_count;
	uint64_t expires; /* seconds since the epoch; the leeway not counted in */
};

/* Checks all of it. Errors, with a sentence that repeats nothing secret:
 *   -ENOKEY       signed with a key that is not among these: there may be newer ones
 *   -EKEYEXPIRED  it was good once
 *   -EAGAIN       it will be good
 *   -EACCES       anything else */
int token_check(struct slice text, const struct jwks *keys, const struct token_rules *rules,
	uint64_t now, struct token *ret, struct error *e);
void token_done(struct token *t);

/* The text without the space that editors and shells put around it. */
struct slice token_trim(struct slice text);

/* claims.c, for token_check(): what the signed part says. Errors as above. */
int claims_check(
	const cJSON *claims, const struct token_rules *rules, uint64_t now, struct error *e);
/* Fills the subject, the groups and the end. */
int claims_read(const cJSON *claims, const char *groups_claim, struct token *ret, struct error *e);

#endif
