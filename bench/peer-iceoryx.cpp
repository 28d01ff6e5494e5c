/* SPDX-License-Identifier: Apache-2.0 */

/*
 * iceoryx 2.0, polling
 *
 * Its daemon, iox-roudi, is started in the first turn and ends with the program. A process has one
 * runtime, which a child must not inherit: the consumer is a child here, too, and writes its stamps
 * into shared memory. Each turn has a service of its own. Nothing is lost: the publisher waits for
 * room. A process that is killed may hold a lock that the daemon wants, and then nobody goes on;
 * so both sides end by themselves here, the producer first.
 */

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/publisher.hpp>
#include <iceoryx_posh/popo/subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

#include "bench/peer.hpp"

using namespace bench;

enum {
        DAEMON_STOP_MS = 5000,
        /* A turn takes a tenth of a second where nobody else runs. */
        TURN_MAX_MS = 10 * 1000,
};

using Publisher = iox::popo::Publisher<Item<64>>;
using Subscriber = iox::popo::Subscriber<Item<64>>;

/* How a turn ends; stands in shared memory. */
struct End {
        uint32_t is_over;  /* the consumer has its blocks: send no more */
        uint32_t is_quiet; /* nothing more comes */
        uint32_t is_gone;  /* the producer's runtime has ended */
};

static End *end;

static pid_t daemon_pid, daemon_parent;
static unsigned n_turns;
static const char *why_not;

/* Return: whether a child ended in time; it is to be waited for in any case. */
static bool has_ended(pid_t pid, int timeout_ms) {
        pollfd ended = {static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0};
        bool has = ended.fd >= 0 && poll(&ended, 1, timeout_ms) == 1;

        if (ended.fd >= 0)
                close(ended.fd);
        return has;
}

static void stop_daemon() {
        if (getpid() != daemon_parent)
                return;
        kill(daemon_pid, SIGTERM);
        /* It may wait for a lock of somebody who was killed, and then it waits for ever. */
        if (!has_ended(daemon_pid, DAEMON_STOP_MS))
                kill(daemon_pid, SIGKILL);
        waitpid(daemon_pid, nullptr, 0);
}

/* It is not to watch over its clients: one that others keep from running is not dead. */
static void exec_daemon(int output_fd) {
        cpu_set_t all;

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        /* An interrupt from the terminal is for who started it. */
        setpgid(0, 0);
        /* On whatever processor there is. */
        memset(&all, 0xff, sizeof(all));
        sched_setaffinity(0, sizeof(all), &all);
        dup2(output_fd, STDOUT_FILENO);
        dup2(output_fd, STDERR_FILENO);
        execlp("iox-roudi", "iox-roudi", "-m", "off", "-l", "fatal", nullptr);
        _exit(127);
}

/* It says when it is ready; if it ends before it cannot run, perhaps because another one does. */
static const char *start_daemon() {
        char line[256];
        int fds[2];
        FILE *output;

        if (pipe(fds) < 0)
                bench_die("pipe");
        daemon_pid = fork();
        if (daemon_pid < 0)
                bench_die("fork");
        if (daemon_pid == 0)
                exec_daemon(fds[1]);
        close(fds[1]);
        /* Stays open, so that it can say more. */
        output = fdopen(fds[0], "r");
        while (output && fgets(line, sizeof(line), output))
                if (strstr(line, "ready for clients")) {
                        daemon_parent = getpid();
                        atexit(stop_daemon);
                        return nullptr;
                }
        kill(daemon_pid, SIGTERM);
        waitpid(daemon_pid, nullptr, 0);
        return "iox-roudi does not start: is it installed, or does another one run?";
}

static const char *setup(BenchRun *run) {
        n_turns++;
        end = static_cast<End *>(run->memory);
        if (!why_not && daemon_parent == 0)
                why_not = start_daemon();
        return why_not;
}

static bool is_set(const uint32_t *flag) {
        return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

static void set(uint32_t *flag) {
        __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

static void say_gone() {
        set(&end->is_gone);
}

static void join(const char *role) {
        /* As long as a RuntimeName_t: so far the library looks for its end. */
        char name[iox::MAX_RUNTIME_NAME_LENGTH + 1] = {};

        iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
                iox::log::LogLevel::kOff, iox::log::LogLevelOutput::kHideLogLevel);
        snprintf(name, sizeof(name), "shmbroker-bench-%s-%d", role, static_cast<int>(getpid()));
        iox::runtime::PoshRuntime::initRuntime(
                iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name));
}

static iox::capro::ServiceDescription service(const char *direction) {
        /* As long as an IdString_t, for the same reason. */
        char turn[iox::capro::IdString_t().capacity() + 1] = {};

        snprintf(turn, sizeof(turn), "%d-%u", static_cast<int>(daemon_parent), n_turns);
        return {"shmbroker-bench", iox::capro::IdString_t(iox::cxx::TruncateToCapacity, turn),
                iox::capro::IdString_t(iox::cxx::TruncateToCapacity, direction)};
}

