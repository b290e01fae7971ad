/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on the containers against models too simple to be wrong.  POLLEN_SEED=n
 * replays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/chunk.h"
#include "base/heap.h"
#include "base/rng.h"
#include "support/seed.h"

/* ---- Timers against a list that is searched -------------------------------------------------- */

enum { TIMERS = 60 };

typedef struct heap_model {
    pln_ts at[TIMERS]; /* PLN_TS_NEVER: not set. */
    uint64_t set_as[TIMERS];
    uint64_t sets;
} heap_model;

static size_t model_earliest(const heap_model *model) {
    size_t best = 0;
    for (size_t i = 1; i < TIMERS; i++) {
        if (model->at[i] < model->at[best] ||
            (model->at[i] == model->at[best] && model->set_as[i] < model->set_as[best])) {
            best = i;
        }
    }
    return best;
}

static void step_heap(pln_heap *heap, pln_timer *timers, heap_model *model, const pln_rng *rng) {
    size_t i = (size_t)pln_rng_below(rng, TIMERS);
    pln_ts at = pln_rng_below(rng, 40); /* Few values, so that many are equal. */
    switch (pln_rng_below(rng, 4)) {
    case 0:
        pln_heap_cancel(heap, &timers[i]);
        model->at[i] = PLN_TS_NEVER;
        break;
    case 1: {
        size_t first = model_earliest(model);
        pln_timer *popped = pln_heap_pop(heap, at);
        if (model->at[first] <= at) {
            assert_ptr_equal(popped, &timers[first]);
            model->at[first] = PLN_TS_NEVER;
        } else {
            assert_null(popped);
        }
        break;
    }
    default:
        assert_true(pln_heap_set(heap, &timers[i], at));
        model->at[i] = at;
        model->set_as[i] = model->sets++;
        break;
    }
    assert_true(pln_heap_next(heap) == model->at[model_earliest(model)]);
}

static void test_timers_leave_as_a_searched_list_says(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    pln_rng rng = test_rng(&seeded);
    pln_heap heap;
    pln_heap_init(&heap);
    pln_timer timers[TIMERS] = {{0}};
    heap_model model = {.sets = 0};
    memset(model.at, 0xff, sizeof(model.at));
    for (int i = 0; i < 40000; i++) {
        step_heap(&heap, timers, &model, &rng);
    }
    pln_heap_fini(&heap);
}

/* ---- Chunk queues against a flat buffer ------------------------------------------------------ */

enum { FLAT_BYTES = 4096 };

typedef struct flat {
    uint8_t bytes[FLAT_BYTES];
    size_t size;
} flat;

static void flat_drop(flat *model, size_t count) {
    memmove(model->bytes, model->bytes + count, model->size - count);
    model->size -= count;
}

static void step_append(pln_chunkq *q, flat *model, const pln_rng *rng) {
    size_t count = (size_t)pln_rng_below(rng, 100);
    if (model->size + count > FLAT_BYTES) {
        count = 0;
    }
    pln_rng_fill(rng, model->bytes + model->size, count);
    size_t cap = (size_t)pln_rng_below(rng, 64);
    assert_int_equal(pln_chunkq_append(q, model->bytes + model->size, count, cap), 0);
    model->size += count;
}

static void step_read(pln_chunkq *q, flat *model, const pln_rng *rng) {
    uint8_t out[200];
    size_t count = pln_chunkq_read(q, out, (size_t)pln_rng_below(rng, sizeof(out)));
    assert_true(count <= model->size);
    assert_memory_equal(out, model->bytes, count);
    flat_drop(model, count);
}

static void step_pop(pln_chunkq *q, flat *model) {
    pln_chunk *chunk = pln_chunkq_pop(q);
    if (chunk == NULL) {
        assert_int_equal(model->size, 0);
        return;
    }
    size_t size = pln_chunk_size(chunk);
    assert_memory_equal(chunk->data + chunk->begin, model->bytes, size);
    flat_drop(model, size);
    pln_chunk_destroy(chunk);
}

