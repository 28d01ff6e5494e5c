/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A Broker That Does What the Test Says
 *
 * One thread serves every connection; the lock guards objects and connections against the test's
 * own hand. Assertions of cmocka work in the test's thread only, so the server counts and the test
 * looks.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/fake-broker.h"

int fake_memfd(uint64_t n_bytes, bool seal) {
        int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)n_bytes), 0);
        if (seal)
                assert_int_equal(
                        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        return fd;
}

static int reopen(int fd, int flags) {
        char path[64];

        sprintf(path, "/proc/self/fd/%d", fd);
        return open(path, flags | O_CLOEXEC);
}

static void make_object(FakeBroker *fake, FakeObject *object, ShmbObjectKind kind, uint32_t index,
                        uint32_t epoch) {
        uint64_t n_bytes = shmb_geometry_object_size(&fake->geometry, kind);

        object->said = (WireObject){ kind, index, epoch, false, n_bytes };
        object->rw = fake_memfd(n_bytes, true);
        object->ro = reopen(object->rw, O_RDONLY);
        object->memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, object->rw, 0);
        assert_true(object->ro >= 0 && object->memory != MAP_FAILED);
        if (kind != SHMB_OBJECT_DATA)
                shmb_header_init(object->memory, &fake->geometry, kind, index, epoch, fake->tag,
                                 fake->generation);
}

static void drop_object(FakeObject *object) {
        munmap(object->memory, object->said.size_bytes);
        close(object->rw);
        close(object->ro);
}

FakeObject *fake_object(FakeBroker *fake, ShmbObjectKind kind, uint32_t index) {
        size_t i;

        for (i = 0; i < fake->n_objects; i++)
                if (fake->objects[i].said.kind == kind && fake->objects[i].said.index == index)
                        return &fake->objects[i];
        return NULL;
}

ShmbControl *fake_control(FakeBroker *fake) {
        return fake->objects[0].memory;
}

ShmbParty *fake_party(FakeBroker *fake, ShmbObjectKind kind, uint32_t index) {
        return &fake_control(fake)->parties[index + (kind == SHMB_OBJECT_SEAT
                                                             ? fake->geometry.n_lanes : 0)];
}

