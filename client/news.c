/* SPDX-License-Identifier: Apache-2.0 */

/*
 * News
 *
 * The broker writes first the words, then `news`; so `news` is loaded first here, and what is read
 * behind it is at least as new. What changes meanwhile changes `news` again.
 *
 * A replaced lane is drained before its successor is switched to, so an object that was fetched may
 * have to wait; until then no value of `news` counts as heard and every operation comes by here.
 */

#include <errno.h>

#include "client/deadline.h"
#include "client/news.h"

/* Objects of others, of one kind, whose epochs are news to us. */
typedef struct Peers {
        ShmbObjectKind kind;
        const ShmbParty *parties;
        ShmbObject *objects;
        uint32_t n;
        uint32_t own; /* one of them is ours, or UINT32_MAX */
} Peers;

/* First those of the other role, whose deaths are news as well. */
typedef struct PeerSets {
        Peers sets[3];
        uint32_t n;
} PeerSets;

static const ShmbControl *control_of(const struct shmb_region *r) {
        return r->control.memory;
}

static PeerSets peers_of(struct shmb_region *r) {
        bool competes = shmb_geometry_competes(&r->geometry);
        const Peers lanes = { SHMB_OBJECT_LANE, shmb__party(r, SHMB_OBJECT_LANE, 0), r->lanes,
                              r->geometry.n_lanes, UINT32_MAX };
        const Peers seats = { SHMB_OBJECT_SEAT, shmb__party(r, SHMB_OBJECT_SEAT, 0), r->seats,
                              r->geometry.n_seats,
                              r->role == SHMB_CONSUME ? r->index : UINT32_MAX };
        const Peers group = { SHMB_OBJECT_GROUP, shmb__party(r, SHMB_OBJECT_GROUP, 0), &r->group, 1,
                              UINT32_MAX };

        if (r->role == SHMB_PRODUCE)
                return (PeerSets){ { seats, group }, competes ? 2 : 1 };
        if (r->role == SHMB_CONSUME)
                return (PeerSets){ { lanes, seats, group }, competes ? 3 : 1 };
        return (PeerSets){};
}

static void hear_state(struct shmb_region *r) {
        /* relaxed, both: ordered behind news by its acquire */
        uint32_t state = shmb_load_relaxed(&control_of(r)->state);
        uint64_t generation = shmb_load_relaxed(&control_of(r)->generation);

        if (state == SHMB_REGION_REMOVED || state == SHMB_REGION_LOST)
                shmb__region_end(r, EIDRM);
        else if (state == SHMB_REGION_STALE || generation != r->generation ||
                 (state == SHMB_REGION_DRAINING && r->role != SHMB_CONSUME))
                shmb__region_end(r, ESTALE);
}

/* Somebody else's lease on our lane or seat: from now on every word there is his to write. */
static void hear_own(struct shmb_region *r) {
        const ShmbParty *own;

        if (r->role == SHMB_PRODUCE)
                own = shmb__party(r, SHMB_OBJECT_LANE, r->index);
        else if (r->role == SHMB_CONSUME)
                own = shmb__party(r, SHMB_OBJECT_SEAT, r->index);
        else
                return;
        /* relaxed, all: ordered behind news by its acquire */
        if (shmb_load_relaxed(&own->lease) != r->lease ||
            shmb_load_relaxed(&own->occupancy) != SHMB_PARTY_HELD ||
            shmb_load_relaxed(&own->epoch) != shmb__region_epoch(r))
                shmb__region_end(r, ESHUTDOWN);
}

static uint32_t count_deaths(const PeerSets *peers) {
        uint32_t i, n = 0;

        for (i = 0; peers->n > 0 && i < peers->sets[0].n; i++)
                /* relaxed: ordered behind news by its acquire */
                n += shmb_load_relaxed(&peers->sets[0].parties[i].n_deaths);
        return n;
}

static bool is_replaced(const Peers *peers, uint32_t i) {
        /* relaxed: ordered behind news by its acquire */
        return i != peers->own &&
               shmb_load_relaxed(&peers->parties[i].epoch) != peers->objects[i].epoch;
}

