/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: one PostgreSQL session as its two ends see it. Internal to protocol/postgres/.
 *
 *   engine.c  the session as struct protocol sees it, its events and output
 *   detect.c  whether first bytes are PostgreSQL's
 *   login.c   first packets, TLS on either side
 *   authentication.c   who proves what to the server; inject.c: with the host's credentials
 *   agent.c   what the agent sends in the query phase: query.c, extended.c: becomes actions;
 *             send.c: is sent on or poisoned
 *   server.c  what the server sends: belongs to requests.h' head; result.c: is masked and passed
 *             on; failure.c: errors and notices; settle.c: what a request leaves behind
 *   verdict.c what becomes of an action that was judged: its masks, its release, its refusal
 *   end.c     how a session ends, and what the agent is told of it
 *   naming.c  how names are looked up in this session; reading the catalog in-band;
 *             naming_answer.c: what was read
 *   snapshot.c  how old what we read there may be
 *   meanings.c  settings that decide what values in a text mean
 *   scrub.c   errors, notices, notifications
 *   role.c   what runs as another role
 *   ahead.c   what stands behind an action in its batch; changes.c: and what that changes for it
 *   hold.c    actions that wait for people; preview.c, preview_query.c: what they would do
 *   rows.c    RowDescription and DataRow; copy.c: COPY data
 *
 * A refused message is not dropped but replaced by one that the server must fail, and the server's
 * error is reworded: so skipping to the next Sync, transaction status and the rollback of the
 * implicit transaction are the server's own (dropping it would commit what stood before it in the
 * pipeline).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_ENGINE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_ENGINE_H

#include "protocol/event_queue.h"
#include "protocol/postgres/bind.h"
#include "protocol/postgres/changes.h"
#include "protocol/postgres/copy_stream.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/meanings.h"
#include "protocol/postgres/postgres.h"
#include "protocol/postgres/requests.h"
#include "protocol/postgres/rows.h"
#include "protocol/postgres/scram.h"
#include "protocol/postgres/startup.h"
#include "protocol/postgres/wire.h"
#include "protocol/sql/encoding.h"

#define PG_DEFERRED_MOST 32768 /* bytes of a Parse that waits for what follows it */

/* Where the agent's end of the login stands. */
enum pg_agent_state {
	PG_AGENT_FIRST, /* a first packet, or TLS at once */
	PG_AGENT_ASKS_TLS, /* SSLRequest came; what the server says of TLS is not known yet */
	PG_AGENT_TLS, /* handshake */
	PG_AGENT_STARTED, /* StartupMessage came; the login goes on */
	PG_AGENT_QUERY,
	PG_AGENT_DONE, /* nothing of it is taken any more */
};

enum pg_server_state {
	PG_SERVER_NONE, /* not connected */
	PG_SERVER_IDLE, /* connected, nothing sent */
	PG_SERVER_ASKED_TLS, /* SSLRequest sent: one byte comes */
	PG_SERVER_TLS, /* handshake */
	PG_SERVER_SECURE, /* TLS stands, nothing sent in it */
	PG_SERVER_MESSAGES,
	PG_SERVER_DONE,
};

/* Who answers the server's authentication requests. */
enum pg_auth_mode {
	PG_AUTH_RELAYED, /* the agent, message by message */
	PG_AUTH_ASKING, /* the agent was asked for its password in clear, inside TLS */
	PG_AUTH_OURS, /* we, with the host's credentials; nothing was asked yet */
	PG_AUTH_SCRAM_FIRST, /* we: client-first is sent */
	PG_AUTH_WORKING, /* the proof is being made */
	PG_AUTH_SCRAM_FINAL, /* client-final is sent */
	PG_AUTH_ANSWERED, /* a proof is sent that the server answers with its verdict alone */
	PG_AUTH_PROVEN, /* the server has proven itself */
};

/* Why the agent's direction stands still. */
enum pg_wait {
	PG_WAIT_NONE,
	PG_WAIT_VERDICT, /* release() or refuse() */
	PG_WAIT_DRAIN, /* until nothing is in flight */
	PG_WAIT_LOOKUP, /* our own queries */
	PG_WAIT_PROBE, /* the server's opinion of a text */
	PG_WAIT_JOB,
};

enum pg_decision { PG_UNDECIDED, PG_RELEASED, PG_REFUSED };

