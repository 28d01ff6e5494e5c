/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Guard
 *
 * The handler runs where any instruction of any thread may have been interrupted, so it takes no
 * lock and allocates nothing: it searches a table of fixed size. An entry is FREE, CHANGING, USED,
 * CHANGING, FREE, ... and `state` counts these steps. Whoever finds it FREE and makes it CHANGING
 * owns it until he makes it FREE again. The handler reads an entry between two equal values of
 * `state`; one that changes meanwhile is not the one it looks for, because an object that is being
 * looked at is neither being added nor removed.
 *
 * Nothing here is undone by fork(): the child has the table, the handler, and the mappings that are
 * passed on. Where a writable object was, which is not passed on, the child may map something else;
 * so such an entry counts in its own process only. An entry that another thread was changing at the
 * moment of the fork is out of use in the child.
 *
 * The handler returns, it does not jump: the instruction is repeated and finds zeros, and the
 * signal mask is what it was, so the next object is contained as well. A thread that blocks SIGBUS
 * is killed by it, guard or not: the kernel does not let a fault wait.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/guard.h"
#include "memory/atomics.h"

enum {
        GUARD_FREE = 0,
        GUARD_USED = 2,
        GUARD_STEPS = 4, /* odd: CHANGING */
};

/* Written by its owner, read by handlers of all threads. */
struct ShmbGuard {
        _Atomic uint32_t state;
        _Atomic uint32_t is_lost;
        _Atomic uintptr_t start;
        _Atomic size_t n_bytes;
        _Atomic uint32_t writable;
        _Atomic uint32_t alive_as;
        const _Atomic uint32_t *_Atomic alive; /* of ShmbProcess */
        _Atomic uint32_t *_Atomic lost;
};

/* What the handler takes from an entry. */
typedef struct GuardCopy {
        uintptr_t start;
        size_t n_bytes;
        bool writable;
        uint32_t alive_as;
        const _Atomic uint32_t *alive;
        _Atomic uint32_t *lost;
} GuardCopy;

static ShmbGuard guards[SHMB__GUARDS_MAX];
/* Entries from here on were never used; it only rises. */
static _Atomic uint32_t n_used;

/* `previous` is written once, under the lock and before the handler is in force. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed;
static struct sigaction previous;
/* A previous handler with SA_RESETHAND has had its one signal. */
static _Atomic uint32_t previous_is_spent;

/*
 * In the handler
 */

static bool read_entry(const ShmbGuard *guard, GuardCopy *ret_copy) {
        /* acquire: what the owner filled in before; pairs with release of state in
         * shmb__guard_add() */
        uint32_t state = shmb_load_acquire(&guard->state);

        if (state % GUARD_STEPS != GUARD_USED)
                return false;
        /* relaxed, all: whether they belong together is decided by state, before and behind */
        *ret_copy = (GuardCopy){
                .start = shmb_load_relaxed(&guard->start),
                .n_bytes = shmb_load_relaxed(&guard->n_bytes),
                .writable = shmb_load_relaxed(&guard->writable),
                .alive_as = shmb_load_relaxed(&guard->alive_as),
                .alive = shmb_load_relaxed(&guard->alive),
                .lost = shmb_load_relaxed(&guard->lost),
        };
        /* acquire fence: keeps the loads above before that of state below; pairs with the fence in
         * shmb__guard_add(), behind which an owner fills in */
        atomic_thread_fence(memory_order_acquire);
        /* relaxed: ordered by the fence */
        return shmb_load_relaxed(&guard->state) == state;
}

static ShmbGuard *find(uintptr_t address, GuardCopy *ret_copy) {
        /* acquire: pairs with the release of n_used in raise_n_used(); an entry in use is below */
        uint32_t i, n = shmb_load_acquire(&n_used);

        for (i = 0; i < n; i++) {
                if (!read_entry(&guards[i], ret_copy) ||
                    address - ret_copy->start >= ret_copy->n_bytes)
                        continue;
                /* relaxed: changes by fork() only; a child has something else there, or nothing */
                if (ret_copy->writable && shmb_load_relaxed(ret_copy->alive) != ret_copy->alive_as)
                        continue;
                return &guards[i];
        }
        return NULL;
}

/* Zero pages instead of the object. Return: whether the instruction can be repeated. */
static bool contain(uintptr_t address) {
        GuardCopy copy;
        ShmbGuard *guard = find(address, &copy);
        uint32_t none = 0;
        void *memory;

        if (!guard)
                return false;
        /* seq_cst: before the zeros, so that who reads one and then asks is told; pairs with the
         * acquire fence of shmb__has_lost(). Another thread that was here first maps for us. */
        if (!atomic_compare_exchange_strong(&guard->is_lost, &none, 1))
                return true;
        /* release: as is_lost */
        shmb_store_release(copy.lost, 1);
        memory = mmap((void *)copy.start, copy.n_bytes,
                      PROT_READ | (copy.writable ? PROT_WRITE : 0),
                      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
                /* release: as is_lost */
                shmb_store_release(&guard->is_lost, 0);
                return false;
        }
        return true;
}

/* Of the instruction that was interrupted, which must not go on; not sent by anybody. */
static bool is_fault(const siginfo_t *info) {
        return info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
}

