/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Atomics
 *
 * Every ordering that shared memory relies on goes through here: C11 atomics, nothing else, so that
 * ThreadSanitizer and the reader see the same program. What a particular load or store orders, and
 * which one it pairs with, is said where it is used.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * A lock would be one of this process, which the peer does not know. Not ATOMIC_LLONG_LOCK_FREE:
 * that speaks of a `long long` wherever it stands, which on i386 may be across two cache lines.
 */
static_assert(__atomic_always_lock_free(sizeof(_Atomic uint32_t), 0), "words of 32 bits");
static_assert(__atomic_always_lock_free(sizeof(_Atomic uint64_t), 0), "words of 64 bits");

/* The word is ours alone to write, or its value decides nothing about other memory. */
#define shmb_load_relaxed(_word) atomic_load_explicit((_word), memory_order_relaxed)
#define shmb_store_relaxed(_word, _value) \
        atomic_store_explicit((_word), (_value), memory_order_relaxed)

/* What the writer did before its store is visible after this load. */
#define shmb_load_acquire(_word) atomic_load_explicit((_word), memory_order_acquire)
#define shmb_store_release(_word, _value) \
        atomic_store_explicit((_word), (_value), memory_order_release)

/* No load below is done before a store above is visible to everybody. */
static inline void shmb_fence_full(void) {
        atomic_thread_fence(memory_order_seq_cst);
}

/* Binds the compiler only; the processor is bound by the other side's membarrier(2). */
static inline void shmb_fence_compiler(void) {
        atomic_signal_fence(memory_order_seq_cst);
}

/* The fast path falls through. */
#define shmb_unlikely(_condition) __builtin_expect(!!(_condition), 0)

/* Tells the processor that this is a polling loop. */
static inline void shmb_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        shmb_fence_compiler();
#endif
}
