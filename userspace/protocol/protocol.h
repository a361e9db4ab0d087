/* SPDX-License-Identifier: Apache-2.0
 *
 * protocol: what a protocol engine is to the rest of Wayleave.
 *
 * An engine is pure: bytes in, bytes and events out. It has no descriptor, clock, policy or log, so
 * that every session can be replayed byte by byte and fuzzed. worker/pipe.c drives it through the
 * six steps:
 *
 *   read    the pipe offers bytes of one side            → input()
 *   frame   the engine cuts them into messages           (inside input)
 *   judge   a message that acts becomes EVENT_ACTION      → the pipe asks policy, then mask()
 *   mask    the verdict's masks are bound to the lane    → mask(), then release() or refuse()
 *   record  the pipe records the action with its verdict, and EVENT_RESULT when it is done
 *   write   the engine writes to either side             → host->write, host->pass
 *
 * Order: input() is offered bytes until it takes none; after each call the pipe handles all events
 * before it offers more. An engine that waits for a verdict (or for the server) says so with
 * wants(); the pipe then keeps that side's bytes. One engine belongs to one session and one thread.
 */
#ifndef WAYLEAVE_PROTOCOL_PROTOCOL_H
#define WAYLEAVE_PROTOCOL_PROTOCOL_H

#include "base/buffer.h"
#include "base/reason.h"
#include "masking/mask.h"
#include "protocol/action.h"

struct dns_message;
struct protocol_host;
struct sql_cache;
struct sql_catalog;
struct detector_engine;
struct mask_hasher;
struct masker;

/* Whose bytes: what the side sent (input), or what it is to receive (write). */
enum side { SIDE_AGENT, SIDE_SERVER };

static inline enum side side_other(enum side side)
{
	return side == SIDE_AGENT ? SIDE_SERVER : SIDE_AGENT;
}

/* A value that goes with an action, for the record and for reviewers: a bound parameter, a header.
 */
struct protocol_value {
	struct slice data; /* NULL data: SQL's NULL */
	bool binary;
	uint32_t type; /* as the protocol numbers them; 0: not known */
	size_t length; /* of the whole value; data may hold only its beginning */
};

/* What becomes of one where people see it. */
enum protocol_shown {
	PROTOCOL_SHOWN_AS_IT_IS, /* nothing was appended */
	PROTOCOL_SHOWN_REPLACED, /* what was appended, in the same format */
	PROTOCOL_SHOWN_AS_TEXT, /* what was appended, which is text */
	PROTOCOL_SHOWN_NOT, /* nothing was appended */
};

enum protocol_event_type {
	EVENT_ACTION, /* judge it; the lane is parked until release() or refuse() */
	EVENT_RESULT, /* an action is complete */
	EVENT_COLUMNS, /* the names of an action's result columns, for rows that follow */
	EVENT_ROW, /* one row as the agent gets it, where rows are recorded */
	EVENT_DATA, /* what an action's terminal or command carried, where that is recorded */
	EVENT_NOTE, /* something for the recording that is no action */
	EVENT_LOGIN, /* who logged in where: user and database */
	EVENT_DROPPED, /* what waits for a verdict needs none any more */
	EVENT_PREVIEW, /* what preview() asked for */
	EVENT_CONNECT, /* the upstream connection is needed now (connects_late), or once more
			  (delegated) */
	/* The server made a connection elsewhere for the agent: what follows on both sides is that
	 * connection's, and this engine's no more. The last event. */
	EVENT_TUNNEL,
	EVENT_TLS, /* start TLS with `side` once what was written so far is sent */
	EVENT_JOB, /* run `job` off the loop, then call job_done() */
	EVENT_PROOF, /* the host logs in: what the server demands of its credentials */
	/* What a name server answers is to hold wherever the agent connects before it has the
	 * answer: pinned() says so, at once or later. */
	EVENT_PIN,
	EVENT_CANCEL, /* a cancel request for another session of this agent */
	EVENT_CLOSE, /* end the session once what was written is sent */
};

enum protocol_action_phase {
	/* The text becomes known to the server but runs nothing yet (Parse): refused only where its
	 * facts are known and nothing would ever allow them. */
	ACTION_PREPARED,
	/* The text is shown to the server's parser alone, to learn whether it means anything. */
	ACTION_PROBED,
	ACTION_RUN, /* what follows runs it */
};

