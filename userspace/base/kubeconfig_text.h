/* SPDX-License-Identifier: Apache-2.0
 *
 * kubeconfig_text: a kubeconfig in which the clusters' CAs have the host's beside them. It is
 * looked for, not parsed: a scalar behind its key on one line, in YAML or JSON, plain or in quotes,
 * as all tools write it. What is written otherwise stays as it is.
 */
#ifndef WAYLEAVE_BASE_KUBECONFIG_TEXT_H
#define WAYLEAVE_BASE_KUBECONFIG_TEXT_H

#include "base/buffer.h"

/* Appends the text with the CA, PEM, added to each that stands in it. 1: there was one; 0: there
 * was none, and the same is appended. Else the buffer's errors. */
int kubeconfig_add_ca(struct slice text, struct slice ca, struct buffer *out);
/* Takes the path of the next file that a cluster's CAs are in; false: there is none. */
bool kubeconfig_next_ca_file(struct slice *text, struct slice *ret);

#endif
