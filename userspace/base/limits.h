/* SPDX-License-Identifier: Apache-2.0
 *
 * limits: every bound on what a peer can make us hold or do. Reaching one is a named refusal
 * (base/reason.h), never an abort. docs/limits.md explains them to admins.
 */
#ifndef WAYLEAVE_BASE_LIMITS_H
#define WAYLEAVE_BASE_LIMITS_H

/* Statements */
#define LIMIT_STATEMENT_BYTES (4u << 20) /* text that is judged; longer is refused */
#define LIMIT_STATEMENT_TOKENS 1000000u /* lexical tokens of one text */
#define LIMIT_STATEMENT_DEPTH 16000u /* levels of one parse tree */
#define LIMIT_TRACE_DEPTH 4500u /* levels that are followed where columns are masked */
#define LIMIT_TRACE_STACK (6u << 20) /* bytes of stack that this takes at most */
#define LIMIT_TRACE_WORK 20000000u /* steps of following masked columns through one text */
#define LIMIT_FACTS (64u << 20) /* bytes of what one text mentions */
#define LIMIT_STATEMENT_INLINE 16384u /* longer texts are parsed off the worker's loop */
#define LIMIT_STATEMENT_CACHE_BYTES (32u << 20) /* parsed statements kept per worker */
#define LIMIT_STATEMENT_CACHE_TEXT 16384u /* longer texts are not kept */
#define LIMIT_PARSER_STACK (256u << 20) /* bytes of address space for a parser's stack */

/* Sessions */
#define LIMIT_SESSIONS_PER_WORKER 65536u
#define LIMIT_REFUSED_AGENT                                                                        \
	64u /* sessions beyond an agent's limits that a worker tells so at a time */
/* Milliseconds between records of a worker's connections that are refused at once, by reason. */
#define LIMIT_STRANGERS_INTERVAL 1000
#define LIMIT_SESSION_ARENA (16u << 20) /* what one session makes us remember */
#define LIMIT_PREPARED_STATEMENTS 65536u /* per session */
#define LIMIT_PIPELINE 65536u /* requests in flight per session */
#define LIMIT_STARTUP_BYTES 10000u /* PostgreSQL's own MAX_STARTUP_PACKET_LENGTH */
#define LIMIT_AUTH_MESSAGE_BYTES 65536u /* authentication messages of either side */
#define LIMIT_SCRAM_ITERATIONS                                                                     \
	1000000u /* of a password: a hostile server may ask for any number                         \
		  */
#define LIMIT_CELL_JUDGED (16u << 20) /* a cell that must be scanned whole; longer becomes NULL */
#define LIMIT_ROW_MASKED                                                                           \
	(64u << 20) /* a row in which something is masked; a longer one is refused */
#define LIMIT_NOTICE_BYTES (1u << 20) /* errors, notices, notifications: scanned whole */
#define LIMIT_ROW_DESCRIPTION_BYTES (4u << 20)
#define LIMIT_CATALOG_BYTES (128u << 20) /* one database's names */

/* Milliseconds that sessions go on when the daemon is to stop and another one may follow: new
 * connections wait meanwhile. With what ending takes, below the unit's TimeoutStopSec=. */
#define LIMIT_DRAIN_TIME 5000u

/* Flows of datagrams */
#define LIMIT_FLOWS 8192u /* places of all agents whose answers are remembered, or asked for */
#define LIMIT_FLOWS_AGENT 1024u /* of one agent */
#define LIMIT_PINNED 8192u /* addresses that resolvers gave agents for names of resources */
#define LIMIT_PINNED_AGENT 1024u /* of one agent */
#define LIMIT_PINNED_KEPT 86400u /* seconds behind the lifetime of an answer: runtimes cache */
#define LIMIT_PINNED_LIFETIME 86400u /* seconds; of an answer that says more */
#define LIMIT_LOOKUPS 8192u /* queries to name servers that are under way */
#define LIMIT_LOOKUPS_AGENT 512u /* of one agent */
#define LIMIT_LOOKUP_SERVERS_AGENT 32u /* name servers that one agent asks at a time */
#define LIMIT_LOOKUPS_BURST 500u /* queries of one agent at once, … */
#define LIMIT_LOOKUPS_PER_SECOND 100u /* … and for long */
#define LIMIT_LOOKUP_RUN 32u /* letters and digits of a name that look like encoded bytes */
#define LIMIT_LOOKUP_TIME 30000u /* milliseconds for which an answer is waited for */
#define LIMIT_FLOW_KEPT 60000u /* milliseconds for which "it passes" is remembered */
#define LIMIT_FLOW_REFUSED 10000u /* milliseconds for which a refusal is */

