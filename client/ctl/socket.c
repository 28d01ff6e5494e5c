/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The same choice that shmb_connect(NULL) makes, because `push` and `list` must talk to one broker.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/ctl/socket.h"

void socket_path(const char *given, char *buffer, size_t size) {
        const char *named = given ? given : getenv("SHMBROKER_SOCKET");
        const char *runtime = getenv("XDG_RUNTIME_DIR");

        if (named && *named) {
                snprintf(buffer, size, "%s", named);
                return;
        }

        if (runtime && *runtime) {
                snprintf(buffer, size, "%s/%s", runtime, SOCKET_OF_USER);
                if (access(buffer, F_OK) == 0)
                        return;
        }
        snprintf(buffer, size, "%s", SOCKET_SYSTEM);
}