/* What in a transaction sees the same. */
enum pg_snapshot_scope {
	PG_SNAPSHOT_UNKNOWN,
	PG_SNAPSHOT_EACH, /* one statement: READ COMMITTED */
	PG_SNAPSHOT_ONE, /* all of it: REPEATABLE READ, SERIALIZABLE */
};

/* A body that passes in pieces. */
enum pg_stream { PG_STREAM_PASS, PG_STREAM_SKIP, PG_STREAM_COPY };

struct pg_flow {
	enum pg_stream mode;
	uint32_t left; /* bytes of the body still to come */
};

/* The message of the agent that is being judged. It is not taken from the input before the verdict.
 */
struct pg_pending {
	enum pg_decision decision;
	enum protocol_action_phase phase;
	uint64_t action; /* number given by release() or refuse() */
	struct protocol_grant grant; /* by which it was released */
	struct protocol_refusal refusal; /* text owned, see refusal_text */
	/* Why it would be refused unseen if we did more than observe; static text. */
	struct protocol_refusal barred;
	char *refusal_text;
	/* Owned; it is to be answered as a statement that was cancelled, in these words. */
	char *interrupted;
	struct sql_text *text; /* reference */
	struct pg_plan *plan; /* reference */
	struct pg_masks *masks; /* reference */
	struct pg_statement *statement; /* reference */
	bool record_rows;
	bool refreshed; /* names were looked up anew for it */
	bool probed; /* the server's parser accepted it, although we did not */
	struct action facts; /* the plan's, with the exact text */
	struct action_pair pair; /* for actions that have no plan */
	char note[40]; /* its object */
	bool met; /* judging it has begun */
	bool looked; /* all that what it means hangs on was looked up, or is still good */
	bool late; /* then its transaction may have had a snapshot already */
	bool unchecked; /* names are to be compared before it runs, and not before it is held */
	bool may_wait; /* people may be asked */
	bool decided; /* they were, or it is one of what they decided about together */
	bool by_portal; /* it is run by a portal, not by a Query */
	char *as; /* the server's role that it is to run as; owned; NULL: the session's */
	bool let_through; /* refused, and recorded as allowed before */
	size_t values_length; /* of bound[0]: formats and values, without the results' formats */
	bool bound_whole; /* all of what is bound is in `bound` */
	uint32_t length; /* of the message's body, where it may wait */
	struct slice
		bound[2]; /* as struct protocol_binding; part of the input and of `statement` */
	uint64_t unit; /* as in struct protocol_action_event */
	struct slice portal; /* that is bound; part of the input */
	struct slice behind; /* what has arrived behind the message; part of the input */
	struct protocol_value values[PG_VALUES_MOST]; /* the last: see pg_pending_clear() */
};

/* A session whose name in the server's logs says who the agent is. As the server keeps names. */
#define PG_NAME_SIZE 64 /* NAMEDATALEN: the server cuts what is longer */
#define PG_NAMES_KEPT 8
struct pg_name {
	char own[PG_NAME_SIZE]; /* what the agent calls itself */
	char told[PG_NAME_SIZE]; /* what the server is to call it */
};
struct pg_identity {
	struct pg_name now;
	/* Those that RESET and ROLLBACK come back to: that of the login, and the last ones. */
	struct pg_name kept[PG_NAMES_KEPT];
	unsigned count;
	bool due; /* it calls it something else */
	char text[3 * PG_NAME_SIZE + 64]; /* of the command that is being sent */
};

/* A login at the server that we hold ourselves; freed when it is over. */
struct pg_own_login {
	struct protocol_job job; /* of the agent's password; touches what follows */
	struct buffer password;
	enum scram_binding binding;
	struct scram_exchange scram;
	struct scram_proof proof;
	int result;
	enum proof_kind asked; /* of the host */
	uint8_t salt[PG_MD5_SALT];
};

/* What runs as another role than the session's (role.c). */
struct pg_acting {
	struct pg_portal *portal; /* reference; for which the server has that role now */
	char *name; /* of the portal; owned */
	size_t name_length;
	/* A Query has it, and nothing else is sent; or it is being put back behind that. */
	enum { PG_ACTING_NOT, PG_ACTING_RUNS, PG_ACTING_RETURNS } query;
	bool failed; /* the server did not put it back */
	unsigned returns; /* how often that was tried */
	bool moved; /* the agent set a role, or it may have, since the transaction began */
};

