/* SPDX-License-Identifier: Apache-2.0
 *
 * limits: every bound on what a peer can make us hold or do. Reaching one is a named refusal
 * (base/reason.h), never an abort. docs/limits.md explains them to admins.
 */
#ifndef WAYLEAVE_BASE_LIMITS_H
#define WAYLEAVE_BASE_LIMITS_H

/* Statements */
#define LIMIT_STATEMENT_BYTES (4u << 20) /* text that is judged; longer is refused */
#define LIMIT_STATEMENT_TOKENS 600000u /* lexical tokens of one text */
#define LIMIT_STATEMENT_DEPTH 4000u /* nested brackets and chained operators of one text */
#define LIMIT_STATEMENT_INLINE 16384u /* longer texts are parsed off the worker's loop */
#define LIMIT_STATEMENT_CACHE_BYTES (32u << 20) /* parsed statements kept per worker */
#define LIMIT_STATEMENT_CACHE_TEXT 16384u /* longer texts are not kept */
#define LIMIT_PARSER_STACK (256u << 20) /* bytes of address space for a parser's stack */

/* Sessions */
#define LIMIT_SESSIONS_PER_WORKER 65536u
#define LIMIT_SESSION_ARENA (16u << 20) /* what one session makes us remember */
#define LIMIT_PREPARED_STATEMENTS 65536u /* per session */
#define LIMIT_PIPELINE 65536u /* requests in flight per session */
#define LIMIT_STARTUP_BYTES 10000u /* PostgreSQL's own MAX_STARTUP_PACKET_LENGTH */
#define LIMIT_AUTH_MESSAGE_BYTES 65536u /* authentication messages of either side */
#define LIMIT_HELD_INPUT (256u << 10) /* bytes kept from an agent whose lane is parked */
#define LIMIT_CELL_JUDGED (16u << 20) /* a cell that must be scanned whole; longer becomes NULL */
#define LIMIT_NOTICE_BYTES (1u << 20) /* errors, notices, notifications: scanned whole */
#define LIMIT_ROW_DESCRIPTION_BYTES (4u << 20)
#define LIMIT_CATALOG_BYTES (128u << 20) /* one database's names */

/* Configuration and policy: written by admins, so these catch mistakes rather than attacks */
#define LIMIT_CONFIG_FILE_BYTES (1u << 20) /* one YAML file */
#define LIMIT_CONFIG_NODES 100000u /* values of one YAML file */
#define LIMIT_CONFIG_DEPTH 16u /* nesting of one YAML file */
#define LIMIT_CONFIG_KEYS 1000u /* keys of one YAML mapping */
#define LIMIT_CONFIG_FILES 1024u /* policy files */
#define LIMIT_CONFIG_AGENTS 1024u
#define LIMIT_CONFIG_RESOURCES 4096u
#define LIMIT_CONFIG_HOSTS 4096u /* hosts of all resources */
#define LIMIT_POLICY_RULES 4096u
#define LIMIT_POLICY_IMAGE (64u << 20) /* bytes of compiled policy */
#define LIMIT_SCOPE_BYTES (4u << 20) /* distinct verdicts remembered per agent and resource */
#define LIMIT_SCOPES_IDLE 256u /* scopes kept without a session that uses them */

/* Time, in milliseconds */
#define LIMIT_STARTUP_TIME 60000u /* from accept to a complete login */
#define LIMIT_CONNECT_TIME 10000u /* to reach the upstream */
#define LIMIT_DETECT_TIME 300u /* for either side's first bytes at an unnamed place */

#endif
