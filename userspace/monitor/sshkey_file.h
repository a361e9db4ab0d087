/* SPDX-License-Identifier: Apache-2.0
 *
 * sshkey_file: private keys as ssh-keygen(1) writes them (OpenSSH's PROTOCOL.key).
 */
#ifndef WAYLEAVE_MONITOR_SSHKEY_FILE_H
#define WAYLEAVE_MONITOR_SSHKEY_FILE_H

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/error.h"

/* Whether it is in this form. */
bool sshkey_file_is(struct slice text);
int sshkey_file_read(struct slice text, EVP_PKEY **ret, struct error *e);

/* Appends an Ed25519 key in this form: the only one in which libssh 0.10 takes its public half. */
int sshkey_file_append(EVP_PKEY *key, struct buffer *ret);

#endif
