/* SPDX-License-Identifier: Apache-2.0
 *
 * record_postgres: records what real clients and a real server say to the engine, as transcripts.
 *
 *   record_postgres POLICY SERVER-PORT PREFIX UPSTREAM CERTIFICATE KEY
 *           listens on a free port of 127.0.0.1, prints it, and writes PREFIX-N.txt for the Nth
 *           connection; UPSTREAM as in transcripts, the files are what agents see in TLS
 *   record_postgres POLICY --bless FILE…
 *           runs transcripts again, and writes what came of it
 *
 * TLS is real on both sides; transcripts have what is inside.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "tests/harness/transcript.h"

#define TLS_RECORD_HANDSHAKE 0x16

struct options {
	struct engine_bench bench;
	uint16_t port; /* the server's */
	const char *prefix, *upstream, *certificate, *key;
};

/* One connection; the process's own. */
struct recorder {
	struct engine_watch watch;
	struct engine_run run;
	struct transcript transcript;
	const struct options *options;
	int fds[2];
	SSL *tls[2]; /* NULL: in clear */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return fd;
}

static void send_all(struct recorder *r, enum side to, struct slice bytes)
{
	while (bytes.length) {
		ssize_t n = r->tls[to] ? SSL_write(r->tls[to], bytes.data, (int)bytes.length)
				       : send(r->fds[to], bytes.data, bytes.length, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the other end shows when it is read */
		bytes = slice_from(bytes, (size_t)n);
	}
}

static void send_answers(struct recorder *r)
{
	for (int to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		send_all(r, (enum side)to, buffer_slice(&r->run.sent[to]));
		buffer_clear(&r->run.sent[to]);
	}
}

/* --- TLS --- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *ret_length,
	const unsigned char *in, unsigned length, void *context)
{
	static const unsigned char wanted[] = "\012postgresql";

	(void)ssl;
	(void)context;
	return SSL_select_next_proto((unsigned char **)out, ret_length, wanted, sizeof(wanted) - 1,
		       in, length) == OPENSSL_NPN_NEGOTIATED
		? SSL_TLSEXT_ERR_OK
		: SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL *new_tls(const struct recorder *r, enum side side)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	SSL *ssl;

	if (side == SIDE_AGENT &&
		(SSL_CTX_use_certificate_chain_file(context, r->options->certificate) != 1 ||
			SSL_CTX_use_PrivateKey_file(context, r->options->key, SSL_FILETYPE_PEM) !=
				1))
		die(r->options->certificate);
	SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
	ssl = SSL_new(context);
	SSL_CTX_free(context);
	if (!ssl || SSL_set_fd(ssl, r->fds[side]) != 1)
		die("TLS");
	return ssl;
}

/* RFC 5929, 4.1, for what the test's authority signs with. */
static void keep_end_point(struct recorder *r)
{
	X509 *certificate = SSL_get0_peer_certificate(r->tls[SIDE_SERVER]);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	if (!certificate || X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
		die("the server's certificate");
	buffer_append(&r->transcript.end_point, digest, length);
}

/* What was said before must be there before; and what comes behind is another step. */
static void handshake(struct engine_watch *w, struct engine_run *run, enum side side,
	struct protocol_tls_result *result)
{
	struct recorder *r = container_of(w, struct recorder, watch);

	(void)run;
	transcript_complete(&r->transcript);
	send_answers(r);
	r->tls[side] = new_tls(r, side);
	if ((side == SIDE_AGENT ? SSL_accept(r->tls[side]) : SSL_connect(r->tls[side])) != 1) {
		*result = (struct protocol_tls_result){.error = -EPROTO, .text = "no handshake"};
		return;
	}
	if (side == SIDE_AGENT)
		return;
	keep_end_point(r);
	result->server_end_point = buffer_slice(&r->transcript.end_point);
}

/* The first byte of a ClientHello is for the engine, all of it for the handshake. */
static ssize_t read_some(struct recorder *r, enum side side, uint8_t *bytes, size_t size)
{
	if (r->tls[side])
		return SSL_read(r->tls[side], bytes, (int)size);
	if (side == SIDE_AGENT && recv(r->fds[side], bytes, 1, MSG_PEEK) == 1 &&
		bytes[0] == TLS_RECORD_HANDSHAKE)
		return 1;
	return recv(r->fds[side], bytes, size, 0);
}

/* --- a session --- */

static void save(struct transcript *t, const struct engine_bench *bench, const char *name)
{
	FILE *file = fopen(name, "we");

	if (!file)
		die(name);
	transcript_run(t, bench, NULL, NULL, NULL, true, NULL);
	transcript_write(t, file);
	fclose(file);
}

/* One read of that side; false: the session is over. */
static bool receive(struct recorder *r, enum side side)
{
	struct transcript *t = &r->transcript;
	uint8_t bytes[65536];
	ssize_t n = read_some(r, side, bytes, sizeof(bytes));

	if (n <= 0) {
		transcript_add(t, side, SLICE_EMPTY, true);
		engine_run_end(&r->run, side);
		return false;
	}
	transcript_add(t, side, slice_of(bytes, (size_t)n), false);
	engine_run_feed(&r->run, side, slice_of(bytes, (size_t)n));
	if (buffer_length(&r->run.sent[side]))
		transcript_complete(t);
	send_answers(r);
	return !r->run.closed;
}

static void relay(struct recorder *r)
{
	for (;;) {
		struct pollfd polled[2] = {{r->fds[0], POLLIN, 0}, {r->fds[1], POLLIN, 0}};

		if (poll(polled, 2, -1) < 0)
			die("poll");
		for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
			bool more = polled[side].revents != 0;

			for (; more; more = r->tls[side] && SSL_pending(r->tls[side])) {
				if (!receive(r, (enum side)side))
					return;
			}
		}
	}
}

static void record(const struct options *options, int agent, const char *name)
{
	struct recorder r = {.options = options, .watch.handshake = handshake};
	struct engine_bench bench;

	r.fds[SIDE_AGENT] = agent;
	r.fds[SIDE_SERVER] = connect_to(options->port);
	transcript_init(&r.transcript);
	if (transcript_set_upstream(&r.transcript, options->upstream) < 0)
		die(options->upstream);
	bench = transcript_bench(&r.transcript, &options->bench);
	engine_run_init(&r.run, &bench, &r.watch);
	engine_run_connected(&r.run);
	relay(&r);
	/* A cancel request is the first and only thing on its connection. */
	if (memmem(r.run.events.data, r.run.events.end, "! cancel", 8))
		send_all(&r, SIDE_SERVER, buffer_slice(&r.transcript.steps[0].bytes));
	engine_run_done(&r.run);
	save(&r.transcript, &options->bench, name);
	transcript_done(&r.transcript);
}

static int listen_somewhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t length = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &length) < 0)
		die("listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static int bless(const struct engine_bench *bench, char **files)
{
	for (; *files; files++) {
		struct transcript t;

		transcript_init(&t);
		if (transcript_read(&t, *files) < 0)
			return 1;
		save(&t, bench, *files);
		transcript_done(&t);
	}
	return 0;
}

static int serve(const struct options *options)
{
	int listener = listen_somewhere();

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned number = 1;; number++) {
		int agent = accept(listener, NULL, NULL);
		char *name = memory_format("%s-%u.txt", options->prefix, number);

		if (agent < 0)
			die("accept");
		if (fork() == 0) {
			record(options, agent, name);
			_exit(0);
		}
		close(agent);
		free(name);
	}
}

int main(int argc, char **argv)
{
	bool blesses = argc > 3 && strcmp(argv[2], "--bless") == 0;
	struct options options;
	char *policy;

	if (!blesses && argc != 7) {
		fprintf(stderr,
			"usage: record_postgres POLICY SERVER-PORT PREFIX UPSTREAM CERTIFICATE "
			"KEY\n"
			"       record_postgres POLICY --bless FILE...\n");
		return 2;
	}
	policy = engine_bench_read(argv[1]);
	engine_bench_init(&options.bench, policy);
	free(policy);
	if (blesses)
		return bless(&options.bench, argv + 3);
	options.port = (uint16_t)strtoul(argv[2], NULL, 10);
	options.prefix = argv[3];
	options.upstream = argv[4];
	options.certificate = argv[5];
	options.key = argv[6];
	return serve(&options);
}
