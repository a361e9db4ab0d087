/* SPDX-License-Identifier: Apache-2.0
 *
 * request: one request, and what of its response matters to it, as HTTP/1.1 and HTTP/2 have them:
 * what it does, what people's decision about it is bound to, what of its headers goes on, and how
 * its response is masked. How it is framed, and on which connection, is its owner's.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_REQUEST_H
#define WAYLEAVE_PROTOCOL_HTTP_REQUEST_H

#include "protocol/http/head.h"
#include "protocol/http/mask.h"
#include "protocol/http/pairs.h"
#include "protocol/http/target.h"
#include "protocol/http/written.h"
#include "protocol/protocol.h"

#define HTTP_NAME_MOST 256
/* One byte more tells that it is too large. */
#define HTTP_CONTENT_MOST (LIMIT_HTTP_BODY_HELD + 1u)

struct http_decoder;
struct http_dialect;

/* The connection that requests come by. */
struct http_origin {
	const struct http_dialect *dialect; /* static */
	char sni[HTTP_NAME_MOST]; /* lower case; empty: none */
	bool tls;
};

/* What of a request's content is looked at as it passes. */
struct http_writes {
	struct http_written found;
	struct http_decoder *decoder; /* NULL: it is in no coding; owned */
	bool form;
};

struct http_request {
	struct protocol_host *host;
	const struct http_origin *origin;
	struct http_head head; /* the request's until it has left; then its response's */
	struct action action;
	struct http_problem barred; /* why it would be refused as it stands, if we did more than
				       observe; status 0: nothing */
	struct http_pairs pairs;
	size_t own_pairs; /* of them; the others are what it may be taken for */
	struct protocol_value body; /* as people see it, once it was collected */
	uint64_t number; /* of the action */
	unsigned minor;
	bool to_head; /* the method is HEAD */
	bool nests_errors; /* its client reads errors as http_refusal_write_nested() does them */
	bool closes; /* the agent wants no further response on this connection */
	bool has_body;
	bool expects; /* 100-continue */
	bool continued; /* we answered its expectation */
	bool collected; /* its body is in `content`, or the begin of what is more than is held */
	bool has_trailers; /* behind the body that was collected */
	bool is_decoded; /* and without its codings in `decoded` */
	bool too_large; /* more than is held: nobody looks into it, but it goes on whole */
	bool tunnels; /* CONNECT, or TLS that is relayed unread */
	struct http_beyond beyond; /* where CONNECT leads; port 0: it is none */
	bool websocket; /* it asks for one; no extension of one is asked for */
	bool spdy; /* it asks for SPDY/3.1 */
	bool streams; /* what is asked for is a stream, and the same over either */
	bool forwards; /* and that carries connections, else what a program reads and writes */
	bool terminal; /* which has a terminal, or may have one */
	bool archives; /* which is called to write an archive */
	bool masked; /* its response is */
	bool records; /* what its response says is recorded */
	bool in_lines; /* a response that is masked passes line by line, whatever its type says */
	bool as_json; /* a response that is masked is asked for as JSON, and is that */
	bool is_written; /* its content is not to hold what stands in a masked value's place */
	bool copies; /* it may put what is masked where it isn't, or compare with it */
	struct http_writes writes; /* with is_written */
	struct http_mask *mask; /* NULL: no response was masked yet */
	bool noted; /* what is to be recorded of the response was told */
	struct http_decoder *decoder; /* of a masked response in a coding; else NULL */
	unsigned status;
	unsigned interims; /* responses so far that were not the final one */
	char tag[64]; /* the status line's, for the record */
	char name[HTTP_NAME_MOST]; /* Host's, lower case, without port */
	char dialled[HTTP_NAME_MOST + 8]; /* Host, where that stands in place of the agent's */
	struct buffer text, paths; /* of the action */
	struct buffer content; /* the collected body */
	struct buffer shown; /* of it, where not all of it is */
	struct buffer decoded; /* the same without its codings, where it has some */
	struct buffer accept; /* with as_json: of what the agent takes, what is JSON */
	struct buffer bound; /* of the head, what people's decision is bound to */
};

/* Both outlive it. */
void http_request_init(
	struct http_request *r, struct protocol_host *host, const struct http_origin *origin);
void http_request_done(struct http_request *r);

/* facts.c: what the request in `head` does, as r->action. `minor`, `to_head` and `closes` are set
 * in any case. False: it is refused as it stands. */
bool http_facts_read(struct http_request *r, struct http_problem *ret);
/* It would be refused as it stands. True: it goes on all the same, as we only observe. */
bool http_request_bar(
	struct http_request *r, unsigned status, const char *text, struct http_problem *ret);
/* The same for what a ClientHello asks for. */
void http_facts_of_hello(struct http_request *r);
/* A server that opens no WebSocket does what the GET asks for, before anybody sees what it answers:
 * a rule that denies that, or asks people about it, holds for the WebSocket too. Nothing need allow
 * it besides. Again each time it is judged, as rules change. */
void http_facts_add_get(struct http_request *r);
/* The event that asks for the verdict on it. */
void http_request_ask(struct http_request *r, struct protocol_event *event);

/* content.c: whether rules look into its body, which is to be collected first. */
bool http_request_wants_body(const struct http_request *r);
/* It was collected: reads it without its codings, for rules and people; up to LIMIT_HTTP_BODY_HELD,
 * beyond which, and where it can't be, it is not known. What goes on is as it came. */
