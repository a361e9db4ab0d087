/* SPDX-License-Identifier: Apache-2.0
 *
 * monitor: the privileged process. It loads BPF and nftables, holds keys, resolves names, keeps the
 * stores and the control socket, and starts the workers. It parses nothing that an agent or the
 * network wrote: what comes from a worker are fixed structs, from clients a type and short strings.
 *
 *   main.c       command line
 *   monitor.c    start, loop, end
 *   settings.c   configuration → policy image, agents, names; reload
 *   workers.c    processes and their channels; requests.c: what they may ask
 *   server.c     the control socket and what clients may ask
 *   credentials.c  proofs of secrets, for workers that log in
 *   reviews.c    reviews and grants, for both
 *   openid.c     the broker for issuers of tokens; identities.c: who agents are; runs.c: and who
 *                single commands of theirs are
 *   slack.c      what Slack shows of reviews, by way of broker_process.c and announcements.c
 *   ssh.c        SSH sessions, by way of ssh_process.c, ssh_signer.c, own_keys.h; ssh_names.c,
 *                ssh_known.c
 *   inspector_process.c  the process that reads what is known of agents' processes: inspector.c
 *   authority.c, process.c, names.c, status.c
 */
#ifndef WAYLEAVE_MONITOR_MONITOR_H
#define WAYLEAVE_MONITOR_MONITOR_H

#include "capture/capture.h"
#include "capture/pins.h"
#include "capture/selftest.h"
#include "monitor/announcements.h"
#include "monitor/authority.h"
#include "monitor/own_keys.h"
#include "monitor/ssh_authority.h"
#include "monitor/broker_process.h"
#include "monitor/canary.h"
#include "monitor/control.h"
#include "monitor/credentials.h"
#include "monitor/identities.h"
#include "monitor/inspector_process.h"
#include "monitor/logins.h"
#include "monitor/loop.h"
#include "monitor/messages.h"
#include "monitor/start_pace.h"
#include "monitor/metrics.h"
#include "approval/book.h"
#include "monitor/names.h"
#include "monitor/pin_file.h"
#include "monitor/ssh_process.h"
#include "monitor/worker_limits.h"
#include "policy/config.h"
#include "recording/store.h"
#include "worker/worker.h"

#define MONITOR_VERSION "0.1.0"
#define MONITOR_WORKERS_MOST 64

struct monitor;

struct monitor_worker {
	struct monitor *monitor;
	unsigned index;
	pid_t pid; /* 0: not running */
	bool ready;
	int channel; /* -1: none */
	struct loop_source source;
	struct identifier incarnation;
	struct message_statistics statistics;
	uint64_t started; /* monotonic */
	uint64_t start_again; /* monotonic; with pid 0 */
	unsigned failures; /* in a row, for the backoff */
};

/* What the broker says of an issuer. */
struct issuer_state {
	struct broker_issuer last;
	char *why; /* NULL: it has said nothing */
};

struct monitor {
	struct loop loop;
	const char *config_file;
	struct config *config;
	uint64_t generation; /* of the policy image */
	int policy_fd; /* memfd, sealed */
	char instance[PINS_INSTANCE_MOST + 1];
	char *reload_problem; /* why the newest configuration is not in force; NULL: it is */

	struct capture *capture;
	struct canary canary;
	struct metrics metrics;
	struct listener_set listeners;
	int unix_fd; /* the workers' Unix socket; -1: none (unix_servers.h) */
	struct selftest selftest;
	bool selftest_running, capture_retry;
	struct store *store;
	struct authority *authority;
	struct ssh_authority *ssh_authority;
	struct names *names;
	size_t names_wanted; /* host names that the configuration has */
	int epochs_fd, shares_fd; /* memfds */
	struct credentials *credentials;
	struct book *book;
	uint64_t reviews_log_again; /* monotonic: of what is beyond agents' limits */
	struct wall {
		uint64_t now, boot; /* what both clocks said; boot 0: nothing yet */
		uint64_t set_at; /* clock_boot(): when somebody set it last; 0: nobody has */
	} wall;
	int grants_fd; /* memfd of the table */
	struct pinned_table *pinned; /* what agents' name servers answered; mapped */
	int pinned_fd; /* memfd of it */
	uint64_t resolvers_version; /* of those that the workers know */
	struct pin_file pin_file;
	struct grant_table *grants; /* mapped */
	uint8_t hash_key[32];
	struct worker_limits limits;
	uid_t worker_uid;
	gid_t worker_gid;

	struct monitor_worker workers[MONITOR_WORKERS_MOST];
	unsigned worker_count;
	struct list clients; /* of the control socket */
	int reserve[4]; /* descriptors that make room for one of them; -1: one has it */
	bool deaf; /* who connects there has to wait, and that was told */
	struct start_pace unit_starts; /* of agents */
	struct broker_process broker;
	struct ssh_process ssh;
	struct inspector_process inspector;
	struct own_keys_processes own_keys;
	struct list ssh_signers; /* of sessions that log in */
	char *known_hosts; /* file; NULL: none was needed yet */
	struct announcements *announcements;
	bool slack_more; /* is to be told at once */
	struct broker_state slack_state; /* as the broker says */
	char *slack_why; /* NULL: it has said nothing */
	char *slack_logged; /* the same, of the last time that it was logged */
	uint64_t slack_log_again; /* monotonic */
	struct broker_process openid;
	struct identities identities;
	struct logins logins;
	struct issuer_state *issuers; /* in the order of the configuration */
	size_t issuer_count;
	char *control_path;

