// A program whose heap is known: threads allocate and free blocks of every kind, then it prints
// what malloc says of itself and which blocks live, and waits for the end of its input.
//   malloc_target THREADS BLOCKS [blocked|shared]
// blocked: brk cannot grow, and the main arena takes mappings; shared: something else takes memory
// from brk now and then.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kMaxThreads = 64, kLastFreed = 40 };

struct block {
  void* address;
  size_t asked;
  int live;
};

struct work {
  struct block* blocks;
  size_t count;
  uint64_t seed;
};

static pthread_barrier_t finished, ending;

static uint64_t next_random(uint64_t* seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return *seed >> 33;
}

static size_t some_size(uint64_t* seed) {
  const uint64_t kind = next_random(seed) % 1000;
  if (kind < 800) return 1 + next_random(seed) % 600;
  if (kind < 980) return 600 + next_random(seed) % 8000;
  if (kind < 998) return 10000 + next_random(seed) % 100000;
  return 140000 + next_random(seed) % 400000;
}

static void* allocate(uint64_t* seed, size_t size, size_t index) {
  if (index % 97 == 0) return aligned_alloc(64, (size + 63) / 64 * 64);
  if (index % 211 == 0) return aligned_alloc(4096, (size + 4095) / 4096 * 4096);
  if (index % 13 == 0) return realloc(malloc(1 + next_random(seed) % 300), size);
  return malloc(size);
}

enum brk_mode { kPlain, kBlocked, kShared };

static void disturb_brk(enum brk_mode mode, size_t index) {
  if (mode == kBlocked && index == 500) {
    const uintptr_t end = ((uintptr_t)sbrk(0) + 4095) & ~(uintptr_t)4095;
    mmap((void*)end, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  }
  if (mode == kShared && index % 400 == 399) {
    unsigned char* taken = sbrk(1000);
    memset(taken, 0x41, 1000);
  }
}

static void fill(struct work* work, enum brk_mode mode) {
  for (size_t i = 0; i < work->count; ++i) {
    disturb_brk(mode, i);
    struct block* block = &work->blocks[i];
    block->asked = some_size(&work->seed);
    block->address = allocate(&work->seed, block->asked, i);
    memset(block->address, 0x5a, block->asked);
    block->live = 1;
    if (next_random(&work->seed) % 3 == 0) {
      struct block* victim = &work->blocks[next_random(&work->seed) % (i + 1)];
      if (victim->live) free(victim->address);
      victim->live = 0;
    }
  }
  // The last ones stay in the cache of the thread.
  for (size_t i = 0, freed = 0; i < work->count && freed < kLastFreed; ++i) {
    if (!work->blocks[i].live || work->blocks[i].asked > 600) continue;
    free(work->blocks[i].address);
    work->blocks[i].live = 0;
    ++freed;
  }
}

static void* run(void* argument) {
  fill(argument, kPlain);
  pthread_barrier_wait(&finished);
  pthread_barrier_wait(&ending);
  return NULL;
}

static char output[1 << 24];

int main(int argc, char** argv) {
  const size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
  const size_t blocks = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
  if (threads == 0 || threads > kMaxThreads) return 2;
  static struct work works[kMaxThreads];
  static pthread_t ids[kMaxThreads];
  pthread_barrier_init(&finished, NULL, (unsigned)threads);
  pthread_barrier_init(&ending, NULL, (unsigned)threads);
  for (size_t t = 0; t < threads; ++t) {
    works[t].blocks = mmap(NULL, blocks * sizeof(struct block), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    works[t].count = blocks;
    works[t].seed = 77 + t;
    if (t != 0) pthread_create(&ids[t], NULL, run, &works[t]);
  }
  const char* name = argc > 3 ? argv[3] : "";
  fill(&works[0], strcmp(name, "blocked") == 0  ? kBlocked
                  : strcmp(name, "shared") == 0 ? kShared
                                                : kPlain);
  pthread_barrier_wait(&finished);
  const struct mallinfo2 info = mallinfo2();
  int length = sprintf(output, "arena %zu\nfree %zu\nmmaps %zu\nmmapped %zu\ntop %zu\n", info.arena,
                       info.fordblks, info.hblks, info.hblkhd, info.keepcost);
  for (size_t t = 0; t < threads; ++t) {
    for (size_t i = 0; i < blocks; ++i) {
      const struct block* block = &works[t].blocks[i];
      if (block->address == NULL) return 3;
      if (block->live) {
        length += sprintf(output + length, "live %zx %zu\n", (size_t)block->address,
                          malloc_usable_size(block->address));
      }
    }
  }
  length += sprintf(output + length, "end\n");
  for (int done = 0; done < length;) {
    const ssize_t part = write(1, output + done, (size_t)(length - done));
    if (part <= 0) return 4;
    done += (int)part;
  }
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  pthread_barrier_wait(&ending);
  return 0;
}
