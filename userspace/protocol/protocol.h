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

#include "protocol/host.h"

struct masker;
struct protocol;

/* The head of every engine. */
struct protocol_engine {
	const struct protocol *protocol;
	struct protocol_host *host;
};

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
