/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an attach costs, against the least that it could cost
 *
 * The floor is a server in C that does nothing else: for each request on a kept SOCK_SEQPACKET
 * connection it sends back N descriptors of one page each. A round of the floor is: request, reply,
 * and for each descriptor mmap, touch, munmap, close; N is 1, and then 2, which is what the broker
 * sends for a raw region (control and data). A round of the broker is shmb_attach, touch,
 * shmb_detach. All run in short blocks, A B A B, on the one processor that everything is pinned to,
 * so that what the machine does meanwhile hits all; figures are medians over blocks, ratios are
 * taken pair by pair.
 *
 * usage: attach SOCKET REGION [--json]     (REGION: raw, readable by the caller)
 */

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmbroker.h>

enum {
        N_BLOCKS = 200,
        N_ROUNDS = 40, /* a block takes about a millisecond */
        N_WARM = 20,
        N_BYTES = 4096,
        N_REQUEST = 64, /* bytes; about what an attach request takes */
        N_FDS_MAX = 2,
};

/* One block's figures in nanoseconds a round. */
typedef struct Block {
        double attach; /* until the first byte was read */
        double round;  /* until all was given back */
} Block;

static _Noreturn void die(const char *what) {
        fprintf(stderr, "attach: %s: %s\n", what, strerror(errno));
        exit(1);
}

static double now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* What travels with a reply. */
typedef union Rights {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(N_FDS_MAX * sizeof(int))];
} Rights;

static void send_fds(int socket_fd, const int *fds, int n_fds) {
        size_t n_bytes = (size_t)n_fds * sizeof(*fds);
        Rights rights = {};
        char reply[N_REQUEST] = {};
        struct iovec vector = { reply, sizeof(reply) };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = &rights,
                .msg_controllen = CMSG_SPACE(n_bytes),
        };

        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(n_bytes);
        memcpy(CMSG_DATA(&rights.header), fds, n_bytes);
        if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0)
                die("floor: sendmsg");
}

static void receive_fds(int socket_fd, int *ret_fds, int n_fds) {
        size_t n_bytes = (size_t)n_fds * sizeof(*ret_fds);
        Rights rights = {};
        char reply[N_REQUEST];
        struct iovec vector = { reply, sizeof(reply) };
        struct msghdr message = {
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = &rights,
                .msg_controllen = sizeof(rights),
        };

        if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) != N_REQUEST ||
            rights.header.cmsg_len != CMSG_LEN(n_bytes))
                die("floor: recvmsg");
        memcpy(ret_fds, CMSG_DATA(&rights.header), n_bytes);
}

/* The first byte of a request says how many descriptors are wanted. */
static _Noreturn void floor_serve(int socket_fd) {
        char request[N_REQUEST];
        int fds[N_FDS_MAX];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < N_FDS_MAX; ++i) {
                fds[i] = memfd_create("floor", MFD_CLOEXEC);
                if (fds[i] < 0 || ftruncate(fds[i], N_BYTES) < 0)
                        die("floor: memfd");
        }
        while (recv(socket_fd, request, sizeof(request), 0) == N_REQUEST)
                send_fds(socket_fd, fds, request[0]);
        _exit(0);
}

static int floor_start(pid_t *ret_pid) {
        int fds[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                die("socketpair");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                close(fds[0]);
                floor_serve(fds[1]);
        }
        close(fds[1]);
        *ret_pid = pid;
        return fds[0];
}

static Block floor_block(int socket_fd, int n_fds) {
        char request[N_REQUEST] = { (char)n_fds };
        _Atomic uint8_t *data[N_FDS_MAX];
        double start, attached = 0, round = 0;
        int fds[N_FDS_MAX];

        for (int i = 0; i < N_ROUNDS; ++i) {
                start = now_ns();
                if (send(socket_fd, request, sizeof(request), MSG_NOSIGNAL) < 0)
                        die("floor: send");
                receive_fds(socket_fd, fds, n_fds);
                for (int k = 0; k < n_fds; ++k) {
                        data[k] = mmap(NULL, N_BYTES, PROT_READ, MAP_SHARED, fds[k], 0);
                        if (data[k] == MAP_FAILED)
                                die("floor: mmap");
                        (void)data[k][0];
                        close(fds[k]);
                }
                attached += now_ns() - start;
                for (int k = 0; k < n_fds; ++k)
                        munmap((void *)data[k], N_BYTES);
                round += now_ns() - start;
        }
        return (Block){ attached / N_ROUNDS, round / N_ROUNDS };
}

