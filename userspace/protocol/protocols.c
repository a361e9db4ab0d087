/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/protocols.h"

#include "base/memory.h"
#include "protocol/http/http.h"
#include "protocol/kubernetes/kubernetes.h"
#include "protocol/opaque.h"
#include "protocol/postgres/postgres.h"
#include "protocol/ssh/ssh.h"

static const struct protocol *const protocols[] = {
	&protocol_postgres, &protocol_http, &protocol_kubernetes, &protocol_ssh, &protocol_opaque};

const struct protocol *protocols_get(enum protocol_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (protocols[i]->id == id)
			return protocols[i];
	}
	return NULL;
}

enum detection protocols_detect(
	struct slice from_agent, struct slice from_server, const struct protocol **ret)
{
	enum detection best = DETECTION_NO;

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		enum detection found = DETECTION_NO;

		if (protocols[i]->detect)
			found = protocols[i]->detect(from_agent, from_server);
		if (found == DETECTION_YES) {
			*ret = protocols[i];
			return found;
		}
		if (found > best)
			best = found;
	}
	return best;
}