struct pg_parse_job {
	struct protocol_job job;
	struct buffer copy;
	struct sql_text *text;
};

struct pg_engine {
	struct protocol_engine base;
	struct event_queue events;

	enum pg_agent_state agent;
	enum pg_server_state server;
	enum pg_phase phase; /* of the messages, once the startup packet is sent */
	bool agent_tls, server_tls;
	bool direct_tls; /* the agent's began without an SSLRequest */
	bool server_refused_tls;
	unsigned first_packets; /* negotiation rounds, bounded */
	struct arena login_arena;
	struct buffer startup_packet; /* as the agent sent it, with its length */
	struct pg_startup startup;
	struct buffer cancel_key; /* process id and key, as BackendKeyData has them */
	struct protocol_refusal abort; /* to tell the agent as soon as it can be told */
	char *abort_text;

	enum pg_auth_mode auth;
	bool terminated; /* the agent said that it sends no more */
	bool spoke; /* the agent sent something since it was let in */
	bool auth_asked; /* relayed: the server waits for a message of the agent's */
	bool injects; /* the host's credentials are used */
	struct pg_identity *named; /* how the server's logs call the session; NULL: as it says */
	bool server_verified; /* its certificate was */
	struct buffer end_point; /* of the server's certificate */
	struct pg_own_login *own;

	struct pg_requests requests;
	/* A Parse that is the only request, and goes out with what follows it: what it will run may
	 * need people, who are shown what the server says of it before a batch begins; and it would
	 * be the first of its transaction to take a snapshot. */
	struct buffer deferred;
	bool deferred_begins; /* the server has nothing else of its batch */
	struct pg_names statements, portals;
	uint64_t batch; /* Syncs sent */
	/* Requests whose text may change what later text means, or what prepared statements and
	 * cursors stand for. */
	unsigned effects_in_flight;
	uint64_t meanings; /* counts those, and their undoing */
	bool unsynced; /* extended messages were sent since the last Sync */
	bool skipping; /* the server skips to the next Sync */
	unsigned ignored_syncs; /* Syncs that the server may or may not have ignored in COPY */
	char transaction; /* 'I', 'T' or 'E', as the last ReadyForQuery said */
	bool copying_in, copying_out, copying_both;
	unsigned readers_in_flight; /* requests that may make the server read COPY data */
	unsigned data_ends; /* ends of data that were sent before the server asked for the data */
	struct pg_flow from_agent, from_server;
	enum pg_wait wait;
	bool probe_failed; /* the Query that is still untaken was answered with the server's error
			    */
	struct pg_pending pending;
	struct slice behind; /* the message that is being handled; part of the input */
	struct pg_ahead *ahead;
	struct pg_changes changes; /* by what was released in the batch */
	struct pg_acting acting;
	/* People are to be asked about the pending message, and it is not all here: it is judged
	 * from the start when it is. Until then any verdict is good. */
	bool rest_wanted;
	bool judged_again; /* the pending message was held, and has not come to a verdict again yet
			    */
	struct pg_parse_job *parse_job;

	/* naming.c */
	struct protocol_catalog *catalog; /* of the database */
	struct sql_catalog *names; /* reference; those that plans are made under */
	uint64_t names_epoch;
	struct sql_catalog *temporary; /* reference; NULL: no temporary relations */
	struct arena naming_arena;
	struct slice *path;
	size_t path_count;
	bool naming_stale, temporary_stale;
	bool names_private; /* read inside a transaction that had changed them */
	char names_version[64]; /* with names_private: as struct protocol_catalog's */
	bool names_check; /* this session may have changed them: compare before the next text */
	bool plans_stale; /* the server may keep what prepared statements named before */
	bool lookup_failed; /* the last try; the text that needed it stays unknown */
	char *role; /* current_user and session_user, as read last; NULL: not read */
	char held_ready; /* the login's ReadyForQuery, held back during the first lookup; 0: none */
	unsigned transaction_effects; /* enum sql_effect since the transaction began */
	char encoding[SQL_ENCODING_MOST]; /* of the client, as the server last said; clean */
	char server_encoding[SQL_ENCODING_MOST]; /* its own, as it said; clean, "": it did not */
	bool unsafe_encoding, unsafe_strings; /* the server reads text otherwise than we */
	struct pg_meanings values_mean;
	/* snapshot.c */
	bool snapshot; /* the transaction that is open, or what is in flight begins, may have one */
	enum pg_snapshot_scope isolation; /* of that transaction */
	bool compared; /* names were, in that transaction with ONE */
	uint64_t compared_new; /* catalog.checks then, and 1, if its snapshot was a new one; or 0 */
	struct pg_lookup *lookup;
	/* Queries that are kept prepared for a lookup; LEFT: to be dropped, if they are there. */
	enum { PG_KEPT_NONE, PG_KEPT_READY, PG_KEPT_LEFT } kept;
	bool leftovers; /* an error may have kept the last lookup's queries from being dropped */
	/* Our own queries are in flight, before anything else; nothing of the agent's is taken. */
	struct pg_preview *preview;
	bool names_moved; /* as the last preview found; not twice in a row */