/* One round trip; under the connection's lock. */
static int fetch_locked(struct shmb_region *r, const Peers *peers, uint32_t index,
                        int64_t deadline) {
        const ShmbGrant grant = { &r->geometry,   r->backing, r->tag, r->generation,
                                  &r->c->process, &r->lost,   r->keep };
        WireMessage request = { .type = WIRE_FETCH }, reply;
        const WireObject *said = &reply.attached.objects[0];
        ShmbFds fds = {};
        int result;

        request.fetch = (WireFetch){ r->lease, peers->kind, index };
        result = shmb__call(r->c, &request, WIRE_ATTACHED, deadline, &reply, &fds);
        if (result < 0)
                return result;
        /* What may be written comes once more, to be kept. */
        if (reply.attached.n_objects != fds.n || fds.n < 1 ||
            fds.n > 1U + (r->keep && said->writable) || fds.truncated ||
            said->kind != peers->kind || said->index != index ||
            said->writable != (peers->kind == SHMB_OBJECT_GROUP && r->role == SHMB_CONSUME))
                result = -EPROTO;
        else if (said->epoch == peers->objects[index].epoch)
                /* What is in use already: entering it anew would take its items twice. */
                result = -EAGAIN;
        else
                result = shmb__object_map(&grant, said, fds.fds[0], &r->coming);
        if (result == 0 && fds.n > 1)
                shmb__object_keep(&r->coming, fds.fds[1]);
        r->coming_kind = peers->kind;
        r->coming_index = index;
        shmb__fds_close(&fds);
        return result;
}

static int fetch(struct shmb_region *r, const Peers *peers, uint32_t index) {
        int64_t now = shmb__now(), deadline = now + SHMB__REPLY_MIN_NS;
        int result;

        if (now < r->fetch_at)
                return -EAGAIN;
        result = shmb__lock(r->c, deadline);
        if (result == 0) {
                result = fetch_locked(r, peers, index, now);
                shmb__unlock(r->c);
        }
        if (result < 0)
                r->fetch_at = shmb__now() +
                              shmb__backoff(&r->fetch_delay, SHMB__RETRY_MAX_MS * SHMB__MS);
        else
                r->fetch_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
        return result;
}

/* Go on with the object that came, if the old one has nothing left. */
static int switch_to_coming(struct shmb_region *r, const Peers *peers) {
        uint32_t i = r->coming_index;
        const ShmbMapped mapped = { r->coming.memory, r->coming.n_bytes, r->coming.epoch,
                                    &peers->parties[i].epoch };
        int result;

        /* What is kept is offered by whoever reconnects, in another thread maybe. */
        if (r->keep && shmb__lock(r->c, shmb__now()) < 0)
                return -EBUSY;
        result = r->engine->switch_peer(r, peers->kind, i, &mapped);
        if (result == 0) {
                shmb__object_unmap(&peers->objects[i], false);
                peers->objects[i] = r->coming;
                r->coming = (ShmbObject){};
        } else if (result != -EAGAIN && result != -EBUSY) {
                shmb__object_unmap(&r->coming, false);
        }
        if (r->keep)
                shmb__unlock(r->c);
        return result;
}

static bool switch_to_last(struct shmb_region *r, const PeerSets *peers) {
        uint32_t i;

        for (i = 0; r->coming.memory && i < peers->n; i++)
                if (peers->sets[i].kind == r->coming_kind)
                        return switch_to_coming(r, &peers->sets[i]) == 0;
        return true;
}

/*
 * One that cannot be had must not keep the others from us: each attempt starts behind the last one.
 * Objects are numbered through all sets.
 *
 * Return: whether everything that was replaced is in use.
 */
static bool replace_objects(struct shmb_region *r, const PeerSets *peers) {
        const Peers *set = peers->sets;
        uint32_t i, k, n = 0;

        if (!switch_to_last(r, peers))
                return false;
        for (i = 0; i < peers->n; i++)
                n += peers->sets[i].n;
        for (k = 0; k < n; k++) {
                i = (r->fetch_next + k) % n;
                for (set = peers->sets; i >= set->n; set++)
                        i -= set->n;
                if (!is_replaced(set, i))
                        continue;
                if (fetch(r, set, i) < 0 || switch_to_coming(r, set) < 0) {
                        r->fetch_next = (r->fetch_next + k + 1) % n;
                        return false;
                }
        }
        return true;
}

/* The lanes' leases as they stand now, before anything in the lanes was looked at. */
static void hear_holders(struct shmb_region *r) {
        const ShmbParty *lanes = shmb__party(r, SHMB_OBJECT_LANE, 0);
        uint32_t i;

        for (i = 0; r->role == SHMB_CONSUME && i < r->geometry.n_lanes; i++)
                /* relaxed: a later holder changes news behind it */
                r->holders[i] = shmb_load_relaxed(&lanes[i].lease);
}

/* Return: whether each lane is held against the words of its present holder alone. */
static bool trust_holders(struct shmb_region *r) {
        const ShmbParty *lanes = shmb__party(r, SHMB_OBJECT_LANE, 0);
        bool all = true;
        uint64_t lease;
        uint32_t i;

        for (i = 0; r->engine && r->engine->trust && i < r->geometry.n_lanes; i++) {
                /* relaxed: ordered behind news by its acquire */
                lease = shmb_load_relaxed(&lanes[i].lease);
                if (lease == 0 || lease == r->holders[i])
                        continue;
                /* What is not the object any more has no words of any holder. */
                if (shmb__guard_is_lost(r->lanes[i].guard))
                        continue;
                if (r->engine->trust(r, i) < 0)
                        all = false;
                else
                        r->holders[i] = lease;
        }
        return all;
}