static void step_push(pln_chunkq *q, flat *model, const pln_rng *rng) {
    size_t cap = (size_t)pln_rng_below(rng, 50);
    pln_chunk *chunk = pln_chunk_create(cap);
    assert_non_null(chunk);
    chunk->begin = (size_t)pln_rng_below(rng, cap + 1);
    chunk->end = chunk->begin + (size_t)pln_rng_below(rng, cap - chunk->begin + 1);
    size_t size = pln_chunk_size(chunk);
    if (model->size + size > FLAT_BYTES) {
        chunk->end = chunk->begin;
        size = 0;
    }
    pln_rng_fill(rng, chunk->data + chunk->begin, size);
    memcpy(model->bytes + model->size, chunk->data + chunk->begin, size);
    model->size += size;
    pln_chunkq_push(q, chunk);
}

static void test_chunks_hold_what_a_flat_buffer_would(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    pln_rng rng = test_rng(&seeded);
    pln_chunkq q = {0};
    flat model = {.size = 0};
    for (int i = 0; i < 40000; i++) {
        switch (pln_rng_below(&rng, 5)) {
        case 0:
            step_pop(&q, &model);
            break;
        case 1:
            step_push(&q, &model, &rng);
            break;
        case 2:
            step_append(&q, &model, &rng);
            break;
        default:
            step_read(&q, &model, &rng);
            break;
        }
        assert_int_equal(q.bytes, model.size);
        assert_int_equal(q.head == NULL, q.count == 0);
    }
    pln_chunkq_clear(&q);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void test_every_address_reads_back_as_it_prints(void **state) {
    (void)state;
    pln_rng_seeded seeded;
    pln_rng rng = test_rng(&seeded);
    for (int i = 0; i < 20000; i++) {
        pollen_addr addr = {.port = (uint16_t)(1 + pln_rng_below(&rng, 65535))};
        pln_rng_fill(&rng, addr.ip, sizeof(addr.ip));
        uint64_t filled = pln_rng_u64(&rng);
        filled &= pln_rng_u64(&rng); /* Three of four groups are zero. */
        for (size_t g = 0; g < 8; g++) {
            if ((filled >> g & 1) == 0) {
                memset(addr.ip + 2 * g, 0, 2); /* Runs of zero groups are where the form is odd. */
            }
        }
        if (pln_rng_below(&rng, 4) == 0) {
            addr.ip[0] = 0xfe;
            addr.ip[1] = 0x80;
            addr.zone = (uint32_t)pln_rng_u64(&rng);
        }
        char text[POLLEN_ADDR_TEXT_BYTES];
        pollen_addr again = {.port = 0};
        assert_int_equal(pollen_addr_parse(pollen_addr_format(&addr, text), &again), POLLEN_OK);
        assert_memory_equal(again.ip, addr.ip, sizeof(addr.ip));
        assert_int_equal(again.port, addr.port);
        assert_int_equal(again.zone, addr.zone);
    }
}

/* Text made of the letters an address is made of: whatever is taken must print and read back the
 * same. */
static void test_whatever_is_read_prints_and_reads_the_same(void **state) {
    (void)state;
    static const char letters[] = "0123456789abcfF:::...[]%";
    pln_rng_seeded seeded;
    pln_rng rng = test_rng(&seeded);
    for (int i = 0; i < 100000; i++) {
        char text[24] = {0};
        size_t size = (size_t)pln_rng_below(&rng, sizeof(text));
        for (size_t j = 0; j < size; j++) {
            text[j] = letters[pln_rng_below(&rng, sizeof(letters) - 1)];
        }
        pollen_addr addr;
        if (pln_addr_parse_lenient(text, 7, &addr) == POLLEN_OK) {
            char printed[POLLEN_ADDR_TEXT_BYTES];
            pollen_addr again;
            assert_int_equal(pollen_addr_parse(pollen_addr_format(&addr, printed), &again),
                             POLLEN_OK);
            assert_true(pollen_addr_equal(&addr, &again));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_leave_as_a_searched_list_says),
        cmocka_unit_test(test_chunks_hold_what_a_flat_buffer_would),
        cmocka_unit_test(test_every_address_reads_back_as_it_prints),
        cmocka_unit_test(test_whatever_is_read_prints_and_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