/* HTTP */
#define LIMIT_HTTP_HEAD 65536u /* a request's or response's start line and headers */
#define LIMIT_HTTP_FIELDS 128u /* headers of one message */
#define LIMIT_HTTP_METHOD 32u /* bytes of a method's name */
#define LIMIT_HTTP_TRAILERS 16384u
#define LIMIT_HTTP_INTERIM 100u /* interim responses (1xx) to one request */
#define LIMIT_HTTP_DRAIN (1u << 20) /* of a refused request's body, before its connection ends */
#define LIMIT_HTTP_BODY_HELD (1u << 20) /* a body that people are shown, or rules look into */
#define LIMIT_BODY_VALUES 65536u /* of a body that rules look into; with more it is unknown */
#define LIMIT_BODY_MESSAGES 256u /* the same, of a batch */
#define LIMIT_BODY_VALUE (64u << 10) /* bytes of one that patterns are compared with */
#define LIMIT_HTTP_BODY_MASKED                                                                     \
	(16u << 20) /* JSON in which something is masked; longer is refused */
#define LIMIT_HTTP_CODINGS 2u /* of one content, one upon the other */
#define LIMIT_HTTP_CODING_RATIO 200u /* bytes that one byte of a coded content may become, … */
#define LIMIT_HTTP_CODING_FREE (4u << 20) /* … beyond so many */
#define LIMIT_HTTP_ZSTD_WINDOW_LOG 23 /* RFC 9659: 8 MiB */
#define LIMIT_HTTP_ANSWER 32768u /* a response of our own */
#define LIMIT_HTTP2_STREAMS 100u /* requests of one connection at a time */
#define LIMIT_HTTP2_STREAM_WINDOW (256u << 10) /* bytes of a stream that may be on the way */
#define LIMIT_HTTP2_WINDOW (1u << 20) /* of all streams of a connection, beyond what follows */
#define LIMIT_HTTP2_PASSING (2u << 20) /* beyond which a connection's windows stay closed */
#define LIMIT_HTTP2_UNREAD (32u << 20) /* and beyond which the server is not read */
#define LIMIT_HTTP2_HELD (32u << 20) /* bodies that people are shown or masks hold back, in all */
#define LIMIT_IMPERSONATED 33u /* a user and groups, in `credentials` */
#define LIMIT_IMPERSONATED_NAME 256u
/* Bytes of a list of headers beyond which it is not even answered that it is too large. */
#define LIMIT_HTTP2_LIST (4 * LIMIT_HTTP_HEAD)
#define LIMIT_HTTP2_CONTINUATIONS 8u /* frames of one list of headers, behind the first */
#define LIMIT_HTTP2_IDLE_FRAMES 10000u /* in a row that carry neither a request nor content */
#define LIMIT_HTTP2_RESETS 500u /* more streams given up by the agent than were answered */
#define LIMIT_SPDY_CONTROL 16384u /* of a control frame */
#define LIMIT_SPDY_HEADERS 65536u /* of one frame, uncompressed */
#define LIMIT_KUBERNETES_FORWARDS 256u /* connections of one port-forward that are told apart */

/* What `worker_limits` may not be below: 16 tasks for each of as many workers as there may be. */
#define LIMIT_WORKERS_LEAST_MEMORY (128u << 20)
#define LIMIT_WORKERS_LEAST_TASKS 1024u

