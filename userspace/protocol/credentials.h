/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials: with which the host logs in at a server, and what a server demands of them. An
 * engine keeps no secret: it asks for a proof, or for a password that it passes on and wipes.
 */
#ifndef WAYLEAVE_PROTOCOL_CREDENTIALS_H
#define WAYLEAVE_PROTOCOL_CREDENTIALS_H

#include "base/slice.h"

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

#endif