	struct loop_source signals, watch, capture_source, store_source, names_source, control,
		selftest_source;
	uint64_t reload_at; /* monotonic; 0: nothing to reload */
	uint64_t reload_rests; /* monotonic: until then what is to be reloaded waits */
	uint64_t next_tick, next_housekeeping, next_retention_warning;
	char *retention_warning; /* NULL: none */
	pid_t compressor; /* 0: none */
	struct compress_job compression;
	int compressor_result; /* pipe */
	bool stopping, serving;
	bool handed_over; /* the service manager has the listening sockets, too */
	bool hurried; /* told to stop for the second time */
	uint64_t stop_deadline;
};

/* Runs until it is told to stop; the exit status. */
int monitor_run(const char *config_file);
/* teardown.c: removes what daemons of that configuration left, hooks, rules and cgroups, and says
 * so on stderr; also where the file can't be used, or is gone. The exit status. */
int monitor_teardown(const char *config_file);
/* The one event loop turn that everything hangs on, for waiting at the start. */
int monitor_turn(struct monitor *m);

/* settings.c */
#define SETTINGS_STATE_DIR "/var/lib/wayleave" /* the default */
int settings_load(struct monitor *m, struct error *e);
/* Makes the loaded configuration what is in force: image, agents, destinations. */
int settings_apply(struct monitor *m, struct error *e);
/* Reads the files again; what is wrong with them is logged, and the old configuration stays. */
void settings_reload(struct monitor *m);
/* Names resolve to other addresses than before. */
void settings_on_names(struct monitor *m);
/* Agents act for others than before, or for nobody. */
void settings_on_principals(struct monitor *m);
int settings_watch(struct monitor *m, struct error *e);
/* A short name for this daemon among others of the host. */
void settings_instance(const char *state_dir, char *ret, size_t size);

/* workers.c */
int workers_start(struct monitor *m, struct error *e);
void workers_on_exit(struct monitor *m, pid_t pid, int status);
void workers_tick(struct monitor *m, uint64_t now);
void workers_stop(struct monitor *m);
bool workers_are_ready(const struct monitor *m);
bool workers_are_gone(const struct monitor *m);
/* A listener in another network namespace came or went (networks_tell). */
void workers_on_network(void *monitor, uint64_t network, const struct listener_pair *listener);
/* The same for a queue there (networks_tell_queue). */
void workers_on_queue(void *monitor, uint64_t network, const struct queue *queue);
void workers_send_policy(struct monitor *m, struct monitor_worker *w);
/* False: it can't be told. */
bool workers_tell(struct monitor_worker *w, enum message_type type, struct slice payload, int fd);
/* How many of them are told. */
int workers_tell_all(struct monitor *m, enum message_type type, struct slice payload);

/* housekeeping.c: finished recordings. `now` is monotonic. */
void housekeeping_run(struct monitor *m, uint64_t now);
/* Something was finished: not in a minute. */
void housekeeping_soon(struct monitor *m);
/* The compressing process has ended. */
void housekeeping_on_compressed(struct monitor *m);
/* Ends that process; the next daemon compresses what it had begun. */
void housekeeping_stop(struct monitor *m);
/* At which size a recording goes on in another segment. */
uint64_t housekeeping_segment_bytes(const struct monitor *m);

/* requests.c. `fd` came with the request, or none did, or the monitor had no room for it: who needs
 * it is refused with that error. */
#define REQUESTS_NO_DESCRIPTOR (-1)
#define REQUESTS_LOST_DESCRIPTOR (-EMFILE)
void requests_handle(struct monitor_worker *w, uint32_t type, struct slice payload, int fd);
/* The reply to the request with that id. `fd` stays the caller's. */
void requests_reply(struct monitor_worker *w, enum message_type type, uint64_t id, int status,
	struct slice answer, int fd);

/* server.c */
struct asker {
	uid_t uid;
	pid_t pid;
	uint32_t agent; /* 0: outside of all */
};
/* What a handler of a request answers with. */
struct answer {
	struct buffer payload;
	int fds[CONTROL_DESCRIPTORS_MOST]; /* borrowed */
	size_t fd_count;
	int made; /* a descriptor made for this answer, which goes with it; -1: none */
	struct error error;
};
int server_open(struct monitor *m, struct error *e);
/* Before anything else is opened: what is kept for clients when there is no descriptor left is a
 * low number, which a limit that somebody lowers later lets be. */
void server_reserve(struct monitor *m);
void server_tick(struct monitor *m);
void server_close(struct monitor *m);

/* wall.c */
/* With what an earlier daemon of this boot knew. Returns by how many nanoseconds the clock was set
 * since. */