struct protocol_action_event {
	/* The lane that waits: one number per lane of the session. */
	uint32_t lane;
	enum protocol_action_phase phase;
	const struct action *action; /* valid until release() or refuse() */
	/* The number of an earlier action that had this very text; 0: none. */
	uint64_t text_action;
	const struct protocol_value *values;
	size_t value_count;
	size_t value_total; /* that there are; less than value_count: no more */
	/* A place beside the analysed text, shared by all sessions that use it: the pipe keeps the
	 * verdict here. NULL: there is none. */
	struct protocol_judgement **judgement;
	/* Actions of one lane with one number stand or fall together (a pipeline of PostgreSQL's up
	 * to its Sync), and can be decided together. 0: it stands by itself. */
	uint64_t unit;
	/* The server will refuse it, whatever people say: nobody is asked. */
	bool runs_nothing;
};

/* What an action that is held for people is bound to, beyond its facts and text. */
struct protocol_binding {
	/* The exact bytes of its parameters, of their types, and of what its names stand for now.
	 */
	struct slice bound[3];
	/* The settings that give the text its meaning; for people too. */
	struct slice context;
	/* The text of what it runs by name; empty: nothing. For people too. */
	struct slice runs;
	/* Where it stands behind others of its unit that people decide with it: instead of bound[2]
	 * and `context`, what those leave as it is, and what they themselves change. NULL: it can't
	 * be compared with what was expected, and is asked about by itself. */
	struct slice in_unit;
	/* What stands behind it in its unit may mean something else by it. */
	bool changes;
	/* Whether it is still the same when people have decided can't be known: what they decided
	 * before, with its unit, covers it, but they can't be asked any more. */
	bool late;
};

struct protocol_result {
	uint64_t action; /* as given to release() */
	uint64_t rows;
	uint64_t bytes; /* sent to the agent */
	struct slice tag; /* the command tag or status, valid during the event */
	struct slice error_code; /* empty: no error */
	struct slice error_text; /* as the agent gets it */
	bool not_begun; /* the server did not let it begin, and its client will ask once more */
};

struct protocol_row {
	uint64_t action;
	const struct protocol_value *values; /* EVENT_COLUMNS: the names */
	size_t value_count;
};

enum protocol_data_kind { DATA_INPUT, DATA_OUTPUT, DATA_ERROR, DATA_WINDOW };

struct protocol_data {
	uint64_t action; /* as given to release() */
	enum protocol_data_kind kind;
	struct slice bytes; /* as the receiver gets them */
	uint16_t columns, rows; /* DATA_WINDOW: the terminal's size */
};

struct protocol_job {
	void (*run)(struct protocol_job *job); /* on another thread; touches nothing but the job */
	/* For a job that was abandoned: its engine is gone when it is done. */
	void (*free)(struct protocol_job *job);
	bool running, abandoned; /* from EVENT_JOB until job_done() */
};

/* An engine that goes leaves a job that is running to who runs it. False: it is not running, and
 * the engine's to free. */
static inline bool protocol_job_abandon(struct protocol_job *job)
{
	job->abandoned = job->running;
	return job->running;
}

/* What TLS with one side is to be, and what came of it (tls_done). */
struct protocol_tls {
	enum side side;
	/* Static. Required of the agent; offered to the server, where several have commas between
	 * them. NULL: none. */
	const char *alpn;
	bool resumes; /* the server's certificate need not be seen anew, if it was before */
};

/* Which connection to the server is needed (EVENT_CONNECT). */
struct protocol_connect {
	/* One that another session left (leaves_server) will do: what goes over it first can be
	 * sent again where it turns out to be closed. */
	bool reuses;
	/* With TLS, for which this is offered, as in struct protocol_tls; NULL: in clear. */
	const char *alpn;
};

struct protocol_tls_result {
	int error; /* 0 or negative errno; on an error the engine explains and closes */
	const char *text; /* with an error: why, for people; valid during the call */
	struct slice
		server_end_point; /* RFC 5929 tls-server-end-point of the server's certificate */
	struct slice alpn; /* that was chosen; empty: none */
	/* The server's certificate was, at least up to who issued it, and not by a name that the
	 * agent alone gave. */
	bool verified;
};

