/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the stories over real QUIC, for test_model.c to compare with: sim_tell SEEDS */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "story.h"

int main(int argc, char **argv) {
    static story_log log;
    const uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    for (size_t i = 0; i < story_count; i++) {
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            story_run(&stories[i], seed, &log);
            printf("story %zu seed %" PRIu64 " lines %zu\n", i, seed, log.count);
            for (size_t k = 0; k < log.count; k++) {
                char text[128];
                story_format(&log.lines[k], text, sizeof text);
                puts(text);
            }
        }
    }
    return 0;
}