void fake_announce(FakeBroker *fake) {
        ShmbControl *control = fake_control(fake);

        atomic_fetch_add(&control->news, 1);
        syscall(SYS_futex, &control->news, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void fake_set_state(FakeBroker *fake, ShmbRegionState state) {
        atomic_store(&fake_control(fake)->state, state);
        fake_announce(fake);
}

void fake_kill_party(FakeBroker *fake, ShmbObjectKind kind, uint32_t index) {
        ShmbParty *party = fake_party(fake, kind, index);

        atomic_store(&party->occupancy, SHMB_PARTY_UNPROVEN);
        atomic_store(&party->lease, 0);
        atomic_fetch_add(&party->n_deaths, 1);
        fake_announce(fake);
}

void fake_vacate(FakeBroker *fake) {
        uint32_t i, n = fake->geometry.n_lanes + fake->geometry.n_seats;

        pthread_mutex_lock(&fake->lock);
        for (i = 0; i < n; i++) {
                atomic_store(&fake_control(fake)->parties[i].occupancy, SHMB_PARTY_VACANT);
                atomic_store(&fake_control(fake)->parties[i].lease, 0);
        }
        pthread_mutex_unlock(&fake->lock);
}

void fake_replace(FakeBroker *fake, ShmbObjectKind kind, uint32_t index) {
        FakeObject *object = fake_object(fake, kind, index);

        pthread_mutex_lock(&fake->lock);
        drop_object(object);
        make_object(fake, object, kind, index, object->said.epoch + 1);
        pthread_mutex_unlock(&fake->lock);
        atomic_store(&fake_party(fake, kind, index)->epoch, object->said.epoch);
        fake_announce(fake);
}

/*
 * Answers
 */

void fake_add_object(FakeAnswer *a, const FakeObject *object, bool writable) {
        WireAttached *said = &a->message.attached;

        said->objects[said->n_objects] = object->said;
        said->objects[said->n_objects++].writable = writable;
        a->fds[a->n_fds++] = writable ? object->rw : object->ro;
}

static bool is_own(const FakeObject *object, uint32_t role, uint32_t index) {
        if (role == SHMB_ROLE_WRITE)
                return object->said.kind == SHMB_OBJECT_DATA;
        if (object->said.index != index)
                return false;
        return object->said.kind == (role == SHMB_ROLE_PRODUCE   ? SHMB_OBJECT_LANE
                                     : role == SHMB_ROLE_CONSUME ? SHMB_OBJECT_SEAT
                                                                 : SHMB_OBJECT_NONE);
}

static void start_attached(FakeBroker *fake, FakeAnswer *a, uint64_t lease) {
        const ShmbGeometry *g = &fake->geometry;
        WireAttached *said = &a->message.attached;

        a->message.type = WIRE_ATTACHED;
        said->lease = lease;
        said->generation = fake->generation;
        said->tag = fake->tag;
        said->type = "item/1";
        said->geometry = (WireGeometry){ .kind = g->kind,
                                             .max_message = g->max_message,
                                         .backing = fake->backing,
                                         .overflow = fake->overflow,
                                         .n_lanes = g->n_lanes,
                                         .n_seats = g->n_seats,
                                         .item_size = g->item_size,
                                         .item_align = g->item_align,
                                         .stride = g->stride,
                                         .capacity = g->capacity,
                                         .region_size = g->region_size };
}

static void refuse(FakeAnswer *a, ShmbStatus status, const char *sentence) {
        a->message.type = WIRE_ERROR;
        a->message.error = (WireError){ status, sentence };
}

static void answer_attach(FakeBroker *fake, const WireAttach *asked, FakeAnswer *a) {
        ShmbObjectKind kind = asked->role == SHMB_ROLE_PRODUCE ? SHMB_OBJECT_LANE
                                                               : SHMB_OBJECT_SEAT;
        uint32_t n = kind == SHMB_OBJECT_LANE ? fake->geometry.n_lanes : fake->geometry.n_seats;
        bool party = asked->role == SHMB_ROLE_PRODUCE || asked->role == SHMB_ROLE_CONSUME;
        uint32_t index = 0;
        size_t i;

        if (fake->attach_status)
                return refuse(a, fake->attach_status, "item size is 8 here, 16 was expected");
        while (party && index < n &&
               atomic_load(&fake_party(fake, kind, index)->occupancy) == SHMB_PARTY_HELD)
                index++;
        if (party && index == n)
                return refuse(a, SHMB_STATUS_BUSY, "every lane is held");

        start_attached(fake, a, ++fake->last_lease);
        a->message.attached.role = asked->role;
        a->message.attached.index = index;
        if (party) {
                atomic_store(&fake_party(fake, kind, index)->occupancy, SHMB_PARTY_HELD);
                atomic_store(&fake_party(fake, kind, index)->lease, fake->last_lease);
                fake_announce(fake);
        }
        for (i = 0; i < fake->n_objects; i++)
                fake_add_object(a, &fake->objects[i],
                                is_own(&fake->objects[i], asked->role, index));
}

static void end_lease(FakeBroker *fake, uint64_t lease) {
        uint32_t i, n = fake->geometry.n_lanes + fake->geometry.n_seats;
        ShmbControl *control = fake_control(fake);

        for (i = 0; i < n; i++) {
                if (atomic_load(&control->parties[i].lease) != lease)
                        continue;
                atomic_store(&control->parties[i].occupancy, SHMB_PARTY_VACANT);
                atomic_store(&control->parties[i].lease, 0);
                fake_announce(fake);
        }
}

/* A fresh epoch of what the client writes. */
static void answer_renew(FakeBroker *fake, uint64_t lease, FakeAnswer *a) {
        ShmbControl *control = fake_control(fake);
        uint32_t i = 0, n_lanes = fake->geometry.n_lanes;
        ShmbObjectKind kind;
        FakeObject *object;

        while (atomic_load(&control->parties[i].lease) != lease)
                i++;
        kind = i < n_lanes ? SHMB_OBJECT_LANE : SHMB_OBJECT_SEAT;
        object = fake_object(fake, kind, i < n_lanes ? i : i - n_lanes);
        drop_object(object);
        make_object(fake, object, kind, object->said.index, object->said.epoch + 1);
        atomic_store(&control->parties[i].epoch, object->said.epoch);
        fake_announce(fake);
        start_attached(fake, a, lease);
        fake_add_object(a, object, true);
}

static void answer_mapped(FakeBroker *fake, const WireMessage *asked, FakeAnswer *a) {
        fake->mapped_id = asked->id;
        fake->mapped_status = asked->mapped.status;
        if (asked->mapped.status == EBADMSG && asked->id != 0)
                answer_renew(fake, asked->mapped.lease, a);
        else if (asked->mapped.status != 0)
                end_lease(fake, asked->mapped.lease);
}

static void answer_resume(FakeBroker *fake, FakeAnswer *a) {
        a->message.type = WIRE_RESUMED;
        a->message.resumed.verdict = fake->resume_verdict;
        if (fake->resume_verdict == WIRE_VERDICT_NONE)
                refuse(a, SHMB_STATUS_NO_LEASE, "no such lease");
}

static void answer_fetch(FakeBroker *fake, const WireFetch *asked, FakeAnswer *a) {
        start_attached(fake, a, asked->lease);
        fake_add_object(a, fake_object(fake, (ShmbObjectKind)asked->kind, asked->index), false);
}

static void answer_create(FakeBroker *fake, const WireMessage *asked, FakeAnswer *a) {
        bool repeated = fake->there && fake->create_id == asked->id;

        fake->create = asked->create;
        fake->create.name = NULL;
        if (fake->there && !repeated && asked->create.exclusive) {
                refuse(a, SHMB_STATUS_EXISTS, "it is there already");
                return;
        }
        a->message.type = WIRE_CREATED;
        a->message.created.created = !fake->there || repeated;
        if (!fake->there)
                fake->create_id = asked->id;
        fake->there = true;
}

static void answer_remove(FakeBroker *fake, const WireMessage *asked, FakeAnswer *a) {
        a->message.type = WIRE_OK;
        if (fake->there)
                fake->remove_id = asked->id;
        else if (fake->remove_id != asked->id)
                refuse(a, SHMB_STATUS_NO_REGION, "there is none");
        fake->there = false;
}

static void answer(FakeBroker *fake, const WireMessage *asked, FakeAnswer *a) {
        a->message.id = asked->id;
        switch (asked->type) {
        case WIRE_HELLO:
                memcpy(fake->uuid, asked->hello.uuid, sizeof(fake->uuid));
                a->message.type = WIRE_WELCOME;
                a->message.welcome = (WireWelcome){ .major = fake->hello_major, .version = "fake" };
                break;
        case WIRE_ATTACH:
                answer_attach(fake, &asked->attach, a);
                break;
        case WIRE_MAPPED:
                answer_mapped(fake, asked, a);
                break;
        case WIRE_DETACH:
                end_lease(fake, asked->detach.lease);
                a->message.type = WIRE_OK;
                break;
        case WIRE_FETCH:
                answer_fetch(fake, &asked->fetch, a);
                break;
        case WIRE_RESUME:
                answer_resume(fake, a);
                break;
        case WIRE_CREATE:
                answer_create(fake, asked, a);
                break;
        case WIRE_REMOVE:
                answer_remove(fake, asked, a);
                break;
        default:
                refuse(a, SHMB_STATUS_UNSUPPORTED, "the fake broker does not know that");
        }
}

/*
 * The socket
 */

static void send_packet(int fd, const void *packet, size_t n_bytes, const FakeAnswer *a) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(a->fds))];
        } control = {};
        struct iovec iov = { (void *)packet, n_bytes };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct cmsghdr *c;

        if (a->n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(a->n_fds * sizeof(int));
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(a->n_fds * sizeof(int));
                memcpy(CMSG_DATA(c), a->fds, a->n_fds * sizeof(int));
        }
        sendmsg(fd, &message, MSG_NOSIGNAL);
}

