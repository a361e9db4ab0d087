/* SPDX-License-Identifier: Apache-2.0
 *
 * messages: between the monitor and the broker, over a SOCK_SEQPACKET socketpair; the framing is
 * that of monitor/control.h. The broker talks to the network and is not trusted: the monitor checks
 * every length and value, and what it takes from it are the structs below and short texts.
 *
 * Texts in structs end with a NUL. Byte order is the machine's.
 */
#ifndef WAYLEAVE_BROKER_MESSAGES_H
#define WAYLEAVE_BROKER_MESSAGES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/identifier.h"

#define BROKER_CHANNEL_SIZE                                                                        \
	32 /* of Slack's ids "C012AB3CD" and of message times "1503435956.000247" */
#define BROKER_USER_SIZE 32 /* "U012AB3CD" */
#define BROKER_REASON_MOST 2000 /* bytes */
#define BROKER_SENTENCE_MOST 500 /* bytes */
#define BROKER_TEXT_MOST (4u << 20) /* bytes of one text of struct broker_start */
#define BROKER_REVIEW_MOST (48u << 20) /* bytes of a review as JSON: a text may grow sixfold */

/* What a broker does; each is a process of its own, so that neither is in the other's way. */
enum broker_role { BROKER_ROLE_SLACK, BROKER_ROLE_OPENID };

/* Its argument behind the descriptor. */
static inline const char *broker_role_name(enum broker_role role)
{
	return role == BROKER_ROLE_OPENID ? "openid" : "slack";
}

enum broker_message {
	/* Slack: monitor → broker */
	BROKER_SHOW = 1, /* struct broker_show and a descriptor: the review as JSON */
	BROKER_DECIDED, /* struct broker_decided, then a sentence for whoever clicked */
	/* Slack: broker → monitor */
	BROKER_SHOWN, /* struct broker_shown */
	BROKER_DECIDE, /* struct broker_decide, then the reason that was given */
	BROKER_STATE, /* struct broker_state, then what is wrong, for people */
	/* OpenID: monitor → broker */
	BROKER_TOKEN, /* struct broker_token, then what the token is now */
	BROKER_END, /* struct broker_token: of a run that is over */
	BROKER_LOGIN, /* struct broker_login: a person wants to log in */
	BROKER_LOGOUT, /* struct broker_login: nobody needs to know more of it */
	/* OpenID: both ways: keys as they were kept, and as they are to be kept */
	BROKER_KEYS, /* struct broker_keys, then the document */
	/* OpenID: broker → monitor */
	BROKER_PRINCIPAL, /* one entry (identity/principals.h) */
	BROKER_ISSUER, /* struct broker_issuer, then what is wrong, for people */
	BROKER_LOGIN_STATE, /* struct broker_login_state, then its texts */
};

/* Where one review is shown: one message per channel. */
struct broker_place {
	struct identifier review;
	char channel[BROKER_CHANNEL_SIZE]; /* empty: the webhook's own */
	char time[BROKER_CHANNEL_SIZE]; /* Slack's name of the message in the channel; empty: none
					   yet */
};

enum broker_posted {
	BROKER_NOT_POSTED,
	BROKER_PERHAPS_POSTED, /* a broker was told, and ended before it said what came of it */
	BROKER_POSTED,
	BROKER_POSTED_OUTCOME, /* with how it ended */
};

struct broker_show {
	struct broker_place place;
	uint64_t grant; /* nanoseconds for which it may be approved; 0: this action alone */
	uint32_t closed; /* nobody can decide it any more */
	uint32_t posted; /* enum broker_posted, before */
};

enum broker_shown_state {
	BROKER_SHOWN_OPEN, /* the message is there */
	BROKER_SHOWN_CLOSED, /* with the outcome: nothing is left to be done */
	BROKER_SHOWN_NOT, /* there is no room for it now: it is to be offered again */
};

struct broker_shown {
	struct broker_place place;
	uint32_t state; /* enum broker_shown_state */
};

enum broker_verdict { BROKER_APPROVE = 1, BROKER_DENY };

struct broker_decide {
	uint64_t id; /* of this request, carried back by struct broker_decided */
	struct identifier review;
	char user[BROKER_USER_SIZE]; /* who Slack says clicked */
	uint32_t verdict; /* enum broker_verdict */
	uint32_t reason_length;
	uint64_t grant; /* nanoseconds, as the button said; 0: this action alone */
};

struct broker_decided {
	uint64_t id;
	int32_t status; /* 0: it counts and is on disk; else negative errno */
	uint32_t sentence_length;
};

struct broker_state {
	uint64_t failing_since; /* wall clock; 0: Slack takes what it is sent */
	uint32_t waiting; /* messages that are to be sent */
	uint32_t failing; /* those of them that Slack did not take */
	uint32_t why_length; /* of the one that has failed for the longest time */
	uint32_t unused;
};

struct broker_token {
	uint32_t agent; /* config_agent_id() */
	uint32_t serial; /* what is said of this one carries it back */
	uint64_t run; /* as in struct principal_entry */
};

struct broker_login {
	uint64_t id; /* the monitor's; what is said of it carries it back */
	uint32_t issuer; /* as in struct broker_keys */
	uint32_t unused;
};

enum broker_login_stage {
	BROKER_LOGIN_ASKED, /* the monitor's: the broker has said nothing yet */
	BROKER_LOGIN_WAITING, /* texts: the code, where to use it, the same with the code in it */
	BROKER_LOGIN_KNOWN, /* text: who it is */
	BROKER_LOGIN_FAILED, /* text: why */
};

struct broker_login_state {
	uint64_t id;
	uint64_t until; /* BROKER_LOGIN_KNOWN: wall clock, nanoseconds; leeway counted in */
	uint32_t stage; /* enum broker_login_stage */
	uint32_t lengths[3]; /* of the texts; each at most LIMIT_TOKEN_NAME */
};

struct broker_keys {
	uint32_t issuer; /* index in the configuration that it was started with */
	uint32_t unused;
	uint64_t fetched; /* wall clock, seconds */
};

struct broker_issuer {
	uint32_t issuer;
	uint32_t key_count;
	uint64_t fetched; /* the keys; wall clock, seconds; 0: there are none */
	uint64_t failing_since; /* wall clock, seconds; 0: it answers */
};

/* What the broker begins with, in a descriptor that it inherits: this, then its texts one behind
 * the other. Secrets come this way alone; the broker can't read the files. */
enum broker_text {
	BROKER_API_URL,
	BROKER_WEBHOOK_URL, /* these may be empty */
	BROKER_BOT_TOKEN,
	BROKER_SIGNING_SECRET,
	BROKER_CERTIFICATE,
	BROKER_KEY,
	BROKER_TEXT_COUNT,
	/* Role openid: the issuers and agents as JSON (monitor/openid.c), secrets included. */
	BROKER_OPENID = 0,
};

struct broker_start {
	int channel; /* SOCK_SEQPACKET, non-blocking */
	int listener; /* -1: callbacks don't come here */
	uid_t uid;
	gid_t gid;
	uint32_t lengths[BROKER_TEXT_COUNT];
};

#endif
