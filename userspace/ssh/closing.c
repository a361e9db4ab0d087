/* SPDX-License-Identifier: Apache-2.0
 *
 * closing: channels that are closed on our side, until their other end has closed them too, as RFC
 * 4254, 5.3 has it. The library keeps each so long, with all that comes for it; who never answers
 * could have it keep any number of them.
 */
#include "ssh/relay.h"

struct closing {
	struct list link;
	struct ssh_channel_callbacks_struct callbacks;
	bool over; /* the library has forgotten it, or is about to */
};

static int drop_data(ssh_session session, ssh_channel channel, void *data, uint32_t length,
	int errors, void *context)
{
	(void)session;
	(void)channel;
	(void)data;
	(void)errors;
	(void)context;
	return (int)length;
}

/* More may be called back for it until the library is done with the channel. */
static void on_close(ssh_session session, ssh_channel channel, void *context)
{
	struct closing *c = context;

	(void)session;
	(void)channel;
	c->over = true;
}

/* It would be kept, too. No more than there is now: its sender may be as fast as we are. */
static void drop_unread(ssh_channel channel)
{
	uint8_t bytes[BRIDGE_DATA_MOST];

	for (int errors = 0; errors <= 1; errors++) {
		int left = ssh_channel_poll(channel, errors), n = 1;

		for (; left > 0 && n > 0; left -= n)
			n = ssh_channel_read_nonblocking(channel, bytes, sizeof(bytes), errors);
	}
}

static void keep(struct relay *r, ssh_channel channel)
{
	struct closing *c = memory_new(sizeof(*c));

	c->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = c,
		.channel_data_function = drop_data,
		.channel_close_function = on_close,
	};
	ssh_callbacks_init(&c->callbacks);
	ssh_set_channel_callbacks(channel, &c->callbacks);
	list_append(&r->closing, &c->link);
	r->closing_count++;
}

void closing_begin(struct relay *r, ssh_channel channel,
	struct ssh_channel_callbacks_struct *callbacks, const bool *closed)
{
	if (!channel)
		return;
	/* What is not open can't be read; and for what never was, or in a session that is gone,
	 * nobody is to answer. */
	if (ssh_channel_is_open(channel))
		drop_unread(channel);
	ssh_remove_channel_callbacks(channel, callbacks);
	if (ssh_channel_is_open(channel) && !*closed)
		keep(r, channel);
	ssh_channel_free(channel);
}

void closing_turn(struct relay *r)
{
	list_for_each_safe (position, &r->closing) {
		struct closing *c = list_entry(position, struct closing, link);

		if (!c->over)
			continue;
		list_remove(&c->link);
		r->closing_count--;
		free(c);
	}
}
