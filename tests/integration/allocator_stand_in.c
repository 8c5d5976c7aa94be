// An allocator that memspy knows by its name alone, for tests: blocks one behind the other in a
// large mapping, never used again. CMake calls the library libjemalloc.so.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { kExtent = 1 << 30, kAlign = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *next, *end;

// The size stands in the 16 bytes in front of a block.
static void* take(size_t align, size_t size) {
  if (align < kAlign) align = kAlign;
  size_t need = size + align + kAlign;
  if (need < size) return NULL;
  pthread_mutex_lock(&lock);
  if ((size_t)(end - next) < need) {
    size_t extent = need > kExtent ? (need + 4095) & ~(size_t)4095 : kExtent;
    char* fresh = mmap(NULL, extent, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fresh == MAP_FAILED) {
      pthread_mutex_unlock(&lock);
      errno = ENOMEM;
      return NULL;
    }
    next = fresh;
    end = fresh + extent;
  }
  uintptr_t block = ((uintptr_t)next + kAlign + align - 1) & ~(uintptr_t)(align - 1);
  next = (char*)block + ((size + kAlign - 1) & ~(size_t)(kAlign - 1));
  pthread_mutex_unlock(&lock);
  ((size_t*)block)[-1] = size;
  return (void*)block;
}

void* malloc(size_t size) { return take(kAlign, size); }
void* calloc(size_t count, size_t size) {
  size_t all;
  return __builtin_mul_overflow(count, size, &all) ? NULL : take(kAlign, all);
}
void* memalign(size_t align, size_t size) { return take(align, size); }
void* aligned_alloc(size_t align, size_t size) { return take(align, size); }
int posix_memalign(void** out, size_t align, size_t size) {
  *out = take(align, size);
  return *out ? 0 : ENOMEM;
}
size_t malloc_usable_size(void* block) { return block ? ((size_t*)block)[-1] : 0; }
void free(void* block) { (void)block; }
void* realloc(void* block, size_t size) {
  void* fresh = take(kAlign, size);
  size_t old = malloc_usable_size(block);
  if (fresh && block) memcpy(fresh, block, old < size ? old : size);
  return fresh;
}