static Block broker_block(struct shmb *broker, const char *name) {
        struct shmb_region *region;
        double start, attached = 0, round = 0;
        int r;

        for (int i = 0; i < N_ROUNDS; ++i) {
                start = now_ns();
                r = shmb_attach(broker, name, SHMB_READ, NULL, &region);
                if (r < 0) {
                        fprintf(stderr, "attach: %s: %s\n", name, shmb_error(broker));
                        exit(1);
                }
                (void)*(_Atomic uint8_t *)shmb_data(region);
                attached += now_ns() - start;
                shmb_detach(region);
                round += now_ns() - start;
        }
        return (Block){ attached / N_ROUNDS, round / N_ROUNDS };
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* The value below which @share of @n values lie; sorts them. */
static double quantile(double *values, int n, double share) {
        qsort(values, n, sizeof(*values), compare);
        return values[(int)(share * (n - 1))];
}

static void report(const char *what, double *floor_ns, double *broker_ns, bool json) {
        double ratios[N_BLOCKS];

        for (int i = 0; i < N_BLOCKS; ++i)
                ratios[i] = broker_ns[i] / floor_ns[i];
        printf(json ? "{\"what\":\"%s\",\"floor_us\":%.2f,\"broker_us\":%.2f,\"ratio\":%.3f,"
                      "\"ratio_p25\":%.3f,\"ratio_p75\":%.3f}\n"
                    : "%-18s floor %6.2f us   broker %6.2f us   ratio %.2f  (p25 %.2f, p75 %.2f)\n",
               what, quantile(floor_ns, N_BLOCKS, 0.5) / 1e3,
               quantile(broker_ns, N_BLOCKS, 0.5) / 1e3, quantile(ratios, N_BLOCKS, 0.5),
               quantile(ratios, N_BLOCKS, 0.25), quantile(ratios, N_BLOCKS, 0.75));
}

static void measure(struct shmb *broker, const char *name, int floor_fd, int n_fds, bool json) {
        static double floor_attach[N_BLOCKS], floor_round[N_BLOCKS];
        static double broker_attach[N_BLOCKS], broker_round[N_BLOCKS];
        char what[32];
        Block block;

        for (int i = -N_WARM; i < N_BLOCKS; ++i) {
                block = floor_block(floor_fd, n_fds);
                if (i >= 0) {
                        floor_attach[i] = block.attach;
                        floor_round[i] = block.round;
                }
                block = broker_block(broker, name);
                if (i >= 0) {
                        broker_attach[i] = block.attach;
                        broker_round[i] = block.round;
                }
        }
        snprintf(what, sizeof(what), "attach, floor of %d", n_fds);
        report(what, floor_attach, broker_attach, json);
        snprintf(what, sizeof(what), "round, floor of %d", n_fds);
        report(what, floor_round, broker_round, json);
}

int main(int argc, char **argv) {
        bool json = argc == 4 && strcmp(argv[3], "--json") == 0;
        struct shmb *broker;
        int floor_fd, r;
        pid_t pid;

        if (argc != 3 && !json) {
                fprintf(stderr, "usage: %s SOCKET REGION [--json]\n", argv[0]);
                return 2;
        }
        floor_fd = floor_start(&pid);
        r = shmb_connect(argv[1], &broker);
        if (r < 0) {
                fprintf(stderr, "attach: %s: %s\n", argv[1], strerror(-r));
                return 1;
        }
        for (int n_fds = 1; n_fds <= N_FDS_MAX; ++n_fds)
                measure(broker, argv[2], floor_fd, n_fds, json);
        shmb_close(broker);
        close(floor_fd);
        waitpid(pid, NULL, 0);
        return 0;
}
