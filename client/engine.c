/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Engines: which one is whose
 */

#include <stddef.h>

#include "client/engine.h"
#include "client/region.h"

static const ShmbEngine *pick(const struct shmb_region *r, const ShmbEngine *producer,
                              const ShmbEngine *consumer) {
        return r->role == SHMB_PRODUCE ? producer : consumer;
}

const ShmbEngine *shmb__engine_of(const struct shmb_region *r) {
        switch (r->geometry.kind) {
        case SHMB_KIND_RING:
                if (shmb_geometry_competes(&r->geometry))
                        return pick(r, &shmb__engine_group_producer, &shmb__engine_group_member);
                return pick(r, &shmb__engine_ring_producer, &shmb__engine_ring_consumer);
        case SHMB_KIND_QUEUE:
                if (shmb_geometry_competes(&r->geometry))
                        return pick(r, &shmb__engine_queue_group_producer,
                                    &shmb__engine_queue_member);
                return pick(r, &shmb__engine_queue_producer, &shmb__engine_queue_consumer);
        case SHMB_KIND_STREAM:
                if (r->geometry.n_seats == 1)
                        return pick(r, &shmb__engine_stream_producer,
                                    &shmb__engine_stream_consumer);
                return NULL;
        case SHMB_KIND_BROADCAST:
                if (r->geometry.delivery == SHMB_DELIVERY_RELIABLE)
                        return pick(r,
                                    r->geometry.n_seats > SHMB__FEW_SEATS
                                                    ? &shmb__engine_crowd_producer
                                                    : &shmb__engine_reliable_producer,
                                    &shmb__engine_reliable_consumer);
                return pick(r, &shmb__engine_cast_producer, &shmb__engine_cast_consumer);
        case SHMB_KIND_LATEST:
                return pick(r, &shmb__engine_cast_producer, &shmb__engine_cast_consumer);
        case SHMB_KIND_NONE:
        case SHMB_KIND_RAW:
        case _SHMB_KIND_N:
                break;
        }
        return NULL;
}
