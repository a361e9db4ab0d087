/* SPDX-License-Identifier: Apache-2.0
 *
 * ciphers: those that are offered to either side, where the processor does AES by itself. OpenSSH
 * spends most of a copy on the Poly1305 of ChaCha20-Poly1305, which stands first in its order and
 * in the library's; AES-GCM, which is in both their defaults, costs a fraction of it.
 *
 * The host takes the first of our order that it has. Of the agent's client it is the client's order
 * that counts (RFC 4253, 7.1). So one that has AES-GCM, too, is offered nothing else; and to know
 * what it has, its list is looked at before it gets ours.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/ssh_wire.h"
#include "protocol/ssh/hello.h"
#include "ssh/readahead.h"
#include "ssh/relay.h"

#define GCM_128 "aes128-gcm@openssh.com"
#define GCM_256 "aes256-gcm@openssh.com"
#define HELLO_TIME (200 * NANOSECONDS_PER_MILLISECOND) /* for an agent's version to come */
#define LIST_TIME (5 * NANOSECONDS_PER_SECOND) /* for the list of one that sends it unasked */
#define PAUSE (2 * NANOSECONDS_PER_MILLISECOND)

static bool processor_does_aes(void)
{
#ifdef __x86_64__
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
	return false;
#endif
}

static int offer(ssh_session session, const char *ciphers)
{
	if (ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, ciphers) != SSH_OK)
		return SSH_ERROR;
	return ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, ciphers);
}

int ciphers_offer_host(ssh_session server)
{
	if (!processor_does_aes())
		return SSH_OK;
	return offer(server,
		GCM_128 "," GCM_256 ",chacha20-poly1305@openssh.com,"
			"aes256-ctr,aes192-ctr,aes128-ctr");
}

/* OpenSSH sends its list as soon as it has our version; others may wait for ours. */
static bool is_to_come(const struct ssh_hello *hello)
{
	return hello->version.length == 0 ||
		slice_starts_with(hello->version, slice_from_string("SSH-2.0-OpenSSH_"));
}

/* Until more may be there. False: no more is to come. */
static bool wait_for_more(int fd, bool begun)
{
	/* What is left in the socket is no news. */
	struct pollfd p = {.fd = fd, .events = begun ? POLLRDHUP : POLLIN};
	const struct timespec most = {.tv_nsec = begun ? PAUSE : HELLO_TIME};

	return ppoll(&p, 1, &most, NULL) <= 0 || !begun; /* poll() is the library's */
}

/* What the agent's client says first is left where it is. False: it is not known. */
static bool peek(int fd, uint8_t *space, size_t size, struct ssh_hello *ret)
{
	uint64_t now = clock_monotonic(), begin = now, most = HELLO_TIME;
	bool more = true;
	size_t seen = 0;
	int r = -EAGAIN;

	for (; r == -EAGAIN && more && now - begin < most; now = clock_monotonic()) {
		ssize_t n;

		more = wait_for_more(fd, seen > 0);
		n = recv(fd, space, size, MSG_PEEK | MSG_DONTWAIT);
		if (n == 0)
			return false;
		seen = n > 0 ? (size_t)n : seen;
		r = ssh_hello_read(slice_of(space, seen), ret);
		if (r == -EAGAIN && (!is_to_come(ret) || seen == size))
			return false;
		/* However busy the machine is that it runs on. */
		if (ret->version.length)
			most = LIST_TIME;
	}
	return r == 0;
}

static bool has(const struct ssh_hello *hello, const char *cipher)
{
	return ssh_wire_has_name(hello->lists[SSH_HELLO_CIPHERS_TO_SERVER], cipher) &&
		ssh_wire_has_name(hello->lists[SSH_HELLO_CIPHERS_TO_CLIENT], cipher);
}

/* The lists were made when our version was sent. */
static int offer_gcm(ssh_session agent)
{
	return offer(agent, GCM_128 "," GCM_256) == SSH_OK ? ssh_server_init_kex(agent) : SSH_ERROR;
}

/* What the library reads meanwhile is what readahead_allow() says: nothing until our version is
 * sent, and then the agent's alone, so that our lists are sent before it can say that it has
 * nothing in common with them. */
static int begin(ssh_session agent, int fd)
{
	uint8_t space[SSH_HELLO_VERSION_MOST + SSH_HELLO_PACKET_MOST];
	struct ssh_hello hello = {0};
	int rc = SSH_OK;

	if (ssh_handle_key_exchange(agent) != SSH_AGAIN)
		return SSH_ERROR;
	if (peek(fd, space, sizeof(space), &hello) &&
		(has(&hello, GCM_128) || has(&hello, GCM_256)))
		rc = offer_gcm(agent);
	if (rc != SSH_OK || !hello.version_size)
		return rc;
	readahead_allow(readahead_taken() + hello.version_size);
	return ssh_handle_key_exchange(agent) == SSH_AGAIN ? SSH_OK : SSH_ERROR;
}

int ciphers_offer_agent(ssh_session agent, int fd)
{
	int rc;

	if (!processor_does_aes())
		return SSH_OK;
	readahead_add(fd);
	readahead_allow(readahead_taken());
	ssh_set_blocking(agent, 0);
	rc = begin(agent, fd);
	ssh_set_blocking(agent, 1);
	readahead_allow(UINT64_MAX);
	readahead_forget(fd);
	return rc;
}
