/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages: send and receive
 *
 * No system call but to wait and to wake, as in client/ops.c.
 */

#include <errno.h>

#include "client/region.h"
#include "client/wait.h"

/* No room. Return: 0 if the message is dealt with, or what shmb__wait() says. */
static int send_wait(struct shmb_region *r, const void *data, size_t n_bytes, int64_t timeout_ns) {
        int result;

        for (;;) {
                result = r->engine->send(r, data, n_bytes, SHMB_RING_EXACT);
                if (result != -EAGAIN)
                        return result;
                result = shmb__wait_room(r, 1, &timeout_ns);
                if (result != 0)
                        return result < 0 ? result : 0;
        }
}

/**
 * shmb_send() - copy a message in
 * @r:          handle, SHMB_PRODUCE, of a stream
 * @data:       @n_bytes bytes
 * @n_bytes:    0 to max_message
 * @timeout_ns: to wait for room; a region with `overflow: fail` never waits, one with drop_newest
 *              throws the message away instead and counts it
 *
 * Return: 0; -EMSGSIZE (longer than max_message); -EBUSY (a claimed span is held); else see
 * <shmbroker.h>.
 */
int shmb_send(struct shmb_region *r, const void *data, size_t n_bytes, int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_PRODUCE);

        if (result < 0)
                return result;
        if (!r->engine->send)
                return -EOPNOTSUPP;
        result = r->engine->send(r, data, n_bytes, SHMB_RING_LAZY);
        if (result == -EAGAIN)
                result = send_wait(r, data, n_bytes, timeout_ns);
        if (result == 0)
                shmb__wake(r);
        return result;
}

/**
 * shmb_recv() - copy the next message out, and release it
 * @r:           handle, SHMB_CONSUME, of a stream
 * @data:        room for @n_bytes_max bytes; untouched on failure, but for -EBADMSG
 * @n_bytes_max: a longer message is kept, and shown whole by shmb_peek_n(r, UINT32_MAX, ...)
 * @timeout_ns:  to wait for one
 *
 * Return: its length, which may be 0; -EMSGSIZE (it is longer); -EBUSY (a peeked message is held);
 * else see <shmbroker.h>.
 */
ssize_t shmb_recv(struct shmb_region *r, void *data, size_t n_bytes_max, int64_t timeout_ns) {
        int result = shmb__enter(r, SHMB_CONSUME);

        if (result < 0)
                return result;
        if (!r->engine->recv)
                return -EOPNOTSUPP;
        result = r->engine->recv(r, data, n_bytes_max);
        while (result == -EAGAIN) {
                result = shmb__wait(r, &timeout_ns);
                if (result < 0)
                        return result;
                result = r->engine->recv(r, data, n_bytes_max);
        }
        if (result >= 0 && shmb__wake(r) < 0)
                return -EBADMSG;
        return result;
}
