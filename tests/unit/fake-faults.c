/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What Can Be Wrong With a Grant
 *
 * An answer that was right is changed in one place, between the broker's decision and the socket.
 */

#include <fcntl.h>
#include <unistd.h>
#include "tests/unit/fake-broker.h"

/* An fd that is made for this answer in place of the last one. */
static void send_instead(FakeAnswer *a, int fd) {
        a->fds[a->n_fds - 1] = fd;
        a->to_close[a->n_to_close++] = fd;
}

static void spoil_objects(FakeBroker *fake, FakeAnswer *a, FakeFault fault) {
        WireAttached *said = &a->message.attached;
        WireObject *last = &said->objects[said->n_objects - 1];
        FakeObject *object = fake_object(fake, (ShmbObjectKind)last->kind, last->index);
        int pipes[2];

        if (fault == FAKE_FD_MISSING) {
                a->n_fds--;
        } else if (fault == FAKE_FD_TOO_MANY) {
                a->fds[a->n_fds++] = object->ro;
        } else if (fault == FAKE_OBJECT_MISSING) {
                a->n_fds--;
                said->n_objects--;
        } else if (fault == FAKE_OBJECT_TWICE) {
                fake_add_object(a, object, last->writable);
        } else if (fault == FAKE_OBJECT_UNKNOWN) {
                last->kind = 17;
        } else if (fault == FAKE_INDEX_BEYOND) {
                last->index = 64;
        } else if (fault == FAKE_SIZE_SAID) {
                last->size_bytes += 4096;
        } else if (fault == FAKE_SIZE_REAL) {
                send_instead(a, fake_memfd(4095, true));
        } else if (fault == FAKE_NOT_A_FILE) {
                if (pipe2(pipes, O_CLOEXEC) == 0) {
                        send_instead(a, pipes[0]);
                        a->to_close[a->n_to_close++] = pipes[1];
                }
        } else if (fault == FAKE_UNSEALED) {
                send_instead(a, fake_memfd(last->size_bytes, false));
        }
}

static void spoil_rights(FakeBroker *fake, FakeAnswer *a, FakeFault fault) {
        WireAttached *said = &a->message.attached;
        uint32_t i;

        for (i = 0; i < said->n_objects; i++) {
                FakeObject *object = fake_object(fake, (ShmbObjectKind)said->objects[i].kind,
                                                 said->objects[i].index);

                if (!object || (size_t)i >= a->n_fds)
                        continue;
                if (fault == FAKE_OWN_READ_ONLY && said->objects[i].writable)
                        a->fds[i] = object->ro;
                if (fault == FAKE_PEER_WRITABLE && !said->objects[i].writable)
                        a->fds[i] = object->rw;
                if (fault == FAKE_PEER_SAID_WRITABLE) {
                        said->objects[i].writable = true;
                        a->fds[i] = object->rw;
                }
        }
}

static void spoil_words(FakeBroker *fake, FakeAnswer *a, FakeFault fault) {
        WireAttached *said = &a->message.attached;
        ShmbHeader *header = fake_object(fake, SHMB_OBJECT_CONTROL, 0)->memory;

        if (fault == FAKE_HEADER)
                header->epoch++;
        else if (fault == FAKE_LAYOUT_MAJOR)
                header->major++;
        else if (fault == FAKE_STRIDE)
                said->geometry.stride++;
        else if (fault == FAKE_CAPACITY)
                said->geometry.capacity = 7;
        else if (fault == FAKE_KIND)
                said->geometry.kind = _SHMB_KIND_N;
        else if (fault == FAKE_ROLE)
                said->role = SHMB_ROLE_OBSERVE;
        else if (fault == FAKE_OWN_INDEX)
                said->index = 63;
        else if (fault == FAKE_OTHER_REPLY)
                a->message.type = WIRE_OK;
        if (fault == FAKE_ERROR_OK) {
                a->message.type = WIRE_ERROR;
                a->message.error = (WireError){ SHMB_STATUS_OK, "all is well" };
        }
        if (fault == FAKE_OTHER_ITEM) {
                said->geometry.item_size *= 2;
                said->geometry.stride *= 2;
                said->geometry.capacity /= 2;
        }
}

void fake_spoil(FakeBroker *fake, FakeAnswer *a, FakeFault fault) {
        spoil_rights(fake, a, fault);
        spoil_objects(fake, a, fault);
        spoil_words(fake, a, fault);
}