static void send_answer(FakeBroker *fake, int fd, FakeAnswer *a, FakeFault fault) {
        static uint8_t packet[SHMB_MESSAGE_MAX + 1];
        size_t n_bytes = 0;

        if (a->message.type == WIRE_NONE)
                return;
        if (a->message.type != WIRE_ATTACHED)
                a->n_fds = 0;
        if (wire_encode(&a->message, packet, sizeof(packet), &n_bytes) < 0)
                abort();
        if (a->message.type == WIRE_ATTACHED)
                fake->n_flippable = 8 * n_bytes;
        if (fault == FAKE_FLIP && a->message.type == WIRE_ATTACHED && fake->flip < 8 * n_bytes)
                packet[fake->flip / 8] ^= (uint8_t)(1 << fake->flip % 8);
        if (fault == FAKE_GARBAGE)
                memset(packet, 0xa5, n_bytes);
        if (fault == FAKE_UNKNOWN_TYPE)
                packet[5] = 0x70;
        if (fault == FAKE_EMPTY_PACKET)
                n_bytes = 0;
        if (fault == FAKE_TOO_LONG)
                n_bytes = sizeof(packet);
        send_packet(fd, packet, n_bytes, a);
        if (fault == FAKE_TWICE && a->message.type == WIRE_ATTACHED)
                send_packet(fd, packet, n_bytes, a);
}

