/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes: the API of Kubernetes, which is HTTP whose requests are read as the API server reads
 * them: a verb on a resource.
 *
 *   path.c     which resource a path names
 *   query.c    what the query says of it
 *   action.c   what a request does, as policy judges it
 *   secrets.c  what of an answer is hidden, whatever the rules mask
 *   shown.c    what people are shown of a request's content; shown_yaml.c: in YAML
 *   status.c   refusals, as the API server words its own
 *
 * What comes behind an upgrade: channels.h, forward.h.
 */
#ifndef WAYLEAVE_PROTOCOL_KUBERNETES_KUBERNETES_H
#define WAYLEAVE_PROTOCOL_KUBERNETES_KUBERNETES_H

#include "masking/mask.h"
#include "protocol/http/pairs.h"
#include "protocol/protocol.h"

extern const struct protocol protocol_kubernetes;

/* A path as the API server reads it. Slices of what it was read from; empty: there is none. */
struct kubernetes_path {
	bool is_resource; /* else the path itself is what is asked for */
	bool watches, proxies; /* a prefix says so: "/api/v1/watch/pods" */
	struct slice group; /* empty: the core's */
	struct slice resource, subresource;
	struct slice namespace, name;
};

/* Where servers, or we and the API server, could read it differently, *ret_problem (static) says
 * why, and the result is false. `path`: decoded, beginning with "/". */
bool kubernetes_path_read(struct slice path, struct kubernetes_path *ret, const char **ret_problem);

/* What the parameters of a list say. What is not clear is said to be so. */
struct kubernetes_list {
	bool watch, maybe_watch;
	struct slice name; /* the one object that the field selector leaves; empty: all */
};
/* `room` is where decoded texts are kept. */
void kubernetes_list_read(struct slice query, struct buffer *room, struct kubernetes_list *ret);
/* The next parameter of a query, decoded into `room`, where the caller has reserved as much as the
 * whole query and a byte, so that nothing moves. False: there is none; *ret_bad: it is not encoded
 * as it should be, and what servers make of it is not known. */
bool kubernetes_query_next(struct slice *query, struct buffer *room, struct slice *ret_name,
	struct slice *ret_value, bool *ret_bad);

/* Whether the parameter stands there and may be taken for true. */
bool kubernetes_query_asks(struct slice query, const char *name);

/* What is known of a request besides its target. */
struct kubernetes_request {
	struct slice method;
	struct slice path, query; /* of the target, as they came */
	bool applies; /* the content is a server-side apply's */
};
/* The pairs of operation and object. The objects are kept in `room`, as for http_pairs_add_path().
 */
void kubernetes_pairs_read(
	const struct kubernetes_request *r, struct buffer *room, struct http_pairs *ret);
/* It asks to go on in SPDY: what is proxied there nobody reads, which a rule has to allow besides.
 */
void kubernetes_pairs_add_spdy(struct http_pairs *p);
/* As http_pairs_of_line(): "GET /api/v1/pods", and kubectl's words "get prod/pods/web". */
void kubernetes_pairs_of_line(struct slice text, struct buffer *room, struct http_pairs *ret);

/* The masks of what is answered, so that no Secret is seen; none where it is about none. Static. */
const struct mask_json *kubernetes_secrets_masks(const struct http_pairs *pairs, size_t *ret_count);

/* Where an earlier apply keeps what it was given: an annotation. */
#define KUBERNETES_LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* As a dialect's hide(). */
bool kubernetes_content_hide(
	const struct http_pairs *pairs, struct slice content, struct buffer *ret);
/* Appends YAML without the values of Secrets. False: it can't be read; then what was appended says
 * nothing. */
bool kubernetes_yaml_hide(struct slice content, struct buffer *ret);

/* status.c: as a dialect's. */
struct protocol_refusal;
int kubernetes_status_write(
	struct buffer *out, unsigned status, const struct protocol_refusal *refusal);

#endif
