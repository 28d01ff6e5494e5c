/* SPDX-License-Identifier: Apache-2.0 */

/*
 * messages send|receive REGION: message passing, as in the textbook
 *
 * Each line of standard input is sent as a message; each message received is printed as a line, in
 * place and released afterwards, so that none is lost if this program is killed. The region is of
 * kind `stream`. The receiver ends when no sender is left.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <shmbroker.h>

static int send_lines(struct shmb_region *region) {
        char *line = NULL;
        size_t size = 0;
        ssize_t n;
        int r = 0;

        while (r == 0 && (n = getline(&line, &size, stdin)) >= 0) {
                if (n > 0 && line[n - 1] == '\n')
                        n--;
                /* A receiver died: the next one goes on where it was. */
                do
                        r = shmb_send(region, line, (size_t)n, -1);
                while (r == -EOWNERDEAD);
        }
        free(line);
        return r;
}

static int receive_lines(struct shmb_region *region) {
        struct shmb_span message;
        int r;

        for (;;) {
                do
                        r = shmb_peek_n(region, UINT32_MAX, &message, -1);
                while (r == -EOWNERDEAD);
                if (r < 0)
                        return r == -EPIPE ? 0 : r;
                fwrite(message.data, 1, message.n, stdout);
                putchar('\n');
                if (fflush(stdout) != 0)
                        return -EIO;
                r = shmb_release_n(region, message.n);
                if (r < 0)
                        return r;
        }
}

int main(int argc, char **argv) {
        struct shmb_attach want = SHMB_ATTACH_INIT;
        struct shmb_region *region;
        struct shmb *broker;
        int sends, r;

        sends = argc == 3 && strcmp(argv[1], "send") == 0;
        if (!sends && (argc != 3 || strcmp(argv[1], "receive") != 0)) {
                fprintf(stderr, "usage: messages send|receive REGION\n");
                return 2;
        }
        r = shmb_connect(NULL, &broker);
        if (r < 0) {
                fprintf(stderr, "messages: no broker: %s\n", strerror(-r));
                return 1;
        }
        want.kind = SHMB_STREAM;
        want.flags = sends ? 0 : SHMB_NEED_PEER;
        r = shmb_attach(broker, argv[2], sends ? SHMB_PRODUCE : SHMB_CONSUME, &want, &region);
        if (r < 0) {
                fprintf(stderr, "messages: %s\n", shmb_error(broker));
                shmb_close(broker);
                return 1;
        }
        r = sends ? send_lines(region) : receive_lines(region);
        if (r < 0)
                fprintf(stderr, "messages: %s\n", strerror(-r));
        shmb_detach(region);
        shmb_close(broker);
        return r < 0;
}
