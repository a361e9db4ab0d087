/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker for Slack begins with: the configuration, and what its files hold.
 */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "monitor/monitor.h"

/* Without the newline that editors put behind a secret. */
static int read_text(
	const struct config_text *file, bool whole, struct buffer *ret, struct error *e)
{
	int r = file->text ? file_read(file->text, ret, e) : 0;
	struct slice text = buffer_slice(ret);

	while (!whole && text.length && strchr(" \t\r\n", text.data[text.length - 1]))
		text.length--;
	buffer_truncate(ret, text.length);
	if (r == 0 &&
		memchr(buffer_slice(ret).data ? (const void *)buffer_slice(ret).data : "", 0,
			text.length))
		r = error_set(e, -EINVAL, "%s: not a text", file->text);
	return r;
}

static int make_setup(struct monitor *m, struct broker_setup **ret, struct error *e)
{
	const struct config_slack *slack = m->config->slack;
	static const struct config_text none;
	const struct config_text *files[BROKER_TEXT_COUNT] = {
		[BROKER_API_URL] = &none,
		[BROKER_WEBHOOK_URL] = &slack->webhook_url_file,
		[BROKER_BOT_TOKEN] = &slack->bot_token_file,
		[BROKER_SIGNING_SECRET] = &slack->signing_secret_file,
		[BROKER_CERTIFICATE] = slack->tls ? &slack->tls->cert_file : &none,
		[BROKER_KEY] = slack->tls ? &slack->tls->key_file : &none,
	};
	struct broker_setup *setup = broker_setup_new(BROKER_ROLE_SLACK);
	int r = buffer_append_string(&setup->texts[BROKER_API_URL], slack->api_url.text);

	for (size_t i = 0; r == 0 && i < BROKER_TEXT_COUNT; i++)
		r = files[i] == &none
			? 0
			: read_text(files[i], i >= BROKER_CERTIFICATE, &setup->texts[i], e);
	if (r < 0) {
		broker_setup_free(setup);
		return r;
	}
	setup->listen = slack->listen.text ? memory_copy_string(slack->listen.text) : NULL;
	setup->uid = m->worker_uid;
	setup->gid = m->worker_gid;
	*ret = setup;
	return 0;
}

int slack_configure(struct monitor *m, struct error *e)
{
	struct broker_setup *setup = NULL;
	int r = m->config->slack ? make_setup(m, &setup, e) : 0;

	return r < 0 ? r : broker_process_set(&m->broker, setup, e);
}
