/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trust_variables.h"

#include "base/memory.h"

static const char *const variables[] = {
	"SSL_CERT_FILE",
	"NODE_EXTRA_CA_CERTS",
	"REQUESTS_CA_BUNDLE",
	"CURL_CA_BUNDLE",
	"GIT_SSL_CAINFO",
	"AWS_CA_BUNDLE",
	"PIP_CERT",
	"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
	"CARGO_HTTP_CAINFO",
	"NIX_SSL_CERT_FILE",
	"HTTPLIB2_CA_CERTS",
	"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
	"BUNDLE_SSL_CA_CERT",
	"DENO_CERT",
};

const char *trust_variable(size_t index)
{
	return index < ARRAY_SIZE(variables) ? variables[index] : NULL;
}
