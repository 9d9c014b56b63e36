/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Compiles programs that were written for FEMU as they are:
 *
 *     clang -target bpf -O2 -mcpu=v3 -DFEMU_PROGRAM=csd_vadd -include femu-csd-kernel.h -c csd-vadd.c
 *
 * What FEMU gives a program is what CEMU does, under another name: see cemu_def.h.
 */
#ifndef FEMU_CSD_KERNEL_H
#define FEMU_CSD_KERNEL_H

#ifdef FEMU_PROGRAM
#define CEMU_PROGRAM FEMU_PROGRAM
#endif
#define femu_csd_args cemu_args

#include "cemu_def.h"

#endif