/* What a server demands of credentials that the engine never sees; the answer comes by proven(). */
enum proof_kind {
	PROOF_PASSWORD, /* nothing → the password or token, to be sent and wiped at once */
	PROOF_POSTGRES_MD5, /* the salt of 4 bytes → 35 characters */
	PROOF_SCRAM, /* struct scram_exchange → struct scram_proof (postgres/scram.h) */
	PROOF_SIGNATURE, /* asked for by a handshake → the client certificate's signature */
	PROOF_KIND_COUNT
};

/* What a client's TLS signs: in 1.3 a text of its own, in 1.2 all that was said in the handshake.
 * An RSA key signs the latter in either way; others have but one. */
enum proof_digest { PROOF_SHA256, PROOF_SHA384, PROOF_SHA512, PROOF_DIGEST_COUNT };
enum proof_padding { PROOF_PKCS1, PROOF_PSS, PROOF_PADDING_COUNT };
#define PROOF_SIGNED_MOST 32768u
struct proof_signature {
	uint32_t digest; /* enum proof_digest */
	uint32_t padding; /* enum proof_padding; nothing, in 1.3 */
	struct slice text; /* at most PROOF_SIGNED_MOST bytes */
};

struct protocol_proof {
	enum proof_kind kind;
	struct slice challenge;
};

/* Where a server of HTTP is shown the secret, in each request. */
enum secret_place {
	SECRET_NOWHERE,
	SECRET_IN_BEARER, /* Authorization: Bearer SECRET */
	SECRET_IN_BASIC, /* Authorization: Basic BASE64 of "USER:PASSWORD" */
	SECRET_IN_HEADER,
	SECRET_IN_QUERY,
};

/* With which the host logs in at the server instead of the agent. Slices live as long as the
 * rules that apply now. */
struct protocol_credentials {
	bool given; /* false: the agent logs in itself */
	bool password; /* there is one; else there is a client certificate, which TLS presents */
	bool allow_cleartext; /* the password may be sent as such without verified TLS */
	/* Not without verified TLS even where it is not sent as such: who passes the bytes on, and
	 * whom the agent may have chosen, would have a connection that is logged in. */
	bool proven_only;
	struct slice user;
	enum secret_place place;
	struct slice name; /* of the header or query parameter that it is in */
	/* Whom each request of HTTP says that it is of, in place of what the agent says: header
	 * lines in lower case, each with its end; or empty. */
	struct slice impersonates;
};

struct protocol_event {
	enum protocol_event_type type;
	union {
		struct protocol_action_event action;
		struct protocol_result result;
		struct protocol_row row;
		struct protocol_data data;
		struct protocol_tls tls;
		struct protocol_job *job;
		struct protocol_proof proof;
		const struct dns_message *pin; /* valid until pinned() */
		struct {
			uint32_t lane;
			const char *why; /* for the record; static */
		} dropped;
		struct {
			struct slice text; /* what the action would do; valid during the event */
			const char *problem; /* why there is none; static. NULL: there is */
		} preview;
		struct {
			enum reason reason;
			struct slice text;
			/* EVENT_CLOSE: the server has answered all that it was asked, and may be
			 * asked more by another session of the same agent. */
			bool leaves_server;
		} note; /* EVENT_NOTE and EVENT_CLOSE */
		struct protocol_connect connect;
		struct {
			struct slice name; /* as in beyond() */
			uint16_t port;
		} tunnel;
		struct {
			struct slice user, database, application;
			struct slice cancel_key; /* with which others may cancel; empty: none */
		} login;
		struct {
			struct slice key; /* as in the login event of the session to cancel */
			struct slice message; /* what to send upstream on a connection of its own */
		} cancel;
	};
};

/* The approval for a time that let an action pass, as the host numbers it; serial 0: none was
 * needed.
 */
struct protocol_grant {
	uint64_t serial;
	uint32_t slot;
};

/* What the pipe tells an engine about a refused action. */
struct protocol_refusal {
	enum reason reason;
	struct slice text; /* for the agent, without "wayleave: " */
	struct slice rule; /* that denies it; empty: none */
	struct slice object; /* of the pair that it is about; empty: of none */
	struct slice review; /* that ended so; empty: none */
};

/* How a side's connection ends. */
enum protocol_ending {
	ENDING_IN_ORDER,
	/* TLS that was not closed: what came may not be all (RFC 8446, 6.1). It may still take
	 * something. */
	ENDING_CUT,
	/* It broke: what came may not be all, and nothing is taken either. */
	ENDING_BROKEN,
};

