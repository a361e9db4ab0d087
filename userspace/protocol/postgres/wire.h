/* SPDX-License-Identifier: Apache-2.0
 *
 * wire: the framing of PostgreSQL's protocol 3 (PostgreSQL 15 documentation, chapter 55) and the
 * tables of its messages: which may come in which phase, how large, and whether it is needed whole.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_WIRE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_WIRE_H

#include "base/buffer.h"

#define PG_HEADER_SIZE 5 /* type byte and length; the length counts itself */

/* First packets, which have no type byte (55.7, StartupMessage and its kin). */
#define PG_CODE_CANCEL 80877102u
#define PG_CODE_TLS 80877103u
#define PG_CODE_GSS 80877104u
#define PG_PROTOCOL_MAJOR 3u

/* Authentication requests (55.7, AuthenticationOk and its kin). */
enum pg_authentication {
	PG_AUTH_OK = 0,
	PG_AUTH_PASSWORD = 3,
	PG_AUTH_MD5 = 5,
	PG_AUTH_GSS = 7,
	PG_AUTH_GSS_CONTINUE = 8,
	PG_AUTH_SSPI = 9,
	PG_AUTH_SASL = 10,
	PG_AUTH_SASL_CONTINUE = 11,
	PG_AUTH_SASL_FINAL = 12,
};

enum pg_phase {
	PG_PHASE_AUTHENTICATION = 1 << 0, /* startup packet sent, AuthenticationOk not yet seen */
	PG_PHASE_STARTUP = 1 << 1, /* AuthenticationOk seen, ReadyForQuery not yet */
	PG_PHASE_QUERY = 1 << 2,
};

struct pg_message {
	const char *name; /* NULL: there is no such message */
	uint8_t phases; /* in which it is legal */
	uint32_t whole; /* a body of at most so many bytes is handled whole; a longer one streams */
	uint32_t most; /* bytes of body that are legal */
};

/* By type byte; what the agent (frontend) and the server (backend) may send. */
extern const struct pg_message pg_agent_messages[256];
extern const struct pg_message pg_server_messages[256];

struct pg_header {
	uint8_t type;
	uint32_t length; /* of the body */
};

/* False: fewer than PG_HEADER_SIZE bytes. A length below 4 gives type 0, which is no message. */
bool pg_header_get(struct slice in, struct pg_header *ret);

/* A message as it came, or its beginning where it is long. Slices are parts of the input. */
struct pg_frame {
	struct slice whole; /* with its header */
	struct slice body;
	uint8_t type;
	bool complete;
	uint32_t length; /* of the whole body */
};

/* 1 with the next message, with as much of it as `table` wants whole; 0: too few bytes; -EBADMSG:
 * not legal in these phases. */
int pg_frame_next(
	const struct pg_message *table, unsigned phases, struct slice in, struct pg_frame *ret);

/* Readers that move `in` forward; -EBADMSG where it is too short, and then nothing moved. */
int pg_get_u8(struct slice *in, uint8_t *ret);
int pg_get_u16(struct slice *in, uint16_t *ret);
int pg_get_u32(struct slice *in, uint32_t *ret);
int pg_get_bytes(struct slice *in, size_t length, struct slice *ret);
/* Up to a NUL, which is taken too. */
int pg_get_string(struct slice *in, struct slice *ret);

/* Builders: begin writes the header with an open length, end closes it. Errors as buffer.h. */
int pg_begin(struct buffer *b, uint8_t type, size_t *ret_mark);
void pg_end(struct buffer *b, size_t mark);
int pg_put_string(struct buffer *b, struct slice s); /* with its NUL */
/* A whole message. */
int pg_put_message(struct buffer *b, uint8_t type, struct slice body);

#endif