static iox::popo::PublisherOptions publisher_options() {
        iox::popo::PublisherOptions options;

        options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
        return options;
}

static iox::popo::SubscriberOptions subscriber_options() {
        iox::popo::SubscriberOptions options;

        options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
        return options;
}

/* What is published before anybody subscribes is lost; threads of the runtime want to run, too. */
static void await_subscriber(const Publisher &publisher) {
        while (!publisher.hasSubscribers())
                sched_yield();
}

static inline void send(Publisher *to, const Item<64> &item) {
        if (to->publishCopyOf(item).has_error())
                bench_die("iceoryx: publish");
}

/* Return: false if nothing was there. */
static inline bool try_receive(Subscriber *from, Item<64> *ret_item) {
        auto taken = from->take();

        if (taken.has_error())
                return false;
        *ret_item = *taken.value();
        return true;
}

static inline void receive(Subscriber *from, Item<64> *ret_item) {
        while (!try_receive(from, ret_item))
                bench_relax();
}

/* What is on its way has to be taken, or the producer waits for room. */
static void end_turn(Subscriber *from) {
        Item<64> item;

        set(&end->is_over);
        while (!is_set(&end->is_quiet))
                if (!try_receive(from, &item))
                        sched_yield();
}

/*
 * Runs @body in a child, which the caller waits for; the runtime ends with the child, after all
 * that @body had.
 */
static void run_consumer(BenchRun *run, void (*body)(BenchRun *run)) {
        pid_t pid = fork();
        int status;

        if (pid < 0)
                bench_die("fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                join("consumer");
                body(run);
                while (!is_set(&end->is_gone))
                        sched_yield();
                exit(0);
        }
        if (!has_ended(pid, TURN_MAX_MS))
                kill(pid, SIGKILL);
        if (waitpid(pid, &status, 0) != pid)
                bench_die("waitpid");
        if (status == 0)
                return;
        why_not = "a turn failed or did not end";
        run->n_blocks = 0;
}

/* The same for the producer, who is a child already. */
static void run_producer(BenchRun *run, void (*body)(BenchRun *run)) {
        /* Before the runtime is made, so after it has ended. */
        atexit(say_gone);
        join("producer");
        body(run);
        exit(0);
}

static void produce_body(BenchRun *) {
        Publisher to(service("there"), publisher_options());
        Item<64> item;

        await_subscriber(to);
        for (; !is_set(&end->is_over); item.words[0]++)
                send(&to, item);
        set(&end->is_quiet);
}

static void produce(BenchRun *run) {
        run_producer(run, produce_body);
}

static inline uint32_t step(BenchRun *run, Subscriber *from, uint64_t *sequence) {
        Item<64> item;

        receive(from, &item);
        run->n_wrong += item.words[0] != (*sequence)++;
        return 1;
}

static void consume_body(BenchRun *run) {
        Subscriber from(service("there"), subscriber_options());
        uint64_t sequence = 0;

        /* Until the daemon has brought both together. */
        step(run, &from, &sequence);
        BENCH_BLOCKS(run, step(run, &from, &sequence));
        end_turn(&from);
}

static void consume(BenchRun *run) {
        run_consumer(run, consume_body);
}

static void trip_produce_body(BenchRun *) {
        Publisher to(service("back"), publisher_options());
        Subscriber from(service("there"), subscriber_options());
        Item<64> item;

        await_subscriber(to);
        while (!is_set(&end->is_over))
                if (try_receive(&from, &item))
                        send(&to, item);
                else
                        bench_relax();
        set(&end->is_quiet);
}

static void trip_produce(BenchRun *run) {
        run_producer(run, trip_produce_body);
}

static inline uint32_t trip_step(BenchRun *run, Publisher *to, Subscriber *from,
                                 uint64_t *sequence) {
        Item<64> item;

        item.words[0] = ++*sequence;
        send(to, item);
        receive(from, &item);
        run->n_wrong += item.words[0] != *sequence;
        return 1;
}

static void trip_consume_body(BenchRun *run) {
        Publisher to(service("there"), publisher_options());
        Subscriber from(service("back"), subscriber_options());
        uint64_t sequence = 0;

        await_subscriber(to);
        trip_step(run, &to, &from, &sequence);
        BENCH_BLOCKS(run, trip_step(run, &to, &from, &sequence));
        end_turn(&from);
}

static void trip_consume(BenchRun *run) {
        run_consumer(run, trip_consume_body);
}

const BenchContestant bench_iceoryx[] = {
        {BENCH_ICEORYX, 64, setup, produce, consume, nullptr, 0},
        {BENCH_TRIP(BENCH_ICEORYX), 64, setup, trip_produce, trip_consume, nullptr, 0},
        {},
};