/* SSH */
#define LIMIT_SSH_SESSIONS 4096u /* processes, of all agents */
#define LIMIT_HOST_KEYS_BYTES 65536u /* of a resource's known_hosts */
#define LIMIT_SSH_CHANNELS 64u /* of one session at a time */
#define LIMIT_SSH_FORWARDED 48u /* … that the host opened, of these */
#define LIMIT_SSH_LISTENERS 64u /* that the host has for the agent, of one session */
#define LIMIT_SSH_LISTENERS_OWED 1024u /* … and those that wait for an answer, of one session */
#define LIMIT_SSH_CLOSING 1024u /* closed by us alone, of one session at a time */
/* Bytes of one stream that wait in libssh, which gives room for 1.92 MB. */
#define LIMIT_SSH_UNREAD (2u << 20)
#define LIMIT_SSH_HOST 250u /* bytes of the name that a forward goes to */
#define LIMIT_SSH_REQUESTS 64u /* of one channel that wait for their turn */
#define LIMIT_SSH_REQUESTS_ALL 512u /* of all channels of one session, of 256 KiB at most */
#define LIMIT_SSH_ENVIRONMENT 8192u /* bytes of a channel's variables, to be reviewed with it */
#define LIMIT_SSH_LANES 2048u /* channels and what is open in them, of one session */
/* Bytes that a session's process takes beyond its allowance before it is cut off: what both sides
 * said until they were let in is among them. */
#define LIMIT_SSH_ALLOWANCE_EXCESS (256u << 10)
#define LIMIT_FORCED_COMMAND 1024u /* bytes, of a certificate */
#define LIMIT_SSH_OWN_KEYS 16u /* of an agent's process, that one login may try */
#define LIMIT_SSH_OWN_LOGINS 64u /* by agents' own keys, that are under way */
#define LIMIT_SSH_OWN_LOGINS_PER_AGENT 16u
#define LIMIT_SFTP_FILES 256u /* open in one channel */
#define LIMIT_SCP_FILES 1000u /* of one command that are recorded one by one */
#define LIMIT_SFTP_PENDING 512u /* requests of one channel that the host has yet to answer */

#define LIMIT_SSH_SCRIPT (128u << 10) /* bytes that a shell is to read, to be judged */
#define LIMIT_SSH_TURN 2 /* s of a processor, in one step of a session */
#define LIMIT_SSH_SCRIPT_TIME 1000u /* ms without more of a script, or its end */
#define LIMIT_SSH_ECHO_TIME 1000u /* ms until a terminal shows what was typed, or ends a line */
#define LIMIT_SSH_PROMPT_TIME 50u /* ms without output until the next line is typed */
#define LIMIT_SSH_KEPT_TIME 200u /* ms that output is kept back to be masked */
#define LIMIT_SSH_KEPT_TIME_TERMINAL 10u /* the same, where a person or agent watches */

/* Configuration and policy: written by admins, so these catch mistakes rather than attacks */
#define LIMIT_CONFIG_FILE_BYTES (1u << 20) /* one YAML file */
#define LIMIT_CONFIG_NODES 100000u /* values of one YAML file */
#define LIMIT_CONFIG_DEPTH 16u /* nesting of one YAML file */
#define LIMIT_CONFIG_KEYS 1000u /* keys of one YAML mapping */
#define LIMIT_CONFIG_FILES 1024u /* policy files */
#define LIMIT_CONFIG_AGENTS 1024u
#define LIMIT_CONFIG_ISSUERS 64u
#define LIMIT_CONFIG_RESOURCES 4096u
#define LIMIT_CONFIG_HOSTS 4096u /* hosts of all resources */
#define LIMIT_POLICY_RULES 4096u
#define LIMIT_POLICY_IMAGE (64u << 20) /* bytes of compiled policy */
#define LIMIT_SCOPE_BYTES (16u << 20) /* distinct verdicts remembered per agent and resource */
#define LIMIT_SCOPES_IDLE 256u /* scopes kept without a session that uses them */

/* Recordings and the audit log (recording/format.h). A text is kept whole up to
 * LIMIT_STATEMENT_BYTES. */
#define LIMIT_RECORD_PAYLOAD (12u << 20) /* bytes of one record */
#define LIMIT_RECORD_FIELDS 140000u /* fields of one record */
#define LIMIT_RECORD_PENDING (32u << 20) /* bytes of one stream that wait to be written */
#define LIMIT_RECORD_NAME 4096u /* bytes kept of a name, path, message or rule */
#define LIMIT_RECORD_JUDGEMENT (256u << 10) /* bytes of a verdict with rules and objects */
#define LIMIT_RECORD_VALUE 16384u /* bytes kept of one parameter, cell or error text */
#define LIMIT_RECORD_VALUES (1u << 20) /* of all parameters of an action, all cells of a row */
#define LIMIT_RECORD_ROWS (256u << 10) /* bytes of rows in one record */
#define LIMIT_SEGMENT_BYTES (1u << 30) /* a segment that is read, uncompressed */

