/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Users and Groups
 *
 * getpwnam_r(3) and getgrnam_r(3) say "no such name" in many ways, and "the buffer is too small" by
 * ERANGE, after which a larger one is tried, up to a bound.
 */

#include "config/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* One question to the name services. Return: a positive errno, or 0. */
static int ask(bool group, const char *name, char *buffer, size_t size, bool *ret_found,
               uint32_t *ret_id) {
        struct passwd user, *user_found = NULL;
        struct group entry, *group_found = NULL;
        int r;

        if (group) {
                r = getgrnam_r(name, &entry, buffer, size, &group_found);
                if (r == 0 && group_found)
                        *ret_id = entry.gr_gid;
        } else {
                r = getpwnam_r(name, &user, buffer, size, &user_found);
                if (r == 0 && user_found)
                        *ret_id = user.pw_uid;
        }

        *ret_found = user_found || group_found;
        return r;
}

/* getpwnam_r(3), ERRORS: all of these may mean that there is no such name. */
static bool means_unknown(int error) {
        return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static int look_up(bool group, const char *name, uint32_t *ret_id) {
        char *buffer = NULL, *grown;
        bool found = false;
        int r = ERANGE;

        for (size_t size = 4096; r == ERANGE && size <= CONFIG_USERS_ENTRY_MAX; size *= 4) {
                grown = realloc(buffer, size);
                if (!grown) {
                        free(buffer);
                        return -ENOMEM;
                }
                buffer = grown;

                do
                        r = ask(group, name, buffer, size, &found, ret_id);
                while (r == EINTR);
        }

        free(buffer);
        if (r != 0)
                return means_unknown(r) ? DECL_E_UNKNOWN : -r;

        return found ? 0 : DECL_E_UNKNOWN;
}

/* Want of memory only means that the same is asked again. */
static void keep(ConfigUsers *users, bool group, const char *name, int r, uint32_t id) {
        ConfigUser *grown;
        char *copy;

        if (users->n_kept >= CONFIG_USERS_KEPT_MAX || r == -ENOMEM)
                return;

        grown = realloc(users->kept, (users->n_kept + 1) * sizeof(*grown));
        if (!grown)
                return;
        users->kept = grown;

        copy = strdup(name);
        if (!copy)
                return;

        users->kept[users->n_kept++] = (ConfigUser){group, copy, r, id};
}

static int answer(ConfigUsers *users, bool group, const char *name, uint32_t *ret_id) {
        uint32_t id = DECL_ID_NONE;
        int r;

        for (size_t i = 0; i < users->n_kept; i++) {
                const ConfigUser *kept = &users->kept[i];

                if (kept->group != group || strcmp(kept->name, name) != 0)
                        continue;
                if (kept->r == 0)
                        *ret_id = kept->id;
                return kept->r;
        }

        r = look_up(group, name, &id);
        keep(users, group, name, r, id);
        if (r == 0)
                *ret_id = id;
        return r;
}

static int answer_user(void *data, const char *name, uint32_t *ret_uid) {
        return answer(data, false, name, ret_uid);
}

static int answer_group(void *data, const char *name, uint32_t *ret_gid) {
        return answer(data, true, name, ret_gid);
}

DeclLookup config_users_init(ConfigUsers *users) {
        *users = (ConfigUsers){};

        return (DeclLookup){answer_user, answer_group, users};
}

void config_users_deinit(ConfigUsers *users) {
        for (size_t i = 0; i < users->n_kept; i++)
                free(users->kept[i].name);
        free(users->kept);
        *users = (ConfigUsers){};
}
