/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Policy
 *
 * The first rule that fits grants; there are no rules that deny, so their order means nothing. A
 * rule that was not resolved holds DECL_ID_NONE, which is nobody's number and fits nobody.
 */

#include <inttypes.h>
#include <string.h>
#include "daemon/core/policy.h"
#include "daemon/core/text.h"

/* How a unit is written in a rule. */
#define POLICY_UNIT_PREFIX "unit:"

static bool policy_has_gid(const PolicyIdentity *identity, uint32_t gid) {
        size_t low = 0, high = identity->n_gids, middle;

        if (gid == DECL_ID_NONE)
                return false;

        while (low < high) {
                middle = low + (high - low) / 2;
                if (identity->gids[middle] == gid)
                        return true;
                if (identity->gids[middle] < gid)
                        low = middle + 1;
                else
                        high = middle;
        }
        return false;
}

static bool policy_has_unit(const PolicyIdentity *identity, const DeclRule *rule) {
        size_t n_prefix = strlen(POLICY_UNIT_PREFIX);

        return identity->unit && strncmp(rule->text, POLICY_UNIT_PREFIX, n_prefix) == 0 &&
               strcmp(rule->text + n_prefix, identity->unit) == 0;
}

static bool policy_fits(const DeclRule *rule, const PolicyIdentity *identity) {
        switch (rule->type) {
        case DECL_RULE_ANY:
                return true;
        case DECL_RULE_USER:
        case DECL_RULE_UID:
                return identity->uid != DECL_ID_NONE && identity->uid >= rule->uid_first &&
                       identity->uid <= rule->uid_last;
        case DECL_RULE_GROUP:
                return policy_has_gid(identity, rule->gid);
        case DECL_RULE_UNIT:
                return policy_has_unit(identity, rule);
        case DECL_RULE_NONE:
        case _DECL_RULE_N:
                break;
        }
        return false;
}

static int policy_judge(const DeclAccess *access, const PolicyIdentity *identity,
                        const DeclRule **ret_rule) {
        size_t i;

        if (identity->admin) {
                if (ret_rule)
                        *ret_rule = NULL;
                return 0;
        }

        for (i = 0; i < access->n_rules; i++) {
                if (!policy_fits(&access->rules[i], identity))
                        continue;
                if (ret_rule)
                        *ret_rule = &access->rules[i];
                return 0;
        }
        return POLICY_E_DENIED;
}

int policy_check(const Decl *decl, ShmbRole role, const PolicyIdentity *identity,
                 const DeclRule **ret_rule) {
        if (role <= SHMB_ROLE_NONE || role >= _SHMB_ROLE_N)
                return POLICY_E_DENIED;
        return policy_judge(&decl->access[role], identity, ret_rule);
}

int policy_check_right(const Decl *decl, DeclRight right, const PolicyIdentity *identity) {
        return policy_judge(&decl->access[right], identity, NULL);
}

bool policy_any_role(const Decl *decl, const PolicyIdentity *identity) {
        unsigned right;

        for (right = SHMB_ROLE_NONE + 1; right < _DECL_RIGHT_N; right++)
                if (policy_judge(&decl->access[right], identity, NULL) == 0)
                        return true;
        return false;
}

bool policy_needs_unit(const Decl *decl) {
        const DeclAccess *access;
        size_t right, i;

        for (right = 0; right < _DECL_RIGHT_N; right++) {
                access = &decl->access[right];
                for (i = 0; i < access->n_rules; i++)
                        if (access->rules[i].type == DECL_RULE_UNIT)
                                return true;
        }
        return false;
}

static void policy_add_rules(Text *text, const DeclAccess *access) {
        /* Room to say that there are more. */
        size_t n_reserved = strlen(", ..."), i;

        if (text->size - text->n <= n_reserved)
                return;

        text->size -= n_reserved;
        for (i = 0; i < access->n_rules; i++)
                if (!text_add(text, "%s%s", i > 0 ? ", " : "", access->rules[i].text))
                        break;
        text->size += n_reserved;
        if (i < access->n_rules)
                text_add(text, "%s...", i > 0 ? ", " : "");
}

void policy_format_denial(const Decl *decl, unsigned right, const PolicyIdentity *identity,
                          char *buffer, size_t size) {
        Text text = TEXT_INIT(buffer, size);
        const DeclAccess *access;
        const char *name;

        buffer[0] = '\0';
        if (right <= SHMB_ROLE_NONE || right >= _DECL_RIGHT_N) {
                text_add(&text, "no region has a role of number %d", (int)right);
                return;
        }

        name = decl_right_to_string(right);
        access = &decl->access[right];
        text_add(&text, "uid %" PRIu32 " may not %s%s %s: ", identity->uid, name,
                 right < _SHMB_ROLE_N ? " in" : "", decl->name);
        if (access->n_rules == 0) {
                text_add(&text, "nobody may, because its `access:` has no `%s:`", name);
                return;
        }
        if (!policy_any_role(decl, identity)) {
                text_add(&text, "no rule of its `access: %s:` fits; ask who declared it", name);
                return;
        }
        text_add(&text, "no rule of its `access: %s:` fits; they are ", name);
        policy_add_rules(&text, access);
}
