/* SPDX-License-Identifier: Apache-2.0
 *
 * event: what an engine tells the pipe by next_event(), and what it is answered.
 */
#ifndef WAYLEAVE_PROTOCOL_EVENT_H
#define WAYLEAVE_PROTOCOL_EVENT_H

#include "base/reason.h"
#include "protocol/action.h"
#include "protocol/credentials.h"

struct dns_message;

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
	/* Whether that is so the server has to be asked, as judge_again() does; before it is,
	 * people are not. */
	bool maybe_late;
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

#endif
