/* SPDX-License-Identifier: Apache-2.0 */
/* The whole public interface. */
#ifndef POLLEN_POLLEN_H
#define POLLEN_POLLEN_H

#include <pollen/addr.h>
#include <pollen/admission.h>
#include <pollen/cluster.h>
#include <pollen/err.h>
#include <pollen/event.h>
#include <pollen/key.h>
#include <pollen/mesh.h>
#include <pollen/nat.h>
#include <pollen/packet.h>
#include <pollen/peer.h>
#include <pollen/sock.h>
#include <pollen/stream.h>
#include <pollen/version.h>

#endif
