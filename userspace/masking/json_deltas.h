/* SPDX-License-Identifier: Apache-2.0
 *
 * json_deltas: the strings in an event's JSON that are pieces of a text, of which the next event
 * has the next piece, as models' APIs stream what they write. Called by deltas.c.
 *
 * Which those are, their names say: below a member "delta" (OpenAI, Anthropic, Mistral, Cohere,
 * Vercel's AI SDK) what has one of the names that texts have there, and some places without one
 * (OpenAI's completions, Gemini, Ollama, llama.cpp, TGI). Others are no pieces: a text that is not
 * one, as a kind that each event repeats, would be waited for without end.
 */
#ifndef WAYLEAVE_MASKING_JSON_DELTAS_H
#define WAYLEAVE_MASKING_JSON_DELTAS_H

#include "base/slice.h"

struct json_delta {
	/* The text that it is a piece of: its place, and the indices of the objects around it. */
	uint64_t key;
	size_t start, end; /* of the string's inside, in the JSON text */
	bool unfinished; /* it is one only where the event says that it is not the last */
	bool counted; /* the index beside it is its own, not its text's */
};

/* Those of one JSON text, in their order, without empty ones, as many as there is room for in
 * `ret`. How many there are, or room + 1: more than that; 0: none, or it is no JSON. */
size_t json_deltas_find(struct slice json, struct json_delta *ret, size_t room);

#endif