int64_t wall_open(struct monitor *m);
/* The wall clock, for the book. Where it was set since the last call, the book is told first. */
uint64_t wall_now(struct monitor *m);
/* Within the last day: what is old by the clock may not be. */
bool wall_was_set(const struct monitor *m);

/* pinning.c */
/* With what an earlier daemon knew. */
int pinning_open(struct monitor *m, struct error *e);
void pinning_close(struct monitor *m);
/* Tells the workers which name servers are the host's, as /etc/resolv.conf has them now. Returns
 * them, as many as `ret` has room for: PINNED_RESOLVERS_MOST. */
size_t pinning_read_resolvers(struct monitor *m, struct address *ret);
/* Whether they are others since. */
bool pinning_is_stale(const struct monitor *m);
/* What a worker says that an agent was answered. */
void pinning_take(struct monitor *m, const struct message_pin *pin, struct slice addresses,
	struct slice name);

/* reviews.c: reviews and grants, between the book (approval/book.h), the workers that hold actions,
 * and people at the control socket. */
/* Opens the book, and makes the table by which workers know the grants in force. */
int reviews_open(struct monitor *m, struct error *e);
void reviews_close(struct monitor *m);
/* Another configuration is in force; the old one is still there. */
void reviews_configure(struct monitor *m);
/* What is due. */
void reviews_tick(struct monitor *m);
/* A MESSAGE_REVIEW, with the question in `fd`. Appends the answer to `ret`: struct
 * message_review_held and the reviewers' names, or, with an error, a sentence. */
int reviews_ask(
	struct monitor_worker *w, const struct message_review *request, int fd, struct buffer *ret);
/* The worker has been told what reviews_ask() said. */
void reviews_asked(struct monitor_worker *w, const struct message_review *request);
void reviews_leave(struct monitor_worker *w, const struct message_leave *request);
void reviews_worker_gone(struct monitor_worker *w);
/* Before the workers are told to stop. */
void reviews_stop(struct monitor *m);
/* The list of grants, to a worker that begins. */
void reviews_send_grants(struct monitor *m, struct monitor_worker *w);
/* Handlers of the requests of control.h with these names. */
int reviews_on_list(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int reviews_on_show(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int reviews_on_decide(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int reviews_on_grants(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int reviews_on_revoke(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);

/* slack.c */
int slack_open(struct monitor *m, struct error *e);
void slack_close(struct monitor *m);
/* The configuration may be another one, or what its files hold. On an error all is as before. */
int slack_configure(struct monitor *m, struct error *e);
/* Then, and when the book has it too: what is pending is announced where it was not. */
void slack_on_configured(struct monitor *m);
/* What is due at once, and what is due every second. */
void slack_turn(struct monitor *m);
void slack_tick(struct monitor *m, uint64_t now);
/* Whether Slack shows how all reviews that are over ended, or can't at present. */
bool slack_is_settled(const struct monitor *m);
/* For the book: a review changed. */
void slack_on_review(struct monitor *m, const struct identifier *review, enum book_change change);

/* openid.c */
int openid_open(struct monitor *m, struct error *e);
void openid_close(struct monitor *m);
/* The configuration may be another one, or what its files hold. On an error all is as before. */
int openid_configure(struct monitor *m, struct error *e);
/* What the agent's token is now. */
void openid_tell_token(struct monitor *m, const struct identity *item);
/* The run is over: nothing is to be said of its token any more. */
void openid_tell_end(struct monitor *m, const struct identity *run);
/* Handler of CONTROL_TOKEN (runs.c). */
int runs_on_token(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
/* Handlers of CONTROL_LOGIN, CONTROL_LOGIN_STATE, CONTROL_LOGOUT (logins.c). */
int logins_on_begin(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int logins_on_state(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int logins_on_end(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
/* Handlers of CONTROL_AGENTS, CONTROL_SUSPEND, CONTROL_RESUME (identities.c). */
int identities_on_list(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int suspensions_on_suspend(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);
int suspensions_on_resume(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret);

/* ssh.c */
/* The configuration may be another one, or the addresses of its names. */
int ssh_configure(struct monitor *m, struct error *e);
/* A MESSAGE_DELEGATE, with the agent's connection: the worker's end of the process's socket. */
int ssh_delegate(struct monitor *m, const struct message_delegate *request, int fd, int *ret,
	struct error *e);
/* Of 16 bytes, in usual notation. */
const char *ssh_address_text(const uint8_t *address, char *room, size_t size);
/* ssh_names.c */
int ssh_names_write(struct monitor *m, struct error *e);
/* ssh_known.c: appends lines of known_hosts for the host's own file. */
int ssh_known_append(struct monitor *m, struct buffer *ret, struct error *e);

/* status.c: a JSON object; `agent` not 0: what that agent may see. */
int status_build(struct monitor *m, uint32_t agent, struct buffer *ret);
int status_build_canary(struct monitor *m, struct buffer *ret);
/* What the workers counted, together. */
struct message_statistics status_total(const struct monitor *m);
/* metrics_text.c: for Prometheus; and what is wrong, static, NULL: nothing. */
int status_build_metrics(struct monitor *m, struct buffer *ret);
const char *status_problem(const struct monitor *m);

#endif
