/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stories that are told twice, over real QUIC and over the model, and what was reported in them.
 * A story uses nothing random of its own: seeds differ in the keys, and so in who is the smaller.
 */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "world.h"

typedef struct story_line {
    pln_dur at; /* Since the story began. */
    size_t node, peer;
    pln_mesh_event_kind kind; /* CONNECTED, DISCONNECTED or OP_DONE. */
    bool inbound;             /* CONNECTED */
    pollen_end_reason reason; /* DISCONNECTED, OP_DONE */
    pollen_err err;           /* OP_DONE */
} story_line;

enum { STORY_LINES_MAX = 256 };

typedef struct story_log {
    story_line lines[STORY_LINES_MAX];
    size_t count;
    pln_ts from;
} story_log;

typedef struct story {
    const char *name;
    void (*tell)(sim_world *world);
    pln_dur tolerance; /* By which its times may differ between the two levels. */
} story;

extern const story stories[];
extern const size_t story_count;

void story_run(const story *told, uint64_t seed, story_log *ret);

/* One line of text for a line of the log, into text[cap]. */
void story_format(const story_line *line, char *text, size_t cap);
/* False: no such line. */
bool story_parse(const char *text, story_line *ret);

#endif
