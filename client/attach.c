/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Attach and Detach
 *
 *     ATTACH -> ATTACHED + descriptors -> check, map, close -> MAPPED (no reply)
 *
 * Either all of a grant is held at the end, or nothing: what cannot be used is said to the broker
 * by MAPPED with an errno, which gives the lease up. One refusal is mended: if the words that a
 * predecessor left in our own lane or seat are out of bounds, MAPPED with EBADMSG asks for that
 * object anew, once.
 *
 * Sizes come from the reply and are held against what the caller expects here as well: an item is
 * copied into memory that the caller sized by his own idea of it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/deadline.h"
#include "client/news.h"
#include "client/region.h"
#include "protocol/name.h"

enum {
        BUSY_RETRY_MIN_MS = 1,
        BUSY_RETRY_MAX_MS = 50,
};

/*
 * What the caller wants
 */

static int take_want(const struct shmb_attach *want, struct shmb_attach *ret_want) {
        struct shmb_attach known = SHMB_ATTACH_INIT;
        int r;

        r = shmb__take_struct(want, offsetof(struct shmb_attach, kind), &known, sizeof(known));
        if (r < 0)
                return r;
        if (known.flags & ~(uint32_t)SHMB_NEED_PEER)
                return -EINVAL;
        *ret_want = known;
        return 0;
}

static int check_request(struct shmb *c, const char *name, enum shmb_role role,
                         const struct shmb_attach *want) {
        ShmbNameFault fault;
        size_t n = strnlen(name, SHMB_NAME_MAX + 1);

        fault = shmb_name_check(name, n, NULL);
        if (fault != SHMB_NAME_FINE) {
                shmb__say(&c->error, "region name %s", shmb_name_fault_to_string(fault));
                return -EINVAL;
        }
        if (role < SHMB_PRODUCE || role > SHMB_WRITE) {
                shmb__say(&c->error, "%s: there is no role %d", name, (int)role);
                return -EINVAL;
        }
        if (want->type && strnlen(want->type, SHMB_TYPE_MAX + 1) > SHMB_TYPE_MAX) {
                shmb__say(&c->error, "%s: the expected type is longer than %d bytes", name,
                          SHMB_TYPE_MAX);
                return -EINVAL;
        }
        return 0;
}

/*
 * What the broker grants
 */

static int refuse_grant(struct shmb_region *r, int error, const char *what) {
        shmb__say(&r->c->error, "%s: the broker's grant cannot be used: %s", r->name, what);
        return error;
}

static int take_geometry(struct shmb_region *r, const WireGeometry *said,
                         const struct shmb_attach *want) {
        int result;

        r->geometry = (ShmbGeometry){
                .kind = (ShmbKind)said->kind,
                .n_lanes = said->n_lanes,
                .n_seats = said->n_seats,
                .item_size = said->item_size,
                .item_align = said->item_align,
                .capacity = said->capacity,
                .region_size = said->region_size,
                .segment = said->segment,
                .max_message = said->max_message,
                .delivery = (ShmbDelivery)said->delivery,
        };
        r->backing = said->backing;
        r->overflow = said->overflow;
        if (said->kind >= _SHMB_KIND_N)
                return refuse_grant(r, -EOPNOTSUPP,
                                    "this library does not know regions of its kind");
        result = shmb_geometry_seal(&r->geometry);
        if (result < 0 || r->geometry.stride != said->stride)
                return refuse_grant(r, -EPROTO, "sizes that make no region");

        if ((want->kind && want->kind != said->kind) ||
            (want->item_size && want->item_size != said->item_size) ||
            (want->item_align && want->item_align > said->item_align) ||
            (want->region_size && want->region_size != said->region_size))
                return refuse_grant(r, -EPROTO, "it is not the region that was asked for");
        return 0;
}

static bool role_fits(const struct shmb_region *r) {
        bool raw = r->geometry.kind == SHMB_KIND_RAW;

        switch (r->role) {
        case SHMB_PRODUCE:
                return !raw && r->index < r->geometry.n_lanes;
        case SHMB_CONSUME:
                return !raw && r->index < r->geometry.n_seats;
        case SHMB_READ:
        case SHMB_WRITE:
                return raw;
        default:
                return r->role == SHMB_OBSERVE;
        }
}

