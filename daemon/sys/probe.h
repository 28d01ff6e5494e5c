/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Writer Proof
 *
 * Whether anybody, anywhere, can still write an inode: a writable descriptor (in flight, too), a
 * writable mapping whose descriptor is closed, one that was made read-only by mprotect(2), one in a
 * forked child. A read lease (F_SETLEASE with F_RDLCK, fcntl(2)) is refused while one exists, and
 * readers do not matter to it; exact on tmpfs files and memfds alike, provided that every writable
 * descriptor that was handed out was opened anew, and that the broker holds none itself.
 */

/**
 * probe_writers() - try to prove that nobody can write
 * @fd:         a fresh O_RDONLY open of the inode that nobody shares; borrowed
 *
 * The lease is given back at once. Nobody who opens the inode meanwhile raises SIGIO: the signal of
 * @fd is set to SIGURG, which does nothing by default.
 *
 * Return: 1 proven: nobody can; 0 somebody can, or it cannot be told; -errno where the kernel does
 * not lease this file at all (-EINVAL, -EACCES: not its owner).
 */
int probe_writers(int fd);

/**
 * probe_users() - try to prove that nobody else has it open or mapped, not even to read
 * @fd:         as above; the only one of the broker
 *
 * Exact on tmpfs files; of a memfd the kernel does not always know. Nothing may depend on it that
 * is not as well served by a wrong answer.
 *
 * Return: as probe_writers().
 */
int probe_users(int fd);
