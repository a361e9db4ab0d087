/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a statement: parsed, resolved and traced with and without a catalog, and once more
 * with other numbers in it, which must mean the same where the shape says so.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/limits.h"
#include "tests/unit/sql_shape.h"

/* Instrumented code takes several times the stack. */
#define STACK_BYTES ((size_t)LIMIT_PARSER_STACK * 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice input;
static sem_t asked, answered;

static void follow(struct slice text, const struct sql_view *view)
{
	struct sql_text *t = sql_text_parse(text);
	struct buffer words;

	buffer_init(&words, 1 << 24);
	shape_describe(t, view, &words);
	sql_text_keeps_names(t, "latin1");
	buffer_done(&words);
	sql_text_put(t);
}

static void run(struct slice text)
{
	static struct sql_catalog *catalog;
	static const struct sql_view assumed = {.assume = true}, nothing;
	struct sql_view view;
	uint64_t random = text.length;
	char *broken;

	if (!catalog)
		catalog = sql_test_catalog();
	view = sql_test_view(catalog);
	for (size_t i = 0; i < text.length; i++)
		random = random * 31 + text.data[i];
	follow(text, &assumed);
	follow(text, &nothing);
	broken = shape_break(text, &view, random);
	if (broken) {
		fprintf(stderr, "%.*s\nis not\n%s\n", SLICE_PRINT(text), broken);
		abort();
	}
}

/* libpg_query recurses as deep as the text nests: it needs the stack that its callers give it. */
static void *serve(void *nothing)
{
	for (;;) {
		while (sem_wait(&asked) < 0)
			;
		run(input);
		sem_post(&answered);
	}
	return nothing;
}

static void start(void)
{
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	sem_init(&asked, 0, 0);
	sem_init(&answered, 0, 0);
	if (stack == MAP_FAILED || pthread_attr_init(&attributes) ||
		pthread_attr_setstack(&attributes, stack, STACK_BYTES) ||
		pthread_create(&thread, &attributes, serve, NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;

	if (!started)
		start();
	started = true;
	input = slice_of(data, size);
	sem_post(&asked);
	/* libFuzzer's own clock interrupts. */
	while (sem_wait(&answered) < 0)
		;
	return 0;
}
