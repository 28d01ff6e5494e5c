/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Create and Remove
 *
 * One request each, repeated under its id where the connection breaks. The broker knows by that
 * what it, or the one before it, did for whom: what is repeated has the answer that was lost.
 */

#include <errno.h>
#include <string.h>

#include "client/deadline.h"
#include "client/shmb.h"
#include <shmbroker.h>
#include "protocol/name.h"

static int check_name(struct shmb *c, const char *name) {
        ShmbNameFault fault = shmb_name_check(name, strnlen(name, SHMB_NAME_MAX + 1), NULL);

        if (fault == SHMB_NAME_FINE)
                return 0;
        shmb__say(&c->error, "region name %s", shmb_name_fault_to_string(fault));
        return -EINVAL;
}

/* Under the lock. */
static int create_locked(struct shmb *c, const char *name, const struct shmb_create *want,
                         int64_t deadline) {
        WireMessage request = { .type = WIRE_CREATE }, reply;
        int r;

        r = check_name(c, name);
        if (r < 0)
                return r;
        request.create = (WireCreate){
                .name = name,
                .exclusive = want->flags & SHMB_EXCLUSIVE,
                .kind = want->kind,
                .region_size = want->region_size,
                .capacity = want->capacity,
        };
        r = shmb__call(c, &request, WIRE_CREATED, deadline, &reply, NULL);
        return r < 0 ? r : reply.created.created;
}

/**
 * shmb_create() - create a region of a template, if it is not there
 * @c:          connection
 * @name:       of the region
 * @want:       what; NULL for SHMB_CREATE_INIT
 *
 * It is on the account of this user, and gives no role: shmb_attach() is next. Where the template
 * has no ttl, it lives as long as this connection, or anybody who holds it.
 *
 * Of several that create the same region one gets 1, and with SHMB_EXCLUSIVE the others -EEXIST.
 *
 * Return: 1 (this call created it); 0 (it was there); -EEXIST (SHMB_EXCLUSIVE, and it was there);
 * -ENOENT (no template is for this name); -EACCES (no rule lets this user create it); -EPROTOTYPE
 * (it is there, or would be, and is not what is wanted; shmb_error() names both values); -EINVAL (a
 * size that the template does not permit, or none where one must be chosen; arguments); -E2BIG
 * (arguments); -EDQUOT; -ENOMEM; -EOPNOTSUPP (the broker is older); -ECONNREFUSED, -ETIMEDOUT,
 * -ESHUTDOWN (no broker, no answer); others of shmb_connect(); -EPROTO, -EIO (the broker is
 * broken); -ECHILD.
 */
int shmb_create(struct shmb *c, const char *name, const struct shmb_create *want) {
        struct shmb_create known = SHMB_CREATE_INIT;
        int64_t deadline;
        int r;

        if (!c || !name)
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        r = shmb__take_struct(want, offsetof(struct shmb_create, kind), &known, sizeof(known));
        if (r < 0)
                return r;
        if (known.flags & ~(uint32_t)SHMB_EXCLUSIVE)
                return -EINVAL;

        deadline = shmb__deadline(known.timeout_ns);
        r = shmb__lock(c, deadline + (known.timeout_ns == 0 ? SHMB__SECOND : 0));
        if (r < 0)
                return r;
        r = create_locked(c, name, &known, deadline);
        shmb__unlock(c);
        return r;
}

/**
 * shmb_remove() - remove a region that was created
 * @c:          connection
 * @name:       of the region
 * @timeout_ns: for the broker to answer or come back
 *
 * Its name is free behind this, and nobody gets it any more. Who holds it hears of it by -EIDRM and
 * may take what is left; its memory goes with the last one. Whoever creates it again creates
 * another one.
 *
 * Return: 0; -ENOENT (there is none); -EACCES (no rule lets this user remove it, or it is
 * declared: only the configuration can remove it); -EINVAL; -EOPNOTSUPP, -ECONNREFUSED, -ETIMEDOUT,
 * -ESHUTDOWN, -EPROTO, -EIO, -ECHILD and others as of shmb_create().
 */
int shmb_remove(struct shmb *c, const char *name, int64_t timeout_ns) {
        WireMessage request = { .type = WIRE_REMOVE, .remove = { .name = name } }, reply;
        int64_t deadline = shmb__deadline(timeout_ns);
        int r;

        if (!c || !name)
                return -EINVAL;
        if (!shmb__is_ours(c))
                return -ECHILD;
        r = shmb__lock(c, deadline + (timeout_ns == 0 ? SHMB__SECOND : 0));
        if (r < 0)
                return r;
        r = check_name(c, name);
        if (r == 0)
                r = shmb__call(c, &request, WIRE_OK, deadline, &reply, NULL);
        shmb__unlock(c);
        return r;
}
