/* SPDX-License-Identifier: Apache-2.0
 *
 * openid: the broker's work with issuers of tokens. Their keys are fetched and kept fresh
 * (issuer.c), agents' tokens are checked with them (subject.c), or fetched first (ask.c), people
 * log in (login.c), and what comes of it goes to the monitor.
 */
#ifndef WAYLEAVE_BROKER_OPENID_H
#define WAYLEAVE_BROKER_OPENID_H

#include "base/error.h"
#include "base/list.h"
#include "broker/client.h"
#include "broker/messages.h"
#include "broker/token_lives.h"
#include "identity/principals.h"
#include "identity/token.h"

#define OPENID_KEYS_GAP 10 /* seconds between requests for keys that tokens cause */
#define OPENID_KEYS_TIME 3600 /* seconds after which keys are fetched again */
#define OPENID_RETRY_FIRST 1 /* seconds before what failed is tried again, doubled up to … */
#define OPENID_RETRY_MOST 300
/* Seconds for which a token is believed, whatever it says: another one is asked for before. */
#define OPENID_TOKEN_TIME_MOST (30ull * 24 * 3600)

struct openid;

struct issuer {
	struct openid *owner;
	uint32_t index;
	/* Of the configuration, whose texts they are. */
	const char *name, *ca; /* ca NULL: the system's store */
	struct token_rules rules;
	uint64_t keys_max_age; /* seconds */

	struct jwks *keys; /* NULL: none yet */
	uint64_t fetched; /* wall clock, seconds; they stop being good keys_max_age later */
	bool discovered; /* its document came once; it may name no … */
	char *token_endpoint, *device_endpoint; /* NULL: none is known */
	/* Of people who log in; login_client NULL: nobody may, login_secret NULL: it has none */
	const char *login_client, *login_secret, *login_scope;
	bool fetching;
	uint64_t fetch_at, last_fetch; /* monotonic, nanoseconds */
	unsigned failures; /* in a row */
	uint64_t failing_since; /* wall clock, seconds; 0: it answers */
	char why[200];
};

/* An agent, and who it is. */
struct subject {
	struct openid *owner;
	struct list link; /* of a run */
	uint32_t agent; /* config_agent_id() */
	uint64_t run; /* as in struct principal_entry */
	struct issuer *issuer;
	struct token_rules rules; /* the issuer's, and what this agent's token must be */

	char *token; /* NULL: there is none */
	uint32_t serial; /* of the token */
	bool asked_for_keys; /* because of this token */
	/* clock_boot(): when the token is over, measured when it was first good; 0: it was not yet
	 */
	uint64_t ends;
	bool ended;
	struct token_lives *lives; /* the agent's, which its runs share; never freed */
	uint64_t check_at; /* wall clock, seconds: something may be different then; 0: never */
	uint64_t checked; /* the same: when it was looked at last */
	struct buffer reported; /* what the monitor knows */

	/* Where we ask for its tokens ourselves (RFC 6749 section 4.4); client_id NULL: not so. */
	const char *client_id, *secret, *scope;
	EVP_PKEY *key;
	bool asking;
	uint64_t ask_at; /* monotonic, nanoseconds */
	unsigned ask_failures;
	char ask_problem[256];
};

struct openid {
	int channel;
	struct client *client;
	cJSON *configuration; /* owns the texts */
	struct issuer *issuers;
	size_t issuer_count;
	struct subject *subjects;
	size_t subject_count;
	struct list logins; /* of people (login.c) */
	struct list runs; /* subjects that the monitor tells of, which come and go */
};

/* `configuration`: JSON as monitor/openid.c writes it. */
int openid_init(struct openid *o, int channel, const char *configuration, struct error *e);
/* Waits for what comes next, at most half a second, and handles it. -EPIPE: the monitor is gone. */
int openid_turn(struct openid *o);
/* -EAGAIN: the monitor has not read enough of what it was told before. */
int openid_tell(struct openid *o, enum broker_message type, const void *head, size_t length,
	struct slice text);
uint64_t openid_now(void); /* wall clock, seconds */
/* The wait after so many failures in a row, in nanoseconds. */
uint64_t openid_backoff(unsigned failures);

/* issuer.c */
void issuer_tick(struct issuer *i, uint64_t now);
/* A token needs keys that are not there: they are fetched, if that was not done just now. */
void issuer_want_keys(struct issuer *i);
/* Keys as they were kept; those that came from the issuer meanwhile stay. */
void issuer_take_kept(struct issuer *i, struct slice document, uint64_t fetched);
bool issuer_has_keys(const struct issuer *i, uint64_t now);
/* Why it has no keys, as a sentence. */
void issuer_problem(const struct issuer *i, uint64_t now, char *ret, size_t size);

/* subject.c */
void subject_take_token(struct subject *s, uint32_t serial, struct slice token);
/* Finds out who it is now, and tells where that changed. */
void subject_check(struct subject *s);
void subject_tick(struct subject *s, uint64_t now);
/* One for a run of that agent, in the list of them. */
struct subject *subject_new_run(const struct subject *agent, uint64_t run);
void subject_free_run(struct subject *s);

/* login.c: people. `now` is monotonic */
void logins_begin(struct openid *o, const struct broker_login *request);
void logins_end(struct openid *o, uint64_t id);
void logins_tick(struct openid *o, uint64_t now);

/* ask.c: client credentials */
void ask_tick(struct subject *s, uint64_t now);
/* The token that was got ends at that time; the next one is asked for before. */
void ask_before(struct subject *s, uint64_t expires);

#endif
