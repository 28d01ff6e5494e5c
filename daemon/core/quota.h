/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Quota
 *
 * What one uid may use of the broker, and what all may use together. Who uses something embeds a
 * QuotaCharge in the object that stands for it (a connection, a lease, a region); the charge's
 * deinit gives back exactly what was taken, so nothing can be given back twice or forgotten:
 * quota_deinit() asserts that no charge is left. The idea is src/util/user.c of bus1/dbus-broker.
 *
 * Limits may change while charges are out (reload). Who is above a lower limit keeps what it has
 * and gets no more. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "config/decl.h"

typedef struct Quota Quota;
typedef struct QuotaCharge QuotaCharge;
typedef struct QuotaUser QuotaUser;

/* Charged for what the broker does on its own account, a static region: counts in total only. */
#define QUOTA_UID_BROKER UINT32_MAX

typedef enum QuotaSlot {
        QUOTA_CONNECTIONS,
        QUOTA_LEASES,
        QUOTA_BYTES, /* of regions that were created because this uid attached */
        QUOTA_REGIONS, /* that this uid created of templates */
        _QUOTA_SLOT_N,
} QuotaSlot;

enum {
        _QUOTA_E_SUCCESS,

        QUOTA_E_UID,   /* the uid is at its limit, nothing changed */
        QUOTA_E_TOTAL, /* all together are at the limit, nothing changed */
};

/* Zero is a charge of nothing: deinit accepts it. Must not move while charged. */
struct QuotaCharge {
        Quota *quota;
        uint32_t uid;
        QuotaSlot slot;
        uint64_t amount;
};

struct QuotaUser {
        uint32_t uid;
        uint64_t used[_QUOTA_SLOT_N];
};

struct Quota {
        QuotaUser *users; /* ascending by uid; only those that use something */
        size_t n_users, n_allocated;
        uint64_t used[_QUOTA_SLOT_N];
        uint64_t limit_uid[_QUOTA_SLOT_N];
        uint64_t limit_total[_QUOTA_SLOT_N]; /* UINT64_MAX = none */
};

/** quota_init() - nothing in use */
void quota_init(Quota *quota, const DeclLimits *limits);

/** quota_deinit() - free it; asserts that every charge was given back */
void quota_deinit(Quota *quota);

/** quota_set_limits() - from now on; what is charged stays charged */
void quota_set_limits(Quota *quota, const DeclLimits *limits);

/**
 * quota_charge() - take something
 * @quota:      quota; must outlive the charge
 * @charge:     a zero charge, embedded in what uses it
 * @uid:        on whose account; QUOTA_UID_BROKER for the broker's own
 * @slot:       of what
 * @amount:     how much
 *
 * Return: 0; QUOTA_E_UID, QUOTA_E_TOTAL or -ENOMEM (nothing changed, @charge untouched).
 */
int quota_charge(Quota *quota, QuotaCharge *charge, uint32_t uid, QuotaSlot slot, uint64_t amount);

/** quota_charge_deinit() - give back; idempotent, also for a zero charge */
void quota_charge_deinit(QuotaCharge *charge);

/** quota_used() - what @uid has in use; for display and for the sentence of a refusal */
uint64_t quota_used(const Quota *quota, uint32_t uid, QuotaSlot slot);

/**
 * quota_format_refusal() - one sentence: who is at which limit, and which key of the configuration
 * sets it
 * @quota:      quota
 * @code:       QUOTA_E_UID or QUOTA_E_TOTAL, as quota_charge() returned it
 * @uid:        as charged
 * @slot:       as charged
 * @amount:     as charged
 * @buffer:     where to write; always terminated
 * @size:       its bytes; SHMB_SENTENCE_MAX + 1 fits an error reply
 */
void quota_format_refusal(const Quota *quota, int code, uint32_t uid, QuotaSlot slot,
                          uint64_t amount, char *buffer, size_t size);