	/* result.c */
	struct pg_columns *columns; /* of the QUERY at the head */
	struct copy_stream *copy;
	const char *trouble; /* with -EPERM: what can't be masked */
	/* Of EVENT_COLUMNS, then of EVENT_ROW: PG_VALUES_MOST each; NULL until rows are recorded.
	 */
	struct protocol_value *row_values;
	struct buffer scratch, row;
	struct buffer context, identity, runs, in_unit; /* of struct protocol_binding */
};

static inline struct pg_engine *pg_engine_of(struct protocol_engine *e)
{
	return container_of(e, struct pg_engine, base);
}

/* Requests that the server has. */
static inline size_t pg_requests_sent(const struct pg_engine *e)
{
	return e->requests.count - (buffer_length(&e->deferred) ? 1 : 0);
}

/* Whether the server has something of a batch whose Sync it does not have: one of ours would end
 * it. */
static inline bool pg_batch_has_begun(const struct pg_engine *e)
{
	return e->unsynced && !(buffer_length(&e->deferred) && e->deferred_begins);
}

/* engine.c: events and output */
struct protocol_event *pg_event(struct pg_engine *e, enum protocol_event_type type);
bool pg_event_has_room(const struct pg_engine *e);
/* Both send what is deferred before anything else for the server. */
int pg_write(struct pg_engine *e, enum side to, struct slice bytes);
int pg_pass(struct pg_engine *e, enum side to, struct slice part_of_input);
void pg_pending_clear(struct pg_engine *e);
void pg_parse_job_free(struct protocol_job *job);

/* detect.c, for struct protocol */
enum detection pg_detect(struct slice from_agent, struct slice from_server);

/* end.c */
/* Ends the session: an error to the agent where that is possible, then EVENT_CLOSE. `detail` fills
 * the reason's text. Always 0, for "return pg_fail(...)". */
