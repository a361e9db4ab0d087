/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/device.h"

#include <string.h>

#include "base/limits.h"
#include "identity/document.h"

#define HTTPS "https://"

/* What is sent back must fit into a form, with each byte escaped. */
static const char *get_secret(const cJSON *answer, const char *name)
{
	const char *text = document_get_text(answer, name);

	return text && *text && strlen(text) <= LIMIT_TOKEN_BYTES ? text : NULL;
}

/* Others look like these, change the direction of what follows, or are none on this keyboard. */
static bool is_code(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	}
	return length > 0 && length <= DEVICE_USER_CODE_MOST;
}

static size_t authority_length(const char *address)
{
	return strcspn(address + strlen(HTTPS), "/?#");
}

/* RFC 3986; without a name in front of the host, by which https://login.acme.com@evil.example is
 * read as another place than it is. A login is entered there: over TLS alone. */
static bool is_address(const char *text)
{
	static const char characters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,"
		";=%";
	size_t host;

	if (!text || strncmp(text, HTTPS, strlen(HTTPS)) != 0 || strlen(text) > LIMIT_TOKEN_NAME ||
		text[strspn(text, characters)])
		return false;
	host = authority_length(text);
	return host > 0 && !memchr(text + strlen(HTTPS), '@', host);
}

/* The host may be another than the issuer's, as it is with some; but it is one. */
static bool is_same_host(const char *a, const char *b)
{
	size_t length = strlen(HTTPS) + authority_length(a);

	return length == strlen(HTTPS) + authority_length(b) && memcmp(a, b, length) == 0;
}

/* What is no number of seconds was not said. */
static uint64_t read_seconds(
	const cJSON *answer, const char *name, uint64_t otherwise, uint64_t most)
{
	const cJSON *item = document_get(answer, name);
	double value = cJSON_IsNumber(item) ? item->valuedouble : 0;

	if (!(value >= 1))
		return otherwise;
	return value < (double)most ? (uint64_t)value : most;
}

const char *device_read_code(const cJSON *answer, struct device_code *ret)
{
	struct device_code code = {
		.code = get_secret(answer, "device_code"),
		.user_code = document_get_text(answer, "user_code"),
		.address = document_get_text(answer, "verification_uri"),
		.whole = document_get_text(answer, "verification_uri_complete"),
	};

	if (!code.code)
		return "its answer has no code to ask with (\"device_code\")";
	if (!is_code(code.user_code))
		return "its answer has no code that a person can enter (\"user_code\")";
	if (!is_address(code.address))
		return "its answer has no https:// address to use the code at "
		       "(\"verification_uri\")";
	if (!is_address(code.whole) || !is_same_host(code.whole, code.address))
		code.whole = NULL;
	code.interval = read_seconds(answer, "interval", DEVICE_INTERVAL, DEVICE_INTERVAL_MOST);
	code.good_for = read_seconds(answer, "expires_in", DEVICE_TIME_MOST, DEVICE_TIME_MOST);
	*ret = code;
	return NULL;
}

/* Three parts (RFC 7515 section 3.1); others have dots in them too. */
static bool is_signed(const char *token)
{
	size_t dots = 0;

	for (; token && *token; token++)
		dots += *token == '.';
	return dots == 2;
}

/* An access token that is signed; else the one that is for us to read in any case. */
const char *device_read_token(const cJSON *answer, struct device_token *ret)
{
	const char *access = document_get_text(answer, "access_token"),
		   *id = document_get_text(answer, "id_token");
	bool readable = is_signed(access);
	const char *token = readable ? access : id;

	if (!token)
		return "its answer has no signed token";
	if (strlen(token) > LIMIT_TOKEN_BYTES)
		return "its token is too long";
	*ret = (struct device_token){
		.token = token,
		.is_id_token = !readable,
		.refresh_token = get_secret(answer, "refresh_token"),
	};
	return NULL;
}