void http_request_decode(struct http_request *r);
/* Puts what came of it into the action. */
void http_request_show_body(struct http_request *r);
/* The body in a text as http_pairs_of_line() takes it: what stands behind an empty line. Without
 * one, a request that writes has a body which is not known. */
void http_body_of_text(struct slice text, struct action_body *ret);

/* As protocol.h's functions of those names. */
int http_request_mask(
	struct http_request *r, const struct mask_rules *rules, struct protocol_refusal *ret);
int http_request_would_refuse(
	struct http_request *r, const struct mask_rules *rules, struct protocol_refusal *ret);
/* What people's decision is bound to; its body was collected. -E2BIG. */
int http_request_bind(struct http_request *r, struct protocol_binding *ret);

/* Whether a request's field is one of the connection that it comes by, by its name alone. */
bool http_field_is_of_connection(const struct http_field *field);
/* What stands there frameworks take for the method, in any case: both are judged, as it is not
 * known whether this server does. */
bool http_field_replaces_method(const struct http_field *field);
/* Whether a header goes on to the other side. What the resource's secret stands in (credentials.h)
 * does not, as it is written anew; what concerns only the connection it came by does not
 * (RFC 9110, 7.6.1), nor what would lead the agent past us. */
bool http_request_keeps(const struct http_request *r, const struct http_field *field);
bool http_response_keeps(const struct http_request *r, const struct http_field *field);
bool http_trailer_is_kept(const struct http_request *r, const struct http_field *field);
/* Whether the name has "_" where a header that decides how the request is judged or read has "-":
 * CGI and its heirs take one for the other. */
bool http_field_is_disguised(const struct http_field *field);
/* Why what has the server compare its content with what the client says of it can't be taken out,
 * as it is where a read's content is masked. NULL: it can, or nothing does. Static. */
const char *http_request_comparing_problem(const struct http_request *r);
/* The coding that the server is to be asked for; NULL: as the agent did. */
const char *http_request_coding(const struct http_request *r);

/* What the server is to be asked for, in place of the agent's Accept; empty: as the agent did. */
struct slice http_request_accept(const struct http_request *r);
/* writes.c: whether the rules mask something in this session, which it could write back. */
bool http_request_may_write_back(const struct http_request *r);
/* What was looked at of the request before, or all of its content was. */
void http_request_forget_writing(struct http_request *r);
/* It was allowed. Why it can't pass; NULL: its content is to be looked at. Static. */
const char *http_request_begin_writing(struct http_request *r);
/* Why content of the request may not pass, of which this comes next; NULL: it may. Static. Where we
 * only observe, that is to be said, once, and it passes. */
const char *http_request_content_problem(struct http_request *r, struct slice content);
/* It may not pass, for whatever reason: where we only observe, no more of it is looked at. */
void http_request_stop_looking(struct http_request *r);
/* Bytes of its content that are held, with what looks into it. */
size_t http_request_held(const struct http_request *r);
/* Whether a media type, of an Accept or a Content-Type, is JSON, whatever its parameters. */
bool http_type_is_json(struct slice type);

/* response.c: a response whose head is in `head` begins, of so many bytes where that is known (else
 * 0). NULL: its content can be masked; else why not. */
const char *http_response_begin_masking(struct http_request *r, uint64_t length);
/* Whether the head of a masked response waits for its content, which may have to be refused. */
bool http_response_waits(const struct http_request *r);
/* Takes content of a response that is masked, and appends to `out` what of all that came may pass;
 * `last`: no more comes. */
int http_response_mask(struct http_request *r, struct slice content, bool last, struct buffer *out);
/* Why it can't be, after an error of that; NULL: another error. Static. */
const char *http_response_mask_problem(int error, enum reason *ret_reason);
/* What is to be recorded of how it passes, once; static. NULL: nothing. */
const char *http_response_note(struct http_request *r);
/* Bytes that it holds back. */
size_t http_response_held(const struct http_request *r);
/* Nobody gets the rest of it. */
void http_response_stop_masking(struct http_request *r);

/* Whether the server's answer in `head`, which agrees to a WebSocket, has an extension. What that
 * made of the frames nobody here could read: none was asked for. */
bool http_websocket_is_extended(const struct http_request *r);
/* The protocol that the connection is to become; NULL: none. */
const char *http_request_upgrade(const struct http_request *r);

/* The body of a refusal in plain HTTP: {"error", "rule", "message", "review"}. */
int http_refusal_write(struct buffer *out, unsigned status, const struct protocol_refusal *refusal);
/* The same for libraries of models' APIs, which show what stands in an object "error" (OpenAI's
 * reads nothing else): {"type", "code", "param", "message"}. */
int http_refusal_write_nested(struct buffer *out, const struct protocol_refusal *refusal);
/* Whether the request is of one, by what they all say of themselves (Stainless, who makes them). */
bool http_request_nests_errors(const struct http_request *r);
/* Appends the body of a refusal, as the client of the request reads it. */
int http_request_refuse(const struct http_request *r, struct buffer *out, unsigned status,
	const struct protocol_refusal *refusal);
unsigned http_status_of(enum reason reason);
/* What a request is refused for that has the problem. */
enum reason http_problem_reason(const struct http_problem *problem);

#endif