int pg_fail(struct pg_engine *e, enum reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Tells the agent why its session was aborted, once it can read an ErrorResponse; nothing more is
 * taken from either side. */
void pg_end_tell(struct pg_engine *e);
/* For struct protocol. */
void pg_end_abort(struct protocol_engine *base, const struct protocol_refusal *refusal);
void pg_end_on_side(struct protocol_engine *base, enum side side);

/* verdict.c, for struct protocol */
int pg_verdict_mask(struct protocol_engine *base, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret);
int pg_verdict_would_refuse(struct protocol_engine *base, uint32_t lane,
	const struct mask_rules *rules, struct protocol_refusal *ret);
int pg_verdict_release(struct protocol_engine *base, uint32_t lane, uint64_t number);
int pg_verdict_refuse(struct protocol_engine *base, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal);

/* login.c */
int pg_login_agent(struct pg_engine *e, struct slice in, size_t *ret_taken);
int pg_login_server_byte(struct pg_engine *e, struct slice in, size_t *ret_taken);
int pg_login_advance(struct pg_engine *e);
struct slice pg_login_give_up(struct protocol_engine *base);
void pg_login_tls_done(
	struct pg_engine *e, enum side side, const struct protocol_tls_result *result);

/* authentication.c */
/* The agent's PasswordMessage or kin, and the server's Authentication messages. */
int pg_authentication_agent(struct pg_engine *e, struct slice message, struct slice body);
int pg_authentication_server(struct pg_engine *e, struct slice message, struct slice body);
/* The SASL exchange, held by us: begins with what the server offers. */
int pg_authentication_scram(struct pg_engine *e, struct slice mechanisms);
/* The proof is there: the rest of the exchange. */
int pg_authentication_proven(struct pg_engine *e);
void pg_authentication_job_done(struct pg_engine *e);
struct pg_own_login *pg_own_login(struct pg_engine *e); /* begun where there is none yet */
void pg_own_login_free(struct pg_own_login *own); /* takes NULL */

/* inject.c */
/* The StartupMessage in the name of the host's credentials. -E2BIG: it got too long. */
int pg_inject_startup(struct pg_engine *e, struct slice startup);
/* The server's first demand. */
int pg_inject_demand(struct pg_engine *e, uint32_t code, struct slice rest);
int pg_inject_ask(struct pg_engine *e, enum proof_kind kind, struct slice challenge);
void pg_inject_proven(struct pg_engine *e, int error, struct slice answer);
/* The server's error before AuthenticationOk: true where the credentials are the cause, and the
 * agent was told. */
bool pg_inject_on_error(struct pg_engine *e, struct slice body);
/* The server says what the session is called: 1 where the agent was told what it expects instead;
 * 0: it is to be told; negative errno. */
int pg_inject_on_name(struct pg_engine *e, struct slice name);
/* Before a ReadyForQuery with nothing behind it in flight: where the server calls the session
 * something else than it should, it is told, and PG_WAITING says so; the message is then sent when
 * it has been. Else PG_TAKEN, or negative errno. */
int pg_inject_rename(struct pg_engine *e);
/* It could not be told: it is again, before the next ReadyForQuery. */
void pg_inject_not_renamed(struct pg_engine *e);

/* agent.c */
int pg_agent_input(struct pg_engine *e, struct slice in, size_t *ret_taken);
/* query.c: the server said what it thinks of a text that we did not understand. */
void pg_query_probed(struct pg_engine *e, bool accepted);

/* judge.c: handlers of agent.c end in one of these */
enum pg_step {
	PG_WAITING = 0, /* the message stays where it is and is offered again */
	PG_TAKEN = 1,
};
/* Finds or parses the text; PG_TAKEN: e->pending.text stands. */
int pg_judge_text(struct pg_engine *e, struct slice text);
/* The same for a text that is too long to be seen whole, which no parser sees. Returns what is
 * recorded of what has come of it. */
struct slice pg_judge_too_long(struct pg_engine *e, struct slice text);
/* Finds what the text means in this session; PG_TAKEN: e->pending.plan stands. */
int pg_judge_plan(struct pg_engine *e, struct sql_text *text);
/* Asks for the verdict on e->pending.plan (NULL: on the pair alone), with what is bound (NULL:
 * nothing). Always PG_WAITING. */
int pg_judge_ask(struct pg_engine *e, struct slice exact, enum protocol_action_phase phase,
	uint64_t text_action, const struct pg_bind *bind);
/* Whether it may take back what was done before it: it ends the transaction, with its SET LOCAL, or
 * goes back to a savepoint. */
bool pg_judge_undoes(const struct sql_text *text);
/* Whether it names, or changes, what the session has by name, be it inside another statement
 * (EXPLAIN EXECUTE): its meaning is the session's own, and is known only when nothing is in flight.
 */
bool pg_judge_uses_names(const struct sql_text *text);
/* enum sql_effect of what it does, and of what it may take back of what the server has done so far.
 */
unsigned pg_judge_effects(const struct pg_engine *e, const struct pg_plan *plan);
/* PG_TAKEN where nothing is in flight; else waits until then. */
int pg_judge_drain(struct pg_engine *e);

/* What a text is expected to mean that stands behind others which did not run yet, as a reference
 * to a plan; NULL: that can't be known without the server. */
struct pg_plan *pg_judge_ahead(
	struct pg_engine *e, struct sql_text *text, const struct sql_before *before);

/* ahead.c: the actions behind the one that waits, for struct protocol */
int pg_ahead_next(struct protocol_engine *base, uint32_t lane, bool first,
	struct protocol_action_event *ret, struct protocol_binding *ret_binding);
void pg_ahead_free(struct pg_ahead *a); /* takes NULL */

/* hold.c: protocol.h's functions for an action that people decide */
int pg_hold_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret);
/* People may be asked about the pending message. */
void pg_hold_may(struct pg_engine *e, const struct pg_frame *m);
/* More of a message has arrived that is wanted whole. */
void pg_hold_on_rest(struct pg_engine *e, struct slice in);
/* struct protocol_binding's in_unit, where `changes` stand before the text; into e->in_unit.
 * -ENOENT: it names what is neither a plain table nor changed by them. */