/* Reviews and grants (approval/book.h) */
#define LIMIT_REVIEW_WAITERS 1024u /* who may wait for one review */
#define LIMIT_REVIEW_JOINED 4096u /* who may have waited for it, those who left included */
#define LIMIT_REVIEW_VALUES (1u << 20) /* bytes of all parameters of one that are shown */
#define LIMIT_REVIEW_REASON 2000u /* bytes that a reviewer gives as reason */
#define LIMIT_REVIEWS_KEPT 10000u /* reviews that are remembered */
#define LIMIT_REVIEWS_BYTES (256u << 20) /* of their questions: agents choose how long they are */
#define LIMIT_REVIEWS_LISTED 500u /* decided ones in one list */
#define LIMIT_REVIEWS_LIST (32u << 20) /* bytes of a list, then the rest of it is brief */

/* Tokens, and what their issuers publish (identity/) */
#define LIMIT_TOKEN_BYTES 16384u
#define LIMIT_TOKEN_NAME 1024u /* bytes of who a token is about, or of the name of a group */
#define LIMIT_TOKEN_GROUPS 256u /* a token with more is refused, as none may be left out */
#define LIMIT_TOKENS_KNOWN 256u /* of an agent and its runs: when they end is remembered */
#define LIMIT_RUNS 1024u /* of `wayleave run` at a time, with a token or a person of their own */
#define LIMIT_RUNS_OF_USER 256u
#define LIMIT_LOGINS 256u /* people at a time */
#define LIMIT_DOCUMENT_BYTES (64u << 10) /* a JSON document of an issuer's */
#define LIMIT_DOCUMENT_DEPTH 16u
#define LIMIT_DOCUMENT_MEMBERS 1024u /* of one object or list */
#define LIMIT_KEYS 100 /* keys of one issuer */
#define LIMIT_KEY_ID 256u /* bytes of a key's name */
#define LIMIT_RSA_BITS_LEAST 2048
#define LIMIT_RSA_BITS_MOST 8192

/* Processes behind connections (monitor/inspector.h) */
#define LIMIT_PROCESS_ARGUMENTS 4096u /* bytes of a process's arguments that are read */
#define LIMIT_PROCESS_PARENTS 16u /* processes above it */
#define LIMIT_PROGRAM_BYTES (512u << 20) /* of a program whose SHA-256 is computed */
#define LIMIT_PROGRAMS_KNOWN 256u /* programs whose SHA-256 is remembered */
#define LIMIT_INSPECTIONS 1024u /* processes that wait to be read */
#define LIMIT_INSPECTIONS_AT_ONCE 16u
#define LIMIT_INSPECTIONS_PER_AGENT 2u /* at once: who makes reading slow, does it for itself */

/* Agents that are known by interfaces (capture/forwarded.h) */
#define LIMIT_INTERFACE_AGENTS 64u /* each has two of the ports below 1024 */
#define LIMIT_AGENT_INTERFACES 16u
#define LIMIT_AGENT_ADDRESSES 64u
/* Of all agents, each interface with each address: some ten rules of each pair. */
#define LIMIT_INTERFACE_ADDRESSES 4096u

/* Network namespaces with a listener (capture/networks.h) */
#define LIMIT_NETWORKS_PER_AGENT 16u
#define LIMIT_NETWORK_SOCKET_BUFFER (1u << 20) /* bytes that the kernel keeps, each way */

/* Credentials (monitor/credentials.h) */
#define LIMIT_SECRET_BYTES 8192u /* a password or a token */
#define LIMIT_KEY_FILE_BYTES 32768u /* a private key in PEM */
#define LIMIT_PROOFS_WAITING 1024u /* logins of one resource that wait for theirs */
#define LIMIT_PROOFS_PER_SECOND 2000u /* that one worker may ask for */
#define LIMIT_LOANS_PER_SECOND 50000u /* of secrets that are sent in clear; the same */
#define LIMIT_PROOF_KEYS 256u /* salted passwords that are remembered */

/* Time, in milliseconds */
#define LIMIT_STARTUP_TIME 60000u /* from accept to a complete login */
#define LIMIT_TOKEN_TIME 30000u /* an action waits so long for a fresh token */
#define LIMIT_CONNECT_TIME 10000u /* to reach the upstream */
#define LIMIT_SILENCE_TIME 1000u /* for first words, then people are asked about a connection */

#endif
