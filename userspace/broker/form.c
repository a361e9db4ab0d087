/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/form.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "identity/document.h"

#define CODE_SIZE 64

/* As application/x-www-form-urlencoded has it. */
static void put_escaped(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if ((c | 32) >= 'a' && (c | 32) <= 'z')
			buffer_append_byte(b, c);
		else if ((c >= '0' && c <= '9') || strchr("-._~", c))
			buffer_append_byte(b, c);
		else
			buffer_append_format(b, "%%%02X", c);
	}
}

void form_put(struct buffer *b, const char *name, const char *value)
{
	buffer_append_format(b, "%s%s=", buffer_length(b) ? "&" : "", name);
	put_escaped(b, value);
}

char *form_take(struct buffer *b)
{
	char *text = memory_copy_text(buffer_slice(b).data, buffer_length(b));

	buffer_wipe(b);
	return text;
}

char *form_authorization(const char *client_id, const char *secret)
{
	struct buffer pair;
	uint8_t *encoded;
	char *text;

	buffer_init(&pair, FORM_MOST);
	put_escaped(&pair, client_id);
	buffer_append_byte(&pair, ':');
	put_escaped(&pair, secret);
	encoded = memory_new(buffer_length(&pair) * 2 + 8);
	EVP_EncodeBlock(encoded, buffer_slice(&pair).data, (int)buffer_length(&pair));
	text = memory_format("Basic %s", (char *)encoded);
	memory_wipe(encoded, strlen((char *)encoded));
	free(encoded);
	buffer_wipe(&pair);
	return text;
}

void form_forget(char *text)
{
	if (text)
		memory_wipe(text, strlen(text));
	free(text);
}

static void take_code(const cJSON *json, char *ret)
{
	const char *code = json ? document_get_text(json, "error") : NULL;
	size_t length = code ? strspn(code, "abcdefghijklmnopqrstuvwxyz_") : 0;

	snprintf(ret, CODE_SIZE, "%.*s", length < CODE_SIZE - 1 ? (int)length : CODE_SIZE - 1,
		code ? code : "");
}

cJSON *form_read_answer(
	const struct client_answer *answer, char *ret_code, char *ret_why, size_t why_size)
{
	cJSON *json = NULL;
	struct error e;

	*ret_code = '\0';
	if (answer->problem) {
		snprintf(ret_why, why_size, "%s", answer->problem);
		return NULL;
	}
	if (document_parse(answer->body, &json, &e) < 0 && answer->status == 200) {
		snprintf(ret_why, why_size, "%s", e.text);
		return NULL;
	}
	if (answer->status == 200)
		return json;
	take_code(json, ret_code);
	cJSON_Delete(json);
	snprintf(ret_why, why_size, "HTTP status %u%s%s", answer->status, *ret_code ? ", " : "",
		ret_code);
	return NULL;
}