/* Where an object belongs, NULL if nowhere. */
static ShmbObject *place_of(struct shmb_region *r, const WireObject *said) {
        switch (said->kind) {
        case SHMB_OBJECT_CONTROL:
                return said->index == 0 ? &r->control : NULL;
        case SHMB_OBJECT_DATA:
                return said->index == 0 ? &r->data : NULL;
        case SHMB_OBJECT_LANE:
                return said->index < r->geometry.n_lanes ? &r->lanes[said->index] : NULL;
        case SHMB_OBJECT_SEAT:
                return said->index < r->geometry.n_seats ? &r->seats[said->index] : NULL;
        case SHMB_OBJECT_GROUP:
                return said->index == 0 ? &r->group : NULL;
        default:
                return NULL;
        }
}

/* What this role writes: one object, and consumers who compete their group. */
static bool is_own(const struct shmb_region *r, const WireObject *said) {
        switch (r->role) {
        case SHMB_PRODUCE:
                return said->kind == SHMB_OBJECT_LANE && said->index == r->index;
        case SHMB_CONSUME:
                return said->kind == SHMB_OBJECT_GROUP ||
                       (said->kind == SHMB_OBJECT_SEAT && said->index == r->index);
        case SHMB_WRITE:
                return said->kind == SHMB_OBJECT_DATA;
        default:
                return false;
        }
}

static int take_object(struct shmb_region *r, const WireObject *said, int fd) {
        const ShmbGrant grant = { &r->geometry,   r->backing, r->tag, r->generation,
                                  &r->c->process, &r->lost,   r->keep };
        ShmbObject *place = place_of(r, said);
        int result;

        if (place && place->memory && place->writable && !said->writable && r->keep) {
                shmb__object_keep(place, fd);
                return 0;
        }
        if (!place || place->memory)
                return refuse_grant(r, -EPROTO, "an object too many");
        if (said->writable != is_own(r, said))
                return refuse_grant(r, -EPROTO, "an object with the wrong rights");
        result = shmb__object_map(&grant, said, fd, place);
        if (result == -EPROTO)
                return refuse_grant(r, result, "a descriptor that is not what it should be");
        if (result == -EPROTONOSUPPORT)
                return refuse_grant(r, result, "memory laid out by another version");
        if (result == -EBADMSG)
                return refuse_grant(r, -EPROTO, "an object with a foreign header");
        if (result == -EOPNOTSUPP)
                return refuse_grant(r, result,
                                    "streams need pages of 4096 bytes, this machine has larger");
        if (result == -ENOBUFS)
                return refuse_grant(r, result,
                                    "this process has too many objects of backing posix mapped: "
                                    "detach from some regions, or declare them as memfd");
        if (result < 0)
                return refuse_grant(r, result, strerrordesc_np(-result));
        return 0;
}

static bool all_mapped(const ShmbObject *objects, uint32_t n) {
        uint32_t i;

        for (i = 0; i < n; i++)
                if (!objects[i].memory)
                        return false;
        return true;
}

/* What the role needs to work at all; an observer takes what it is shown. */
static bool is_complete(const struct shmb_region *r) {
        bool competes = shmb_geometry_competes(&r->geometry);

        if (!r->control.memory)
                return false;
        if (competes && r->role != SHMB_OBSERVE && !r->group.memory)
                return false;
        switch (r->role) {
        case SHMB_PRODUCE:
                return r->lanes[r->index].memory && all_mapped(r->seats, r->geometry.n_seats);
        case SHMB_CONSUME:
                return r->seats[r->index].memory && all_mapped(r->lanes, r->geometry.n_lanes) &&
                       (!competes || all_mapped(r->seats, r->geometry.n_seats));
        case SHMB_READ:
        case SHMB_WRITE:
                return r->data.memory;
        default:
                return true;
        }
}

