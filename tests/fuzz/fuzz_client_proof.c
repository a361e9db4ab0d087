/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_client_proof: what a worker wants to be signed with a client certificate's key. What is
 * taken is whole, and begins as one of the two forms; half of a handshake is never taken.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/client_proof.h"
#include "monitor/messages.h"

static void check(bool good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice challenge = slice_of(data, size), text;
	struct proof_signature taken, cut;

	if (client_proof_take(challenge, &taken) < 0)
		return 0;
	text = slice_from(challenge, sizeof(struct message_signature));
	check(text.length <= PROOF_SIGNED_MOST && slice_equal(taken.text, text));
	check(taken.digest < PROOF_DIGEST_COUNT && taken.padding < PROOF_PADDING_COUNT);
	check(text.data[0] == ' ' || text.data[0] == 1);
	cut = taken;
	cut.text.length -= 1 + text.data[text.length - 1] % 15;
	check(!client_proof_is_sound(&cut));
	client_proof_done(&taken);
	return 0;
}