/*
 * As if there were no handler: the same signal once more, with the default in force. It is blocked
 * here and comes when the handler returns, so that a core shows the instruction that was at fault.
 */
static void die(int signal, siginfo_t *info) {
        struct sigaction dfl = { .sa_handler = SIG_DFL };

        sigaction(signal, &dfl, NULL);
        syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, info);
}

static void pass_on(int signal, siginfo_t *info, void *context) {
        bool spent = false;

        if (previous.sa_flags & (int)SA_RESETHAND)
                /* relaxed exchange: who has it, has it */
                spent = atomic_exchange_explicit(&previous_is_spent, 1, memory_order_relaxed);
        if (spent)
                die(signal, info);
        else if (previous.sa_flags & SA_SIGINFO)
                previous.sa_sigaction(signal, info, context);
        else if (previous.sa_handler == SIG_DFL ||
                 (previous.sa_handler == SIG_IGN && is_fault(info)))
                die(signal, info);
        else if (previous.sa_handler != SIG_IGN)
                previous.sa_handler(signal);
}

static void on_sigbus(int signal, siginfo_t *info, void *context) {
        int error = errno;
        bool contained;

        /* Hardware that lost the page has another code: that is not for us to hide. */
        contained = info->si_code == BUS_ADRERR && contain((uintptr_t)info->si_addr);
        if (!contained)
                pass_on(signal, info, context);
        errno = error;
}

/*
 * Outside
 */

/*
 * The kernel does for the previous handler what it asked for (mask, stack) because ours asks for
 * the same. Where there was none, the alternate stack is taken if there is one: languages whose
 * own stacks are small insist on it.
 */
static int install_locked(void) {
        struct sigaction ours = { .sa_sigaction = on_sigbus };

        if (installed)
                return 0;
        if (sigaction(SIGBUS, NULL, &previous) < 0)
                return -errno;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
        if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
                ours.sa_mask = previous.sa_mask;
                ours.sa_flags = SA_SIGINFO |
                                (previous.sa_flags & (SA_ONSTACK | SA_RESTART | SA_NODEFER));
        }
        if (sigaction(SIGBUS, &ours, NULL) < 0)
                return -errno;
        installed = true;
        return 0;
}

static int install(void) {
        int r;

        pthread_mutex_lock(&lock);
        r = install_locked();
        pthread_mutex_unlock(&lock);
        return r;
}

static void raise_n_used(uint32_t n) {
        /* relaxed: compared again below */
        uint32_t now = shmb_load_relaxed(&n_used);

        while (now < n)
                /* release: pairs with acquire of n_used in find() */
                if (atomic_compare_exchange_weak_explicit(&n_used, &now, n, memory_order_release,
                                                          memory_order_relaxed))
                        return;
}

/* A free entry that is CHANGING now and ours, or NULL. */
static ShmbGuard *claim(void) {
        uint32_t i, state;

        for (i = 0; i < SHMB__GUARDS_MAX; i++) {
                /* relaxed: a guess, which the exchange makes certain */
                state = shmb_load_relaxed(&guards[i].state);
                /* acquire: the one before has let go of the entry; pairs with release of state in
                 * shmb__guard_remove() */
                if (state % GUARD_STEPS == GUARD_FREE &&
                    atomic_compare_exchange_strong_explicit(&guards[i].state, &state, state + 1,
                                                            memory_order_acquire,
                                                            memory_order_relaxed))
                        return &guards[i];
        }
        return NULL;
}

int shmb__guard_add(const ShmbGuarded *object, ShmbGuard **ret_guard) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        ShmbGuard *guard;
        int r;

        r = install();
        if (r < 0)
                return r;
        guard = claim();
        if (!guard)
                return -ENOBUFS;

        /* release fence: a handler that sees anything below finds state changed; pairs with the
         * fence in read_entry() */
        atomic_thread_fence(memory_order_release);
        /* relaxed, all: nobody believes them before state says USED */
        shmb_store_relaxed(&guard->is_lost, 0);
        shmb_store_relaxed(&guard->start, (uintptr_t)object->memory);
        shmb_store_relaxed(&guard->n_bytes, (object->n_bytes + page - 1) / page * page);
        /* relaxed, all: as above */
        shmb_store_relaxed(&guard->writable, object->writable);
        shmb_store_relaxed(&guard->alive, object->process->alive);
        shmb_store_relaxed(&guard->alive_as, object->process->generation);
        shmb_store_relaxed(&guard->lost, object->lost);
        /* release: all of the above; pairs with acquire of state in read_entry(). relaxed load:
         * only we write it now */
        shmb_store_release(&guard->state, shmb_load_relaxed(&guard->state) + 1);
        raise_n_used((uint32_t)(guard - guards) + 1);
        *ret_guard = guard;
        return 0;
}

void shmb__guard_remove(ShmbGuard *guard) {
        if (!guard)
                return;
        /* release: we have looked at the object for the last time; pairs with acquire of state in
         * claim(). relaxed load: only we write it. Nothing is left to do while it is CHANGING. */
        shmb_store_release(&guard->state, shmb_load_relaxed(&guard->state) + 2);
}

bool shmb__guard_is_lost(const ShmbGuard *guard) {
        /* relaxed: stored by a handler of the thread that asks, or ordered by what told it */
        return guard && shmb_load_relaxed(&guard->is_lost) != 0;
}
