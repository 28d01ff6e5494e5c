/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Quota
 *
 * An array of the uids that use something, ascending: there are as many as there are distinct peers
 * at once, which the limit of descriptors bounds. A uid enters with its first charge and leaves
 * with its last, so nothing grows with the number of uids that ever came.
 *
 * Invariant: used[] of all uids and of the broker's own charges add up to used[] of the quota.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/core/quota.h"
#include "daemon/core/text.h"

enum {
        QUOTA_USERS_FIRST = 8,
};

void quota_init(Quota *quota, const DeclLimits *limits) {
        *quota = (Quota){};
        quota_set_limits(quota, limits);
}

void quota_deinit(Quota *quota) {
        size_t slot;

        for (slot = 0; slot < _QUOTA_SLOT_N; slot++)
                assert(quota->used[slot] == 0);
        assert(quota->n_users == 0);

        free(quota->users);
        *quota = (Quota){};
}

void quota_set_limits(Quota *quota, const DeclLimits *limits) {
        quota->limit_uid[QUOTA_CONNECTIONS] = limits->connections_per_uid;
        quota->limit_uid[QUOTA_LEASES] = limits->leases_per_uid;
        quota->limit_uid[QUOTA_BYTES] = limits->bytes_per_uid;
        quota->limit_uid[QUOTA_REGIONS] = limits->regions_per_uid;
        quota->limit_total[QUOTA_CONNECTIONS] = UINT64_MAX;
        quota->limit_total[QUOTA_LEASES] = UINT64_MAX;
        quota->limit_total[QUOTA_BYTES] = limits->bytes_total;
        quota->limit_total[QUOTA_REGIONS] = UINT64_MAX;
}

/* Where @uid is, or would be. */
static size_t quota_place(const Quota *quota, uint32_t uid) {
        size_t low = 0, high = quota->n_users, middle;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (quota->users[middle].uid < uid)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static QuotaUser *quota_find(const Quota *quota, uint32_t uid) {
        size_t at = quota_place(quota, uid);

        if (at == quota->n_users || quota->users[at].uid != uid)
                return NULL;
        return &quota->users[at];
}

static int quota_enter(Quota *quota, uint32_t uid, QuotaUser **ret_user) {
        size_t at = quota_place(quota, uid), n_allocated;
        QuotaUser *users;

        if (at < quota->n_users && quota->users[at].uid == uid) {
                *ret_user = &quota->users[at];
                return 0;
        }

        if (quota->n_users == quota->n_allocated) {
                n_allocated = quota->n_allocated ? 2 * quota->n_allocated : QUOTA_USERS_FIRST;
                users = realloc(quota->users, n_allocated * sizeof(*users));
                if (!users)
                        return -ENOMEM;
                quota->users = users;
                quota->n_allocated = n_allocated;
        }

        memmove(&quota->users[at + 1], &quota->users[at],
                (quota->n_users - at) * sizeof(*quota->users));
        quota->users[at] = (QuotaUser){ .uid = uid };
        quota->n_users++;
        *ret_user = &quota->users[at];
        return 0;
}

static void quota_leave_if_unused(Quota *quota, QuotaUser *user) {
        size_t slot, at = (size_t)(user - quota->users);

        for (slot = 0; slot < _QUOTA_SLOT_N; slot++)
                if (user->used[slot] > 0)
                        return;

        quota->n_users--;
        memmove(user, user + 1, (quota->n_users - at) * sizeof(*user));
}

/* More than @limit together, without forming a sum that wraps. */
static bool quota_exceeds(uint64_t used, uint64_t amount, uint64_t limit) {
        return used > limit || amount > limit - used;
}

int quota_charge(Quota *quota, QuotaCharge *charge, uint32_t uid, QuotaSlot slot,
                 uint64_t amount) {
        QuotaUser *user;
        int r;

        assert(!charge->quota);

        if (uid != QUOTA_UID_BROKER &&
            quota_exceeds(quota_used(quota, uid, slot), amount, quota->limit_uid[slot]))
                return QUOTA_E_UID;
        if (quota_exceeds(quota->used[slot], amount, quota->limit_total[slot]))
                return QUOTA_E_TOTAL;

        if (uid != QUOTA_UID_BROKER && amount > 0) {
                r = quota_enter(quota, uid, &user);
                if (r < 0)
                        return r;
                user->used[slot] += amount;
        }

        quota->used[slot] += amount;
        *charge = (QuotaCharge){ .quota = quota, .uid = uid, .slot = slot, .amount = amount };
        return 0;
}

void quota_charge_deinit(QuotaCharge *charge) {
        Quota *quota = charge->quota;
        QuotaUser *user;

        if (!quota)
                return;

        if (charge->uid != QUOTA_UID_BROKER && charge->amount > 0) {
                user = quota_find(quota, charge->uid);
                assert(user && user->used[charge->slot] >= charge->amount);
                user->used[charge->slot] -= charge->amount;
                quota_leave_if_unused(quota, user);
        }

        assert(quota->used[charge->slot] >= charge->amount);
        quota->used[charge->slot] -= charge->amount;
        *charge = (QuotaCharge){};
}

uint64_t quota_used(const Quota *quota, uint32_t uid, QuotaSlot slot) {
        const QuotaUser *user = quota_find(quota, uid);

        return user ? user->used[slot] : 0;
}

static const char *quota_slot_to_string(QuotaSlot slot) {
        switch (slot) {
        case QUOTA_CONNECTIONS:
                return "connections";
        case QUOTA_LEASES:
                return "leases";
        case QUOTA_BYTES:
                return "bytes";
        case QUOTA_REGIONS:
                return "regions";
        case _QUOTA_SLOT_N:
                break;
        }
        return "things";
}

void quota_format_refusal(const Quota *quota, int code, uint32_t uid, QuotaSlot slot,
                          uint64_t amount, char *buffer, size_t size) {
        Text text = TEXT_INIT(buffer, size);
        const char *what = quota_slot_to_string(slot);

        buffer[0] = '\0';
        if (code == QUOTA_E_TOTAL)
                text_add(&text, "all regions use %" PRIu64 " of %" PRIu64 " %s, and %" PRIu64
                         " more are asked for: raise `limits: total: %s:` or remove a region",
                         quota->used[slot], quota->limit_total[slot], what, amount, what);
        else
                text_add(&text, "uid %" PRIu32 " uses %" PRIu64 " of %" PRIu64 " %s, and %" PRIu64
                         " more are asked for: give some back, or raise `limits: per_uid: %s:`",
                         uid, quota_used(quota, uid, slot), quota->limit_uid[slot], what, amount,
                         what);
}