int pg_hold_in_unit(struct pg_engine *e, const struct pg_changes *changes,
	const struct action *action, const struct sql_text *text);
/* A statement is bound, a portal executed (NULL: one that is not known): what `changes` have from
 * now on. */
void pg_hold_bound(struct pg_engine *e, struct pg_changes *changes, const struct pg_plan *plan,
	struct slice exact, const struct slice bound[2], struct slice portal);
void pg_hold_ran(struct pg_engine *e, struct pg_changes *changes, struct slice name,
	const struct pg_portal *portal);
bool pg_hold_reassure(struct protocol_engine *base, uint32_t lane, struct slice text);
bool pg_hold_judge_again(struct protocol_engine *base, uint32_t lane, bool anew);
bool pg_hold_leaves(const struct protocol_engine *base, struct slice untaken);
/* The agent sends no more while its message waits for people: it may still read that this ends it.
 */
void pg_hold_on_end(struct pg_engine *e);

/* server.c */
int pg_server_input(struct pg_engine *e, struct slice in, size_t *ret_taken);
size_t pg_server_needs(struct pg_engine *e, struct slice in);

/* snapshot.c */
/* Whether what is asked now is asked in a transaction of the agent's. */
bool pg_snapshot_is_inside(const struct pg_engine *e);
/* The server says how the open transaction is isolated. */
void pg_snapshot_on_isolation(struct pg_engine *e, struct slice level);
/* A text goes to the server, to be run, or only looked at. NULL: it is not known. */
void pg_snapshot_on_sent(struct pg_engine *e, const struct sql_text *text);
void pg_snapshot_on_ready(struct pg_engine *e);
/* The pending message is judged: before anything is asked for it. */
void pg_snapshot_on_judging(struct pg_engine *e);
/* Whether what others changed since the pending message was judged first is hidden from us. */
bool pg_snapshot_hides_others(const struct pg_engine *e);
/* Whether that is not known, and will be when the message has been judged again. */
bool pg_snapshot_may_hide_others(const struct pg_engine *e);
/* A lookup compared names in the open transaction, `late`: in a snapshot that may have been older.
 */
void pg_snapshot_on_compared(struct pg_engine *e, bool late);
/* Whether they were in one that was new then, and not so long ago that they would be compared again
 * in a transaction that sees what others do: what was decided before that holds still. */
bool pg_snapshot_is_new(const struct pg_engine *e);

/* naming.c */
void pg_naming_view(struct pg_engine *e, struct sql_view *ret);
/* PG_TAKEN: what is known is fresh; PG_WAITING: it is being read now; -EPERM: it can't be read. */
int pg_naming_refresh(struct pg_engine *e);
/* A released message whose names were not compared before: its wait goes on until they are. */
int pg_naming_compare(struct pg_engine *e);
/* What a name, as policy's objects are (SCHEMA.NAME), stands for; NULL: no relation that is known.
 */
const struct sql_relation *pg_naming_find(const struct pg_engine *e, struct slice object);
/* Whether the server may be asked anything now. */
bool pg_naming_may_ask(const struct pg_engine *e);
void pg_naming_on_effects(struct pg_engine *e, unsigned effects);
void pg_naming_on_ready(struct pg_engine *e);
void pg_naming_done(struct pg_engine *e);
/* naming_answer.c: the client encoding is `name` now. */
void pg_naming_on_encoding(struct pg_engine *e, struct slice name);
/* Replies to our own queries. */
int pg_lookup_reply(struct pg_engine *e, uint8_t type, struct slice body);

/* scrub.c: an error, notice, notification or status, with what must not be seen taken out. Writes
 * it to the agent. `masks` are those of the statement it belongs to, or the session's. */
int pg_scrub(struct pg_engine *e, struct slice message, uint8_t type, struct slice body,
	const struct pg_request *request);
/* Whether pg_scrub() would look at it; if so, a message that is too long to be held is replaced. */
bool pg_scrub_needed(const struct pg_engine *e);
int pg_scrub_oversized(struct pg_engine *e, uint8_t type);

#endif
