/* SPDX-License-Identifier: Apache-2.0 */
#include "base/locked.h"

#include <stdio.h>
#include <sys/mman.h>

#include "base/memory.h"

void *locked_new(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("memory for a secret");
		abort();
	}
	/* Each of these is one leak less; none of them is worth failing for. */
	mlock(memory, size);
	madvise(memory, size, MADV_DONTDUMP);
	madvise(memory, size, MADV_WIPEONFORK);
	return memory;
}

void locked_free(void *memory, size_t size)
{
	if (!memory)
		return;
	memory_wipe(memory, size);
	munmap(memory, size);
}
