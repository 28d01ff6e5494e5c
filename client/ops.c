/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Operations on a Region
 *
 * Each is: may I (one line of checks), the inlined operation of memory/ring-*.h, wake who sleeps.
 * Whatever is not that is a function of its own, *_slow(), which starts from the beginning. The
 * fast half calls nobody but as its last act, so it has no registers to save: that is a third of
 * its time.
 */

#include <errno.h>

#include "client/news.h"
#include "client/region.h"
#include "client/wait.h"
#include "memory/ring-plain.h"

/*
 * Producer
 */

/* The ring is full. Return: how many of @n are dealt with, or what shmb__wait() says. */
static int push_wait(struct shmb_region *r, const void *items, uint32_t n, int64_t timeout_ns) {
        int result;

        for (;;) {
                result = r->engine->push(r, items, n, SHMB_RING_EXACT);
                if (result != -EAGAIN)
                        return result;
                result = shmb__wait_room(r, n, &timeout_ns);
                if (result != 0)
                        return result < 0 ? result : (int)n;
        }
}

/* Return: how many, at least 1, or -errno. */
static int push_n(struct shmb_region *r, const void *items, uint32_t n, int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_PRODUCE);

        if (result < 0)
                return result;
        if (!r->engine->push)
                return -EOPNOTSUPP;
        if (n == 0 || n > INT32_MAX)
                return -EINVAL;
        result = r->engine->push(r, items, n, SHMB_RING_LAZY);
        if (result == -EAGAIN)
                result = push_wait(r, items, n, timeout_ns);
        if (result > 0)
                shmb__wake(r);
        return result;
}

static int push_slow(struct shmb_region *r, const void *item, int64_t timeout_ns) {
        int result = push_n(r, item, 1, timeout_ns);

        return result < 0 ? result : 0;
}

/**
 * shmb_push() - copy one item in
 * @r:          handle, SHMB_PRODUCE
 * @item:       item_size bytes
 * @timeout_ns: to wait for room; a region with `overflow: fail` never waits, one with drop_newest
 *              throws the item away instead and counts it
 *
 * Return: 0, -EBUSY (a claimed span is held), or see <shmbroker.h>.
 */
int shmb_push(struct shmb_region *r, const void *item, int64_t timeout_ns) {
        if (shmb_unlikely(!shmb__may(r, SHMB__GATE_RING_PRODUCER) ||
                          !shmb_ring_push_plain(&r->producer, item)))
                return push_slow(r, item, timeout_ns);
        return shmb__wake_consumers(r);
}

/**
 * shmb_push_n() - copy items in
 * @r:          handle, SHMB_PRODUCE
 * @items:      @n of them, item_size apart
 * @n:          how many at most
 * @timeout_ns: to wait for room for the first
 *
 * Return: how many went in (or were thrown away), at least 1; -EINVAL for @n 0; else as
 * shmb_push().
 */
int shmb_push_n(struct shmb_region *r, const void *items, uint32_t n, int64_t timeout_ns) {
        return push_n(r, items, n, timeout_ns);
}

static int claim_slow(struct shmb_region *r, uint32_t n, struct shmb_span *ret,
                      int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_PRODUCE);
        ShmbRingSpan span;

        if (result < 0)
                return result;
        if ((n == 0 && !r->engine->send) || !ret)
                return -EINVAL;
        result = r->engine->claim(r, n, SHMB_RING_LAZY, &span);
        while (result == -EAGAIN) {
                if (r->overflow != SHMB_OVERFLOW_BLOCK)
                        timeout_ns = 0;
                result = shmb__wait(r, &timeout_ns);
                if (result < 0)
                        return result;
                result = r->engine->claim(r, n, SHMB_RING_EXACT, &span);
        }
        if (result < 0)
                return result;
        *ret = (struct shmb_span){ span.data, span.n, r->geometry.stride };
        return result;
}

/**
 * shmb_claim_n() - slots to fill in place
 * @r:          handle, SHMB_PRODUCE
 * @n:          how many at most
 * @ret:        contiguous slots, at least one; nobody sees them before shmb_commit_n()
 * @timeout_ns: to wait for the first; there is nothing to throw away yet, so with drop_newest and
 *              fail a full ring is -EAGAIN
 *
 * A second claim before the first is settled gives the same slots.
 *
 * Return: how many; -EINVAL for @n 0; else see <shmbroker.h>.
 */