struct protocol;

/* The head of every engine. */
struct protocol_engine {
	const struct protocol *protocol;
	struct protocol_host *host;
};

/* The names of one database as the sessions of one worker share them. Engines fill it. */
struct protocol_catalog {
	_Atomic uint64_t
		*epoch; /* shared by all workers; an engine counts it up when DDL has run */
	struct sql_catalog *names; /* a reference; NULL: not read yet */
	uint64_t names_epoch; /* the epoch when reading them began; they are stale when it moved on
			       */
	char version[64]; /* what the server's catalogs summed up to, to compare with later */
	bool check; /* set now and then by the worker: compare before the next use */
	uint64_t checks; /* counts how often the worker did that */
};

/* A connection that the server made for the agent within the engine's, in a lane (RFC 9113, 8.5) or
 * in TLS: a session of its own, between whose ends and the engine's the host copies. The engine's,
 * for as long as it is carried. */
struct protocol_tunnel {
	const struct protocol_tunnel_events *events;
	void *carrier; /* the host's; NULL: nobody carries it any more, and nothing is called */
};

/* What that session does. Any of them may end with tunnel_drop(). */
struct protocol_tunnel_events {
	/* It has this for a side, which wants() it. Negative errno ends the engine's session. */
	int (*data)(struct protocol_tunnel *t, enum side to, struct slice bytes);
	/* It has no more for that side; `reset`: and says so with a reset. Once for each. */
	void (*end)(struct protocol_tunnel *t, enum side to, bool reset);
	/* It has got so many bytes more of what tunnel_write() was given of that side. */
	void (*taken)(struct protocol_tunnel *t, enum side from, size_t bytes);
	/* Whether that side takes more of what it says. */
	bool (*wants)(const struct protocol_tunnel *t, enum side to);
};

/* What stands around an engine; owned by the pipe, outlives the engine. */
struct protocol_host {
	/* Sends bytes to a side. write() copies; pass() takes bytes of the input() that is running
	 * and may send them without a copy. -ENOMEM or -E2BIG end the session. */
	int (*write)(struct protocol_host *host, enum side to, struct slice bytes);
	int (*pass)(struct protocol_host *host, enum side to, struct slice part_of_input);
	/* As write(), and the copy is wiped once it is sent. */
	int (*write_secret)(struct protocol_host *host, enum side to, struct slice bytes);
	/* Sends no more to that side: an end of file, once what was written is sent. */
	void (*shut)(struct protocol_host *host, enum side to);
	/* The same, where what was sent is not to look as if it was all: TLS is not closed, and
	 * without TLS there is a reset once the session ends. */
	void (*cut)(struct protocol_host *host, enum side to);
	/* Ends the session with a reset, where the protocol has no words for the refusal. */
	void (*reset)(struct protocol_host *host, const struct protocol_refusal *refusal);
	/* What is known of a database's names, in the bytes of `encoding`; never NULL, lives as
	 * long as the host. */
	struct protocol_catalog *(*catalog)(
		struct protocol_host *host, struct slice database, struct slice encoding);

	/* Where the agent says it goes: the name, in lower case, of SNI or Host, or an address in
	 * text, or nothing (empty), and the port (0: not said). `certified`: the server will have
	 * to show a certificate for this very name. The first call settles which of the resources
	 * at the dialled place the session is of. -EPERM: the name means none of them, or another
	 * one now. May be NULL: everything is meant. */
	int (*place)(struct protocol_host *host, struct slice name, uint16_t port, bool certified);

	/* Whether a connection that the server is to make for the agent may be, as one that it
	 * makes itself. `name` in lower case, or an address in text. 0, or -EPERM, with why
	 * appended for the agent. May be NULL: none may. */
	int (*beyond)(struct protocol_host *host, struct slice name, uint16_t port,
		enum reason *ret_reason, struct buffer *why);

	/* A stream that another process carries for the engine to "HOST:PORT" is a connection of
	 * its own from here on: that process gets two sockets, to copy what the agent and what the
	 * server sends to, and what they are to get from. -ENOENT: nothing would judge it there;
	 * others. May be NULL: it is always that. */
	int (*carry)(struct protocol_host *host, uint32_t lane, struct slice place);