/* Return: whether the connection stays. */
static bool serve(FakeBroker *fake, int fd) {
        static uint8_t packet[SHMB_MESSAGE_MAX];
        FakeFault fault = FAKE_FINE;
        WireMessage asked;
        FakeAnswer a = {};
        ssize_t n;

        n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
        if (n <= 0 || wire_decode(packet, (size_t)n, &asked) < 0)
                return n < 0 && errno == EAGAIN;
        atomic_fetch_add(&fake->n_requests[asked.type], 1);
        answer(fake, &asked, &a);
        if (asked.type == WIRE_HELLO)
                fault = (FakeFault)atomic_load(&fake->hello_fault);
        else if (asked.type != WIRE_RESUME && asked.type != WIRE_DETACH)
                fault = (FakeFault)atomic_load(&fake->fault);
        if ((asked.type == WIRE_CREATE || asked.type == WIRE_REMOVE) && fake->n_lost > 0) {
                fake->n_lost--;
                fault = FAKE_HANG_UP;
        }
        if (a.message.type == WIRE_ATTACHED && fault != FAKE_FINE) {
                fake_spoil(fake, &a, fault);
        }
        if (fault != FAKE_SILENT && fault != FAKE_HANG_UP)
                send_answer(fake, fd, &a, fault);
        while (a.n_to_close > 0)
                close(a.to_close[--a.n_to_close]);
        return fault != FAKE_HANG_UP;
}

static void take_connection(FakeBroker *fake) {
        int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
        size_t i;

        for (i = 0; fd >= 0 && i < FAKE_CONNECTIONS_MAX; i++) {
                if (fake->connections[i] < 0) {
                        fake->connections[i] = fd;
                        return;
                }
        }
        if (fd >= 0)
                close(fd);
}

static void serve_all(FakeBroker *fake, const struct pollfd *polled) {
        size_t i;

        pthread_mutex_lock(&fake->lock);
        if (polled[1].revents && polled[1].fd == fake->listener)
                take_connection(fake);
        for (i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
                if (!polled[i + 2].revents || polled[i + 2].fd != fake->connections[i])
                        continue;
                if (!serve(fake, fake->connections[i])) {
                        close(fake->connections[i]);
                        fake->connections[i] = -1;
                }
        }
        pthread_mutex_unlock(&fake->lock);
}

static void *run(void *userdata) {
        struct pollfd polled[FAKE_CONNECTIONS_MAX + 2];
        FakeBroker *fake = userdata;
        char byte;
        size_t i;

        for (;;) {
                pthread_mutex_lock(&fake->lock);
                polled[0] = (struct pollfd){ fake->stop[0], POLLIN, 0 };
                polled[1] = (struct pollfd){ fake->listener, POLLIN, 0 };
                for (i = 0; i < FAKE_CONNECTIONS_MAX; i++)
                        polled[i + 2] = (struct pollfd){ fake->connections[i], POLLIN, 0 };
                pthread_mutex_unlock(&fake->lock);
                atomic_store(&fake->serves, true);
                if (poll(polled, FAKE_CONNECTIONS_MAX + 2, -1) < 0)
                        continue;
                /* 's' stops, anything else looks at a changed set */
                if (polled[0].revents && read(fake->stop[0], &byte, 1) == 1 && byte == 's')
                        return NULL;
                serve_all(fake, polled);
        }
}

static void poke(FakeBroker *fake, char what) {
        assert_int_equal(write(fake->stop[1], &what, 1), 1);
}

static void listen_locked(FakeBroker *fake) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        strcpy(address.sun_path, fake->path);
        /* The one that was polled may have been replaced since, and nobody waits on this one. */
        fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fake->listener >= 0);
        assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(fake->listener, 8), 0);
}

static void hang_up_locked(FakeBroker *fake) {
        size_t i;

        for (i = 0; i < FAKE_CONNECTIONS_MAX; i++) {
                if (fake->connections[i] >= 0)
                        close(fake->connections[i]);
                fake->connections[i] = -1;
        }
}

void fake_hang_up(FakeBroker *fake) {
        pthread_mutex_lock(&fake->lock);
        hang_up_locked(fake);
        pthread_mutex_unlock(&fake->lock);
        poke(fake, 'p');
}

void fake_go_away(FakeBroker *fake) {
        pthread_mutex_lock(&fake->lock);
        hang_up_locked(fake);
        close(fake->listener);
        fake->listener = -1;
        unlink(fake->path);
        pthread_mutex_unlock(&fake->lock);
        poke(fake, 'p');
}