int shmb_claim_n(struct shmb_region *r, uint32_t n, struct shmb_span *ret, int64_t timeout_ns) {
        return claim_slow(r, n, ret, timeout_ns);
}

static int commit_slow(struct shmb_region *r, uint32_t n) {
        int result = shmb__enter(r, SHMB_PRODUCE);

        if (result == 0)
                result = r->engine->commit(r, n);
        if (result == 0)
                shmb__wake(r);
        return result;
}

static inline int commit(struct shmb_region *r, uint32_t n) {
        if (shmb_unlikely(!shmb__may(r, SHMB__GATE_RING_PRODUCER) || n == 0 ||
                          shmb_ring_commit_n(&r->producer, n) < 0))
                return commit_slow(r, n);
        return shmb__wake_consumers(r);
}

/**
 * shmb_commit_n() - publish the first @n slots of the span that is held, give the rest back
 * @r:          handle, SHMB_PRODUCE
 * @n:          how many; 0 is shmb_abort()
 *
 * Return: 0; -EINVAL (more than are held; the span stays held); else see <shmbroker.h>.
 */
int shmb_commit_n(struct shmb_region *r, uint32_t n) {
        return commit(r, n);
}

static int claim_one_slow(struct shmb_region *r, void **ret_slot, int64_t timeout_ns) {
        struct shmb_span span;
        int result = ret_slot ? shmb__enter(r, SHMB_PRODUCE) : -EINVAL;

        if (result == 0)
                result = r->engine->send ? -EOPNOTSUPP : claim_slow(r, 1, &span, timeout_ns);
        if (result < 0)
                return result;
        *ret_slot = span.data;
        return 0;
}

int shmb_claim(struct shmb_region *r, void **ret_slot, int64_t timeout_ns) {
        void *slot = NULL;

        if (ret_slot && shmb__may(r, SHMB__GATE_RING_PRODUCER))
                slot = shmb_ring_claim_plain(&r->producer);
        if (shmb_unlikely(!slot))
                return claim_one_slow(r, ret_slot, timeout_ns);
        *ret_slot = slot;
        return 0;
}

int shmb_commit(struct shmb_region *r) {
        if (shmb_unlikely(r && r->geometry.kind == SHMB_KIND_STREAM))
                return -EOPNOTSUPP;
        return commit(r, 1);
}

int shmb_abort(struct shmb_region *r) {
        int result = shmb__enter(r, SHMB_PRODUCE);

        if (result < 0)
                return result;
        r->engine->abort(r);
        return 0;
}

/*
 * Consumer
 */

/* Return: how many, at least 1, or -errno. */
static int pop_n(struct shmb_region *r, void *items, uint32_t n, int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_CONSUME);

        if (result < 0)
                return result;
        if (!r->engine->pop)
                return -EOPNOTSUPP;
        if (n == 0 || n > INT32_MAX)
                return -EINVAL;
        result = r->engine->pop(r, items, n);
        while (result == -EAGAIN) {
                result = shmb__wait(r, &timeout_ns);
                if (result < 0)
                        return result;
                result = r->engine->pop(r, items, n);
        }
        if (result > 0 && shmb__wake(r) < 0)
                return -EBADMSG;
        return result;
}

static int pop_slow(struct shmb_region *r, void *item, int64_t timeout_ns) {
        int result = pop_n(r, item, 1, timeout_ns);

        return result < 0 ? result : 0;
}

/**
 * shmb_pop() - copy one item out, and release it
 * @r:          handle, SHMB_CONSUME
 * @item:       room for item_size bytes; untouched on failure, but for -EBADMSG
 * @timeout_ns: to wait for one
 *
 * Return: 0, -EBUSY (a peeked span is held), or see <shmbroker.h>.
 */