	/* The server made a connection elsewhere for the agent, as beyond() was asked: from here on
	 * what is said in it is told to the session that it is, and that session's is told by
	 * t->events. -EBUSY, -EMFILE and the like: there can't be another one. May be NULL, with
	 * the three that follow: there can't be any. */
	int (*tunnel)(struct protocol_host *host, struct protocol_tunnel *t, struct slice name,
		uint16_t port);
	/* That side said this. Copies; what it was told and has not taken() is kept, so the engine
	 * bounds it. -ENOMEM. */
	int (*tunnel_write)(struct protocol_tunnel *t, enum side from, struct slice bytes);
	/* That side says no more; `reset`: and takes no more, so that neither end() nor data()
	 * comes for it. */
	void (*tunnel_end)(struct protocol_tunnel *t, enum side from, bool reset);
	/* Both sides are gone. Takes one that is not carried. */
	void (*tunnel_drop)(struct protocol_tunnel *t);

	/* Of an engine that connects late: what was released goes to the server from here on
	 * (`begun`), or never will. May be NULL. */
	void (*begun)(struct protocol_host *host, uint64_t action, bool begun);

	/* Whether what the action's body says can make a difference to its verdict. May be NULL: it
	 * can't. */
	bool (*wants_body)(struct protocol_host *host, const struct action *action);
	/* Whether a rule that does not mean the other pair denies this one, or has people asked
	 * about it. May be NULL: none does. */
	bool (*restricts)(struct protocol_host *host, const struct action_pair *pair,
		const struct action_pair *other);

	/* Whether that grant is in force this very moment: what the engine lets begin later than
	 * with the release needs it still. May be NULL: it is. */
	bool (*grants)(struct protocol_host *host, const struct protocol_grant *grant);

	const char *address; /* where the agent dialled, "10.0.0.1:443"; NULL: that is not known */
	struct sql_cache *texts;
	struct detector_engine *detectors;
	struct mask_hasher *hasher;
	uint8_t nonce[32]; /* random, of this session */

	struct protocol_credentials credentials;
	/* Who the agent is, for the server's own logs; empty: they are not told. Lives as long as
	 * the host. */
	struct slice identity;
	/* Bytes that another process carried to that side for the engine, which counts them. */
	uint64_t carried[2];
	/* That process has taken so many bytes of its connections, as it says, and is to be told
	 * when it may take more. */
	uint64_t taken;
	bool wants_more;
	enum protocol_ending endings[2]; /* of a side that has ended */

	/* What the resource says of TLS with the server. */
	enum { UPSTREAM_TLS_AS_AGENT, UPSTREAM_TLS_OFF, UPSTREAM_TLS_ON } upstream_tls;
	bool tls_passthrough; /* TLS is relayed unread */
	bool unnamed; /* no resource names the place */
	bool asks_first; /* nothing reaches the server before an action was released */
	/* Which rules apply in this session, as a number that no other set of rules of this process
	 * had: verdicts and masks found for an analysed text are kept under it. Changes with a
	 * reload. */
	uint64_t audience;
	bool needs_facts; /* some rule that could match asks for more than that something was done
			   */
	bool judges_lines; /* some rule that could match is about what is typed into shells */
	bool observes; /* mode: observe */
	bool shows_secrets; /* the verdict that mask() is called for lets Secrets be seen */
	bool passes_masked; /* and what stood in masked values' places be written */
	bool masks_contents; /* some rule that could match masks values in contents of HTTP */
	/* The role of the server's as which the action runs that mask() is called for; empty: as
	 * who is logged in. */
	struct slice as;
	/* The one by which the action passes that release() is called for. */
	struct protocol_grant grant;
	/* People let the action pass that release() is called for: it is sent once. */
	bool reviewed;
	/* Connections to the server may be left to other sessions, and taken from them. */
	bool keeps;
	/* With connected(): the connection is one that another session left. */
	bool reused;
	bool suspended; /* the agent is: nothing that comes unasked is passed on to it */
	/* Masks of every rule that could match in this session: what unasked-for messages obey. */
	const struct mask_rules *session_masks;
};

static inline void protocol_begun(struct protocol_host *host, uint64_t action, bool begun)
{
	if (host->begun)
		host->begun(host, action, begun);
}