static int take_objects(struct shmb_region *r, const WireAttached *said, const ShmbFds *fds) {
        uint32_t i;
        int result;

        if (fds->truncated)
                return refuse_grant(r, -EMFILE,
                                    "no room for its descriptors: raise RLIMIT_NOFILE");
        if (fds->n != said->n_objects)
                return refuse_grant(r, -EPROTO, "another number of descriptors than announced");
        for (i = 0; i < fds->n; i++) {
                result = take_object(r, &said->objects[i], fds->fds[i]);
                if (result < 0)
                        return result;
        }
        if (!is_complete(r))
                return refuse_grant(r, -EPROTO, "an object is missing");
        return 0;
}

/*
 * The end of the buffer that works on it
 */

static void tell_mapped(struct shmb_region *r, int error) {
        WireMessage message = { .type = WIRE_MAPPED };

        message.mapped = (WireMapped){ r->lease, (uint32_t)-error };
        shmb__tell(r->c, &message);
}

static void list_mapped(const struct shmb_region *r, const ShmbObject *objects, uint32_t n,
                        uint32_t first_party, ShmbMapped *ret_mapped) {
        const ShmbControl *control = r->control.memory;
        uint32_t i;

        for (i = 0; i < n; i++)
                ret_mapped[i] = (ShmbMapped){ objects[i].memory, objects[i].n_bytes,
                                              objects[i].epoch,
                                              &control->parties[first_party + i].epoch };
}

static int init_end(struct shmb_region *r, ShmbRingResume resume) {
        uint32_t n_lanes = r->geometry.n_lanes, n_seats = r->geometry.n_seats;
        ShmbLane *lane = r->lanes[r->index].memory;
        ShmbSeat *seat = r->seats[r->index].memory;
        bool produces = r->role == SHMB_PRODUCE;
        ShmbMappedSet mapped;
        int result;

        list_mapped(r, r->lanes, n_lanes, 0, mapped.lanes);
        list_mapped(r, r->seats, n_seats, n_lanes, mapped.seats);
        list_mapped(r, &r->group, 1, n_lanes + n_seats, &mapped.group);
        result = r->engine->init(r, &mapped, resume);
        if (result < 0)
                return result;
        r->counters = produces ? &lane->counters : &seat->counters;
        shmb_sleeper_init(&r->sleeper, produces ? &lane->sleep : &seat->sleep, !r->registered);
        return 0;
}

/* Our own object again, in its next epoch. */
static int renew_own(struct shmb_region *r, int64_t deadline) {
        WireMessage request = { .type = WIRE_MAPPED }, reply;
        ShmbObject *own = r->role == SHMB_PRODUCE ? &r->lanes[r->index] : &r->seats[r->index];
        ShmbFds fds = {};
        int result;

        shmb__object_unmap(own, false);
        request.mapped = (WireMapped){ r->lease, EBADMSG };
        result = shmb__call(r->c, &request, WIRE_ATTACHED, deadline, &reply, &fds);
        if (result == 0 && reply.attached.lease != r->lease)
                result = refuse_grant(r, -EPROTO, "another lease than the one held");
        if (result == 0)
                result = take_objects(r, &reply.attached, &fds);
        shmb__fds_close(&fds);
        return result;
}

static int open_gate(struct shmb_region *r, int64_t deadline) {
        ShmbGate gate = SHMB__GATE_LOOK;
        int result = 0;

        if (r->role == SHMB_PRODUCE || r->role == SHMB_CONSUME) {
                r->engine = shmb__engine_of(r);
                if (!r->engine)
                        return refuse_grant(r, -EOPNOTSUPP,
                                            "this library does not know regions of its kind");
                result = init_end(r, SHMB_RING_STRICT);
                if (result == -EBADMSG) {
                        result = renew_own(r, deadline);
                        if (result == 0)
                                result = init_end(r, SHMB_RING_RESYNC);
                }
                if (result < 0)
                        return result;
                gate = r->engine->gate;
        }
        /* relaxed: nobody else knows this handle yet */
        shmb_store_relaxed(&r->gate, gate);
        return result;
}

