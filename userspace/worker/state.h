/* SPDX-License-Identifier: Apache-2.0
 *
 * state: what the parts of a worker share. One per process.
 */
#ifndef WAYLEAVE_WORKER_STATE_H
#define WAYLEAVE_WORKER_STATE_H

#include "base/jobs.h"
#include "masking/strategy.h"
#include "monitor/messages.h"
#include "policy/judge.h"
#include "protocol/sql/cache.h"
#include "recording/recorder.h"
#include "worker/allowance.h"
#include "worker/catalogs.h"
#include "worker/certificates.h"
#include "worker/channel.h"
#include "worker/flow.h"
#include "worker/grants.h"
#include "worker/kept.h"
#include "worker/lookups.h"
#include "worker/share.h"
#include "worker/strangers.h"
#include "worker/who.h"
#include "worker/worker.h"

struct worker {
	const struct worker_start *start;
	struct ring ring;
	struct channel channel;
	struct jobs *jobs;
	struct recorder *recorder;
	struct policy *policy; /* NULL until the monitor sent it */
	struct sql_cache *texts;
	struct detector_engine *detectors;
	struct mask_hasher *hasher;
	struct catalogs catalogs;
	struct certificates certificates;
	/* TLS towards servers: one context per resource of the policy of that generation, and one
	 * for what no resource names. */
	SSL_CTX **contexts;
	size_t context_count;
	uint64_t contexts_generation;

	struct list accepts; /* accept.h */
	struct ring_operation tick, holds_tick, holds_again, recorder_event, jobs_event, results;
	unsigned
		segments_asked; /* streams for which the monitor was asked, 1 << enum stream_kind */

	struct grants grants;
	struct who who;
	struct flows flows;
	struct lookups lookups;
	struct shares shares;
	struct kept kept; /* connections to servers that sessions have left */
	struct partings partings;
	const struct pinned_table *pinned; /* shared with the monitor, which alone writes it */
	struct list holds; /* actions that wait for people, hold_count of them */
	size_t hold_count;
	/* Sessions whose actions of that kind are to be judged again (hold_again.c): by what is
	 * known, and then by what their servers say, from `holds_ask` (monotonic) on. */
	struct list holds_known, holds_asked;
	uint64_t holds_ask;
	struct list sessions; /* all */
	struct list dirty; /* with something to send or to finish at the end of the turn */
	struct list dead; /* freed once nothing of theirs is in flight */
	struct list ferries; /* of the same kind: those of ferry.h that are over */
	struct table keys; /* sessions by their cancel keys */
	struct list cancels; /* requests on their way to servers; cancel.c */
	struct table ids; /* sessions by their ids */
	struct strangers strangers;
	struct message_statistics statistics;
	bool accepting; /* connections are taken */
	bool results_due; /* have waited for a next action for long enough */
	bool stopping;
	bool draining; /* accepts no more, and ends with its last session */
};

#endif