int shmb__hear(struct shmb_region *r) {
        /* acquire: what the broker wrote before it changed news; pairs with its release of news in
         * control_announce() */
        uint32_t news = shmb_load_acquire(&control_of(r)->news);
        const PeerSets peers = peers_of(r);
        uint32_t n_deaths;
        bool trusted;

        hear_state(r);
        hear_own(r);
        n_deaths = count_deaths(&peers);
        r->n_unsaid += n_deaths - r->n_deaths;
        r->n_deaths = n_deaths;

        r->news_seen = news;
        r->news_heard = UINT64_MAX;
        /* relaxed: stored by us, or by a thread that reconnects: then a moment later is as good */
        if (shmb_load_relaxed(&r->gate) == SHMB__GATE_SHUT)
                return -(int)shmb_load_relaxed(&r->end);
        if (r->engine && r->engine->hear)
                r->engine->hear(r);
        trusted = trust_holders(r);
        if (replace_objects(r, &peers) && shmb__poll_hear(r) && trusted)
                r->news_heard = news;
        return 0;
}

void shmb__hear_first(struct shmb_region *r) {
        const PeerSets peers = peers_of(r);

        r->n_deaths = count_deaths(&peers);
        hear_holders(r);
        /* Everything else is looked at by the first operation. */
        r->news_heard = UINT64_MAX;
        r->fetch_delay = SHMB__RETRY_MIN_MS * SHMB__MS;
}

bool shmb__peer_lives(const struct shmb_region *r) {
        bool lanes = r->role == SHMB_CONSUME;
        const ShmbParty *parties = shmb__party(r, lanes ? SHMB_OBJECT_LANE : SHMB_OBJECT_SEAT, 0);
        uint32_t i, n = lanes ? r->geometry.n_lanes : r->geometry.n_seats;

        for (i = 0; i < n; i++)
                /* relaxed: a change of it changes news, which wakes us */
                if (shmb_load_relaxed(&parties[i].occupancy) == SHMB_PARTY_HELD)
                        return true;
        return false;
}

void shmb__region_end(struct shmb_region *r, int error) {
        uint32_t none = 0;

        /* relaxed, all: `end` is read by who finds the gate shut or nothing left, at any time */
        atomic_compare_exchange_strong_explicit(&r->end, &none, (uint32_t)error,
                                                memory_order_relaxed, memory_order_relaxed);
        /* What is left may still be taken, unless another one sits on our seat now. */
        if (error == ESHUTDOWN) {
                /* relaxed, both: as above */
                shmb_store_relaxed(&r->end, ESHUTDOWN);
                shmb_store_relaxed(&r->gate, SHMB__GATE_SHUT);
        } else if (r->role == SHMB_PRODUCE) {
                /* relaxed: as above */
                shmb_store_relaxed(&r->gate, SHMB__GATE_SHUT);
        }
}

int shmb__lose(struct shmb_region *r) {
        const PeerSets peers = peers_of(r);
        const Peers *set;
        int result = 0;
        uint32_t i;

        /* relaxed: stored by a handler of this thread, or again by one of another */
        shmb_store_relaxed(&r->lost, 0);
        for (set = peers.sets; set < peers.sets + peers.n; set++)
                for (i = 0; i < set->n; i++)
                        if (shmb__guard_is_lost(set->objects[i].guard) &&
                            r->engine->lose(r, set->kind, i) < 0)
                                result = -EBADMSG;
        return result;
}

uint32_t shmb__region_epoch(const struct shmb_region *r) {
        if (r->role == SHMB_PRODUCE)
                return r->lanes[r->index].epoch;
        if (r->role == SHMB_CONSUME)
                return r->seats[r->index].epoch;
        return 0;
}

/* Not what this handle is for: say whether its role or its kind is the reason. */
static int refuse(const struct shmb_region *r) {
        if (r->geometry.kind == SHMB_KIND_RAW)
                return -EOPNOTSUPP;
        return -EPERM;
}

int shmb__enter_slow(struct shmb_region *r, uint32_t role) {
        uint32_t now;

        if (!r)
                return -EINVAL;
        /* relaxed, all: as in shmb__enter() */
        if (shmb_load_relaxed(r->alive) != r->alive_as)
                return -ECHILD;
        now = shmb_load_relaxed(&r->gate);
        if (now == SHMB__GATE_SHUT)
                return -(int)shmb_load_relaxed(&r->end);
        if (now == SHMB__GATE_LOOK || r->role != role)
                return refuse(r);
        shmb__poll_disarm(r);
        return shmb__hear(r);
}