/*
 * Attach
 */

static int take_grant(struct shmb_region *r, const WireAttached *said, const ShmbFds *fds,
                      const struct shmb_attach *want) {
        int result;

        r->lease = said->lease;
        r->generation = said->generation;
        r->tag = said->tag;
        r->index = said->index;
        r->keep = said->keep;
        memcpy(r->type, said->type, strlen(said->type) + 1);

        result = take_geometry(r, &said->geometry, want);
        if (result < 0)
                return result;
        if (said->role != r->role || !role_fits(r))
                return refuse_grant(r, -EPROTO, "it is not for the role that was asked for");
        if (want->type && strcmp(want->type, r->type) != 0)
                return refuse_grant(r, -EPROTO, "its items are of another type");
        return take_objects(r, said, fds);
}

static void watch_control(struct shmb_region *r, const ShmbProcess *process) {
        const ShmbControl *control = r->control.memory;

        r->alive = process->alive;
        r->alive_as = process->generation;
        r->registered = process->registered;
        r->n_seats = r->geometry.n_seats;
        r->news = &control->news;
        r->spin_ns = -1;
        shmb__hear_first(r);
}

static void unmap_all(struct shmb_region *r, bool inherited) {
        uint32_t i;

        for (i = 0; i < SHMB_LANES_MAX; i++)
                shmb__object_unmap(&r->lanes[i], inherited);
        for (i = 0; i < SHMB_SEATS_MAX; i++)
                shmb__object_unmap(&r->seats[i], inherited);
        shmb__object_unmap(&r->group, inherited);
        shmb__object_unmap(&r->data, inherited);
        shmb__object_unmap(&r->coming, inherited);
        shmb__object_unmap(&r->control, inherited);
}

/* It may have been heard, and what came of it is written down for the next broker. */
static int not_answered(struct shmb *c, int result) {
        c->owes |= result == -ETIMEDOUT || result == -ECONNREFUSED;
        return result;
}

/* One request; under the lock. */
static int attach_locked(struct shmb_region *r, const struct shmb_attach *want,
                         int64_t deadline) {
        WireMessage request = { .type = WIRE_ATTACH }, reply;
        ShmbFds fds = {};
        int result;

        request.attach = (WireAttach){ r->name, r->role, want->kind, want->item_size,
                                       want->item_align, want->type, want->region_size,
                                       .keeps = true };
        result = shmb__call(r->c, &request, WIRE_ATTACHED, deadline, &reply, &fds);
        if (result < 0)
                return not_answered(r->c, result);

        r->c->last_lease = reply.attached.lease;
        result = take_grant(r, &reply.attached, &fds, want);
        shmb__fds_close(&fds);
        if (result == 0) {
                watch_control(r, &r->c->process);
                result = open_gate(r, deadline);
        }
        /* Of the roles that write nothing the broker has nothing to await. */
        if (result < 0 || r->role == SHMB_PRODUCE || r->role == SHMB_CONSUME)
                tell_mapped(r, result);
        if (result < 0) {
                unmap_all(r, false);
                return result;
        }
        r->next = r->c->regions;
        r->c->regions = r;
        shmb__ref(r->c);
        return 0;
}

static int attach_patiently(struct shmb_region *r, const struct shmb_attach *want) {
        int64_t deadline = shmb__deadline(want->timeout_ns), delay = BUSY_RETRY_MIN_MS * SHMB__MS;
        int64_t next;
        int result;

        for (;;) {
                result = shmb__lock(r->c, deadline + (want->timeout_ns == 0 ? SHMB__SECOND : 0));
                if (result < 0)
                        return result;
                result = attach_locked(r, want, deadline);
                shmb__unlock(r->c);
                if (result != -EBUSY)
                        return result;
                next = shmb__now() + shmb__backoff(&delay, BUSY_RETRY_MAX_MS * SHMB__MS);
                if (next >= deadline)
                        return result;
                shmb__sleep_until(next);
        }
}