int shmb_pop(struct shmb_region *r, void *item, int64_t timeout_ns) {
        if (shmb_unlikely(!shmb__may(r, SHMB__GATE_RING_CONSUMER) ||
                          !shmb_ring_pop_plain(&r->consumer, item)))
                return pop_slow(r, item, timeout_ns);
        return shmb__wake_producer(r);
}

/**
 * shmb_pop_n() - copy items out, and release them
 * @r:          handle, SHMB_CONSUME
 * @items:      room for @n of them, item_size apart
 * @n:          how many at most
 * @timeout_ns: to wait for the first
 *
 * Return: how many, at least 1, all of one producer; -EINVAL for @n 0; else as shmb_pop().
 */
int shmb_pop_n(struct shmb_region *r, void *items, uint32_t n, int64_t timeout_ns) {
        return pop_n(r, items, n, timeout_ns);
}

static int peek_slow(struct shmb_region *r, uint32_t n, struct shmb_span *ret,
                     int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_CONSUME);
        ShmbRingSpan span;

        if (result < 0)
                return result;
        if ((n == 0 && !r->engine->recv) || !ret)
                return -EINVAL;
        result = r->engine->peek(r, n, &span);
        while (result == -EAGAIN) {
                result = shmb__wait(r, &timeout_ns);
                if (result < 0)
                        return result;
                result = r->engine->peek(r, n, &span);
        }
        if (result < 0)
                return result;
        *ret = (struct shmb_span){ span.data, span.n, r->geometry.stride };
        return result;
}

/**
 * shmb_peek_n() - items to read in place
 * @r:          handle, SHMB_CONSUME
 * @n:          how many at most
 * @ret:        contiguous items of one producer, at least one, read-only; they stay until
 *              shmb_release_n()
 * @timeout_ns: to wait for the first
 *
 * Return: how many; -EINVAL for @n 0; else see <shmbroker.h>.
 */
int shmb_peek_n(struct shmb_region *r, uint32_t n, struct shmb_span *ret, int64_t timeout_ns) {
        return peek_slow(r, n, ret, timeout_ns);
}

static int release_slow(struct shmb_region *r, uint32_t n) {
        int result = shmb__enter(r, SHMB_CONSUME);

        if (result == 0)
                result = r->engine->release(r, n);
        if (result == 0)
                result = shmb__wake(r);
        return result;
}

static inline int release(struct shmb_region *r, uint32_t n) {
        if (shmb_unlikely(!shmb__may(r, SHMB__GATE_RING_CONSUMER) || n == 0 ||
                          shmb_ring_release_n(&r->consumer, n) < 0))
                return release_slow(r, n);
        return shmb__wake_producer(r);
}

/**
 * shmb_release_n() - give the first @n items of the span that is held back to the producer
 * @r:          handle, SHMB_CONSUME
 * @n:          how many; the rest is shown again by the next peek
 *
 * Return: 0; -EINVAL (more than are held; the span stays held); -EBADMSG (as everywhere, and: what
 * stood in the span may have turned to zeros); else see <shmbroker.h>.
 */
int shmb_release_n(struct shmb_region *r, uint32_t n) {
        return release(r, n);
}

static int peek_one_slow(struct shmb_region *r, const void **ret_item, int64_t timeout_ns) {
        struct shmb_span span;
        int result = ret_item ? shmb__enter(r, SHMB_CONSUME) : -EINVAL;

        if (result == 0)
                result = r->engine->recv ? -EOPNOTSUPP : peek_slow(r, 1, &span, timeout_ns);
        if (result < 0)
                return result;
        *ret_item = span.data;
        return 0;
}

int shmb_peek(struct shmb_region *r, const void **ret_item, int64_t timeout_ns) {
        const void *item = NULL;

        if (ret_item && shmb__may(r, SHMB__GATE_RING_CONSUMER))
                item = shmb_ring_peek_plain(&r->consumer);
        if (shmb_unlikely(!item))
                return peek_one_slow(r, ret_item, timeout_ns);
        *ret_item = item;
        return 0;
}

int shmb_release(struct shmb_region *r) {
        if (shmb_unlikely(r && r->geometry.kind == SHMB_KIND_STREAM))
                return -EOPNOTSUPP;
        return release(r, 1);
}
