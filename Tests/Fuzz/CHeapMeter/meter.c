#include "CHeapMeter.h"
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static _Atomic long live, base, peak;

static void *gained(void *block) {
    if (block) {
        long now = atomic_fetch_add(&live, (long)malloc_usable_size(block)) + (long)malloc_usable_size(block);
        long most = atomic_load(&peak);
        while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {}
    }
    return block;
}

static void lost(void *block) {
    if (block) atomic_fetch_sub(&live, (long)malloc_usable_size(block));
}

void *malloc(size_t size) { return gained(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return gained(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return gained(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return gained(__libc_memalign(alignment, size)); }

int posix_memalign(void **place, size_t alignment, size_t size) {
    void *block = gained(__libc_memalign(alignment, size));
    if (!block) return ENOMEM;
    *place = block;
    return 0;
}

void *realloc(void *block, size_t size) {
    size_t before = block ? malloc_usable_size(block) : 0;
    void *moved = __libc_realloc(block, size);
    if (moved || size == 0) atomic_fetch_sub(&live, (long)before);
    return gained(moved);
}

void free(void *block) {
    lost(block);
    __libc_free(block);
}

void heap_meter_begin(void) {
    long now = atomic_load(&live);
    atomic_store(&base, now);
    atomic_store(&peak, now);
}

size_t heap_meter_peak(void) { return (size_t)(atomic_load(&peak) - atomic_load(&base)); }