void fake_return(FakeBroker *fake) {
        pthread_mutex_lock(&fake->lock);
        listen_locked(fake);
        pthread_mutex_unlock(&fake->lock);
        poke(fake, 'p');
}

static void start(FakeBroker *fake) {
        size_t i;

        assert_int_equal(shmb_geometry_seal(&fake->geometry), 0);
        assert_int_equal(scratch_make(fake->directory), 0);
        sprintf(fake->path, "%s/broker.sock", fake->directory);
        fake->tag = 0x1234;
        fake->generation = 7;
        fake->hello_major = WIRE_VERSION_MAJOR;
        fake->overflow = SHMB_OVERFLOW_BLOCK;
        fake->backing = SHMB_BACKING_MEMFD;
        fake->resume_verdict = WIRE_VERDICT_SAME;
        for (i = 0; i < FAKE_CONNECTIONS_MAX; i++)
                fake->connections[i] = -1;
        pthread_mutex_init(&fake->lock, NULL);
        assert_int_equal(pipe2(fake->stop, O_CLOEXEC), 0);
        listen_locked(fake);
        assert_int_equal(pthread_create(&fake->thread, NULL, run, fake), 0);
        /* A child that is forked while a thread begins inherits what a sanitizer has locked for it,
         * for ever. */
        while (!atomic_load(&fake->serves))
                sched_yield();
}

static void start_flow(FakeBroker *fake, const ShmbGeometry *geometry) {
        uint32_t i, n_lanes = geometry->n_lanes, n_seats = geometry->n_seats;

        memset(fake, 0, sizeof(*fake));
        fake->geometry = *geometry;
        start(fake);
        pthread_mutex_lock(&fake->lock);
        make_object(fake, &fake->objects[fake->n_objects++], SHMB_OBJECT_CONTROL, 0, 1);
        for (i = 0; i < n_lanes; i++)
                make_object(fake, &fake->objects[fake->n_objects++], SHMB_OBJECT_LANE, i, 1);
        for (i = 0; i < n_seats; i++)
                make_object(fake, &fake->objects[fake->n_objects++], SHMB_OBJECT_SEAT, i, 1);
        for (i = 0; i < n_lanes + n_seats; i++)
                fake_control(fake)->parties[i].epoch = 1;
        fake_control(fake)->state = SHMB_REGION_LIVE;
        fake_control(fake)->generation = fake->generation;
        pthread_mutex_unlock(&fake->lock);
}

void fake_start_ring(FakeBroker *fake, uint32_t n_lanes, uint32_t n_seats, uint32_t item_size,
                     uint64_t capacity) {
        start_flow(fake, &(ShmbGeometry){ .kind = SHMB_KIND_RING,
                                          .n_lanes = n_lanes,
                                          .n_seats = n_seats,
                                          .item_size = item_size,
                                          .item_align = 8,
                                          .capacity = capacity });
}

void fake_start_stream(FakeBroker *fake, uint64_t capacity, uint32_t max_message) {
        start_flow(fake, &(ShmbGeometry){ .kind = SHMB_KIND_STREAM,
                                          .n_lanes = 1,
                                          .n_seats = 1,
                                          .item_size = 1,
                                          .item_align = 1,
                                          .capacity = capacity,
                                          .max_message = max_message });
}

void fake_start_raw(FakeBroker *fake, uint64_t size) {
        memset(fake, 0, sizeof(*fake));
        fake->geometry = (ShmbGeometry){ .kind = SHMB_KIND_RAW, .region_size = size };
        start(fake);
        pthread_mutex_lock(&fake->lock);
        make_object(fake, &fake->objects[fake->n_objects++], SHMB_OBJECT_CONTROL, 0, 1);
        make_object(fake, &fake->objects[fake->n_objects++], SHMB_OBJECT_DATA, 0, 1);
        fake_control(fake)->state = SHMB_REGION_LIVE;
        fake_control(fake)->generation = fake->generation;
        pthread_mutex_unlock(&fake->lock);
}

void fake_stop(FakeBroker *fake) {
        size_t i;

        poke(fake, 's');
        pthread_join(fake->thread, NULL);
        hang_up_locked(fake);
        if (fake->listener >= 0)
                close(fake->listener);
        close(fake->stop[0]);
        close(fake->stop[1]);
        for (i = 0; i < fake->n_objects; i++)
                drop_object(&fake->objects[i]);
        pthread_mutex_destroy(&fake->lock);
        scratch_remove(fake->directory);
}