/**
 * shmb_attach() - take a role in a region
 * @c:          connection
 * @name:       of the region
 * @role:       as what
 * @want:       how, and what is expected; NULL for SHMB_ATTACH_INIT
 * @ret:        handle, for shmb_detach()
 *
 * With a time-out, waits for a lane or seat that is held (-EBUSY otherwise), for a broker that is
 * being restarted, and for its answer. Time-out 0 asks once; the answer to what was asked is
 * awaited for up to a second.
 *
 * Return: 0; -ENOENT (no such region, or not for our eyes); -EACCES; -EPROTOTYPE (not what is
 * expected; shmb_error() names both values); -EBUSY; -EDQUOT; -ENOMEM; -EIDRM, -ENODATA (region on
 * its way out); -ECONNREFUSED, -ETIMEDOUT, -ESHUTDOWN (no broker, no answer); -EMFILE; -ENOBUFS
 * (more objects of backing posix than are guarded at a time); -EINVAL, -E2BIG (arguments);
 * -EOPNOTSUPP, -EPROTONOSUPPORT (newer than this library); -EBADMSG (a peer's words are out of
 * bounds); -EPROTO, -EIO (the broker is broken); -ECHILD.
 */
int shmb_attach(struct shmb *c, const char *name, enum shmb_role role,
                const struct shmb_attach *want, struct shmb_region **ret) {
        struct shmb_attach known;
        struct shmb_region *r;
        int result;

        if (!c || !name || !ret)
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        result = take_want(want, &known);
        if (result == 0)
                result = check_request(c, name, role, &known);
        if (result < 0)
                return result;

        r = aligned_alloc(SHMB_LINE, (sizeof(*r) + SHMB_LINE - 1) / SHMB_LINE * SHMB_LINE);
        if (!r)
                return -ENOMEM;
        memset(r, 0, sizeof(*r));
        r->c = c;
        r->role = role;
        r->flags = known.flags;
        memcpy(r->name, name, strlen(name) + 1);

        result = attach_patiently(r, &known);
        if (result < 0) {
                free(r->cast.copies);
                free(r);
                return result;
        }
        *ret = r;
        return 0;
}

/*
 * Detach
 */

static void forget(struct shmb_region *r) {
        struct shmb_region **at;

        for (at = &r->c->regions; *at; at = &(*at)->next) {
                if (*at == r) {
                        *at = r->next;
                        return;
                }
        }
}

static void detach_ours(struct shmb_region *r) {
        WireMessage request = { .type = WIRE_DETACH }, reply;

        shmb__lock(r->c, SHMB__NEVER);
        /* Nobody who reconnects shall resume it from here on. */
        forget(r);
        /* relaxed: we hold the lock, under which another thread would have stored it */
        if (r->engine && r->engine->leave && shmb_load_relaxed(&r->end) != ESHUTDOWN)
                r->engine->leave(r);
        /* Before the broker hears of it: whoever gets our lane or seat next wants it proven that
         * nobody else writes there. */
        unmap_all(r, false);
        shmb__poll_free(r);
        /* Also where the handle ended without it: that may be the word of a peer. */
        request.detach.lease = r->lease;
        (void)not_answered(r->c, shmb__call(r->c, &request, WIRE_OK,
                                            shmb__now() + SHMB__DETACH_NS, &reply, NULL));
        shmb__unlock(r->c);
}

/**
 * shmb_detach() - give a role up
 * @r:          handle, or NULL
 *
 * What was claimed and not committed is never seen; what was peeked and not released comes to the
 * successor. Tells the broker, and waits for its word, so that the next one finds the place free;
 * if it is away, for a moment only: then it hears of it when the connection is back.
 *
 * Return: NULL.
 */
struct shmb_region *shmb_detach(struct shmb_region *r) {
        struct shmb *c;

        if (!r)
                return NULL;
        c = r->c;
        if (shmb__is_ours(c))
                detach_ours(r);
        else
                unmap_all(r, true);
        shmb__poll_free(r);
        free(r->cast.copies);
        free(r);
        shmb__unref(c);
        return NULL;
}