/* Of a connection whose bytes are passed on as they are: nothing more passes either way once that
 * side has ended so. Agents often do not close TLS in order, and still want their answer. */
static inline bool protocol_ends_both(const struct protocol_host *host, enum side side)
{
	return host->endings[side] == ENDING_BROKEN ||
		(side == SIDE_SERVER && host->endings[side] == ENDING_CUT);
}

/* Where that side has ended, and what it sent has no other end: the other side's is as it was. */
static inline void protocol_pass_end(struct protocol_host *host, enum side from)
{
	if (host->endings[from] == ENDING_IN_ORDER)
		host->shut(host, side_other(from));
	else
		host->cut(host, side_other(from));
}

/* A verdict kept beside an analysed text. */
struct protocol_judgement {
	bool review; /* people decide before it runs, unless they have */
	void (*free)(struct protocol_judgement *judgement);
};

enum detection {
	DETECTION_NO,
	DETECTION_MORE, /* too few bytes to know */
	DETECTION_YES,
};

struct protocol {
	enum protocol_id id;
	/* The engine says when it wants the upstream connection (EVENT_CONNECT), and may ask for
	 * another one when the server has closed it. Else there is one from the start. */
	bool connects_late;
	/* end() of the agent comes when all that it sent has been taken, as that may be requests
	 * whose answers it still wants. Else at once. */
	bool ends_behind;
	/* Who gives up waiting for people may ask the same again, and finds their answer. */
	bool asks_again;
	/* Its actions are names that are looked up: judged, and bounded, as those in datagrams are.
	 */
	bool looks_up;
	/* Both connections are a process of their own's (worker/delegate.c), which speaks the
	 * protocol. The engine's bytes are what it says and is told, as those of SIDE_SERVER; it
	 * can't read on where it understood nothing, so observing changes nothing there. */
	bool delegated;

	/* Whether the first bytes of either side are this protocol's; no side effects. */
	enum detection (*detect)(struct slice from_agent, struct slice from_server);

	/* Never NULL. The engine keeps `host`. */
	struct protocol_engine *(*open)(struct protocol_host *host);
	void (*close)(struct protocol_engine *e); /* no callbacks happen any more; frees */

	/* Takes bytes that `side` sent; what it does not take is offered again, with more behind
	 * it. 0, or -EBADMSG: the first byte not taken begins what the protocol does not allow
	 * there; any other negative errno ends the session. */
	int (*input)(struct protocol_engine *e, enum side side, struct slice in, size_t *ret_taken);
	/* How many bytes from the first untaken one on make the next call of input() useful; at
	 * least 1. */
	size_t (*needs)(struct protocol_engine *e, enum side side, struct slice in);
	/* Whether input() of that side can take anything now. */
	bool (*wants)(const struct protocol_engine *e, enum side side);
	/* Whether all that the agent sends now goes on to the server, and nothing of it is answered
	 * here: then it is taken while the agent reads nothing, too, as the server itself may do.
	 * NULL: never. */
	bool (*passes_on)(const struct protocol_engine *e);
	/* Whether something that was released is still under way, so that bytes pass which nobody
	 * judges any more. */
	bool (*is_busy)(const struct protocol_engine *e);
	/* The side closed its connection after all that was offered. A server's end comes when
	 * that was taken, unless the engine takes no more of it although it wants some. */
	void (*end)(struct protocol_engine *e, enum side side);
	/* The next event, valid until the next call of any function here; false: none. */
	bool (*next_event)(struct protocol_engine *e, struct protocol_event *ret);

