/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/diag.h"

#include <errno.h>
#include <linux/sock_diag.h>

#define CGROUP_ID 21 /* INET_DIAG_CGROUP_ID, kernel 5.8 */
#define BUFFER_SIZE 32768

struct mnl_socket *diag_open(void)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (netlink && mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0) {
		int cause = errno;

		mnl_socket_close(netlink);
		errno = cause;
		return NULL;
	}
	return netlink;
}

int diag_ask(struct mnl_socket *netlink, uint16_t type, uint16_t flags,
	const struct inet_diag_req_v2 *request, mnl_cb_t call, void *context)
{
	uint8_t buffer[BUFFER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	int r = MNL_CB_OK;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	*(struct inet_diag_req_v2 *)mnl_nlmsg_put_extra_header(message, sizeof(*request)) =
		*request;
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)n, 0, mnl_socket_get_portid(netlink), call, context);
	}
	return r < 0 ? -errno : 0;
}

bool diag_cgroup(const struct nlmsghdr *answer, uint64_t *ret_id)
{
	const struct nlattr *attribute;

	mnl_attr_for_each(attribute, answer, sizeof(struct inet_diag_msg))
	{
		if (mnl_attr_get_type(attribute) == CGROUP_ID &&
			mnl_attr_validate(attribute, MNL_TYPE_U64) >= 0) {
			*ret_id = mnl_attr_get_u64(attribute);
			return true;
		}
	}
	return false;
}