	/* Between an EVENT_ACTION and release(): binds the verdict's masks. 0, or -EPERM with the
	 * reason where this action can't be masked as asked. `rules` NULL: nothing is masked. The
	 * engine copies the rules; what it derives from them it may keep under their serial. */
	int (*mask)(struct protocol_engine *e, uint32_t lane, const struct mask_rules *rules,
		bool record_rows, struct protocol_refusal *ret);
	/* The same where we only observe: binds nothing, and tells why the engine would refuse the
	 * action by itself if rules held. The reason is valid until release() or refuse(). NULL:
	 * that is not found out. */
	int (*would_refuse)(struct protocol_engine *e, uint32_t lane,
		const struct mask_rules *rules, struct protocol_refusal *ret);
	/* Sends the action on. `number` is what the recording calls it; results carry it. */
	int (*release)(struct protocol_engine *e, uint32_t lane, uint64_t number);
	/* Answers the action with an error of the protocol instead. */
	int (*refuse)(struct protocol_engine *e, uint32_t lane, uint64_t number,
		const struct protocol_refusal *refusal);
	/* For an action that people are to decide; valid until the next call of any function here.
	 * -ENOTSUP: this one can't be held; -E2BIG: not all that it is bound to is known;
	 * -EMSGSIZE: likewise, as it is longer than LIMIT_STATEMENT_BYTES; -ESTALE: as with
	 * the result's `late`, nor can it be what was decided with its unit; -EAGAIN: not yet, and
	 * it comes again as a new EVENT_ACTION when it is. Until then it may be released or
	 * refused.
	 */
	int (*bind)(struct protocol_engine *e, uint32_t lane, struct protocol_binding *ret);
	/* For such an action: the next of those that stand behind it in its unit and have arrived
	 * already, as it would come if all before it were released; `first`: the first of them.
	 * bind() was called before; both results are valid until the next call of any function
	 * here, but texts, objects and values of several until the last, with NULL results, which
	 * says that no more are wanted. -ENOENT: there is none, or what it means can't be known
	 * yet. -EAGAIN: that is not known before more has arrived. NULL: there are no units. Behind
	 * actions that change what names mean, it is what they are expected to mean then. Of the
	 * binding, what `in_unit` stands for is not filled. */
	int (*ahead)(struct protocol_engine *e, uint32_t lane, bool first,
		struct protocol_action_event *ret, struct protocol_binding *ret_binding);
	/* What people may see of a value of such an action that is in binary format, of which all
	 * is here: without what the masker's detectors find in it, as their strategies say. Returns
	 * enum protocol_shown. NULL: no value is of a format of its own. */
	int (*show)(const struct masker *masker, const struct protocol_value *value,
		struct buffer *ret);
	/* For such an action: asks the server what it would do, by means that change nothing. NULL:
	 * EVENT_PREVIEW follows, unless the session ends; else why there is none, static. */
	const char *(*preview)(struct protocol_engine *e, uint32_t lane);
	/* While an action is held: tells the agent, without any effect on what it asked for. `text`
	 * empty: something that only its library notices. False: not at this moment. */
	bool (*reassure)(struct protocol_engine *e, uint32_t lane, struct slice text);
	/* Instead of release() or refuse(): the action is judged from the start, and comes again as
	 * a new EVENT_ACTION, or as EVENT_DROPPED where it was answered, or given up, meanwhile.
	 * `anew`: by what its names mean now, which the server is asked first. False: it is not
	 * waiting for a verdict, as it is being judged again already. */
	bool (*judge_again)(struct protocol_engine *e, uint32_t lane, bool anew);
	/* While an action is held: whether what of the agent is not taken yet says that it leaves,
	 * and waits for no answer. NULL: it just closes its connection. */
	bool (*leaves)(const struct protocol_engine *e, struct slice untaken);
	/* What the server is to be sent, on a connection of its own, so that it gives up what it is
	 * doing for this session; empty: it does nothing, or can't be told. Valid until the next
	 * call of any function here. NULL: the protocol has no such thing. */
	struct slice (*give_up)(struct protocol_engine *e);
	/* The agent asks for what it waits for to be given up. The server is told besides; this is
	 * for an action that is still being judged, of which the server knows nothing: it is
	 * answered as cancelled. NULL: the protocol has no such thing. */
	void (*interrupt)(struct protocol_engine *e);
	/* Ends the whole session with an error of the protocol, as far as its state allows. After
	 * an input() that failed, EVENT_CLOSE comes at once. */
	void (*abort)(struct protocol_engine *e, const struct protocol_refusal *refusal);

	void (*connected)(struct protocol_engine *e); /* the upstream connection stands */
	void (*tls_done)(struct protocol_engine *e, enum side side,
		const struct protocol_tls_result *result);
	void (*job_done)(struct protocol_engine *e, struct protocol_job *job);
	/* The answer to an EVENT_PROOF, or (`error` negative) why there is none, for the agent.
	 * NULL: the protocol asks for none. */
	void (*proven)(struct protocol_engine *e, int error, struct slice answer);
	void (*pinned)(struct protocol_engine *e); /* the answer to an EVENT_PIN */
};

#endif
