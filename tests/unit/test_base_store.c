/* SPDX-License-Identifier: Apache-2.0 */
/* Timers, chunks, hash tables and the injected randomness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/chunk.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/rng.h"
#include "base/time.h"
#include "support/fail_mem.h"

/* ---- Times ----------------------------------------------------------------------------------- */

static void test_times_saturate(void **state) {
    (void)state;
    assert_true(pln_ts_add(5, 7) == 12);
    assert_true(pln_ts_add(PLN_TS_NEVER - 1, 1) == PLN_TS_NEVER);
    assert_true(pln_ts_add(PLN_TS_NEVER - 1, 2) == PLN_TS_NEVER);
    assert_true(pln_ts_add(PLN_TS_NEVER, PLN_S(1)) == PLN_TS_NEVER);
    assert_true(pln_ts_since(7, 5) == 0);
    assert_true(pln_ts_since(5, 7) == 2);
    assert_true(pln_ts_min(3, 2) == 2);
    assert_false(pln_ts_reached(100, 99));
    assert_true(pln_ts_reached(100, 100));
    assert_true(pln_ts_reached(100, 101));
}

/* ---- Timers ---------------------------------------------------------------------------------- */

static void test_timers_leave_at_their_instant(void **state) {
    (void)state;
    pln_heap heap;
    pln_heap_init(&heap);
    pln_timer timer;
    pln_timer_init(&timer);
    assert_true(pln_heap_next(&heap) == PLN_TS_NEVER);
    assert_null(pln_heap_pop(&heap, PLN_TS_NEVER - 1));

    assert_true(pln_heap_set(&heap, &timer, 100));
    assert_true(pln_timer_is_set(&timer));
    assert_true(pln_heap_next(&heap) == 100);
    assert_null(pln_heap_pop(&heap, 99));
    assert_ptr_equal(pln_heap_pop(&heap, 100), &timer);
    assert_false(pln_timer_is_set(&timer));
    assert_true(timer.at == PLN_TS_NEVER);
    assert_null(pln_heap_pop(&heap, 101));
    pln_heap_fini(&heap);
}

static void test_equal_deadlines_leave_in_the_order_set(void **state) {
    (void)state;
    pln_heap heap;
    pln_heap_init(&heap);
    pln_timer timers[50] = {{0}};
    for (size_t i = 0; i < 50; i++) {
        assert_true(pln_heap_set(&heap, &timers[i], 7));
    }
    assert_true(pln_heap_set(&heap, &timers[0], 7)); /* Set anew, so behind all others. */
    for (size_t i = 1; i < 50; i++) {
        assert_ptr_equal(pln_heap_pop(&heap, 7), &timers[i]);
    }
    assert_ptr_equal(pln_heap_pop(&heap, 7), &timers[0]);
    pln_heap_fini(&heap);
}

static void test_never_cancels(void **state) {
    (void)state;
    pln_heap heap;
    pln_heap_init(&heap);
    pln_timer a = {0};
    pln_timer b = {0};
    assert_true(pln_heap_set(&heap, &a, PLN_TS_NEVER)); /* Not set: nothing to do. */
    pln_heap_cancel(&heap, &a);
    assert_true(pln_heap_set(&heap, &a, 1));
    assert_true(pln_heap_set(&heap, &b, 2));
    assert_true(pln_heap_set(&heap, &a, PLN_TS_NEVER));
    assert_true(pln_heap_next(&heap) == 2);
    pln_heap_cancel(&heap, &b);
    assert_true(pln_heap_next(&heap) == PLN_TS_NEVER);
    pln_heap_fini(&heap);
}

static void test_moving_and_cancelling_need_no_memory(void **state) {
    (void)state;
    pln_heap heap;
    pln_heap_init(&heap);
    pln_timer timers[17] = {{0}};
    fail_mem_arm(1);
    bool set = pln_heap_set(&heap, &timers[0], 1);
    assert_true(fail_mem_disarm());
    assert_false(set);
    assert_false(pln_timer_is_set(&timers[0]));

    for (size_t i = 0; i < 16; i++) {
        assert_true(pln_heap_set(&heap, &timers[i], 100 + i));
    }
    fail_mem_arm(1);
    assert_true(pln_heap_set(&heap, &timers[3], 1));
    pln_heap_cancel(&heap, &timers[4]);
    assert_true(pln_heap_set(&heap, &timers[4], 2));
    assert_false(pln_heap_set(&heap, &timers[16], 3)); /* The seventeenth needs a larger array. */
    assert_true(fail_mem_disarm());
    assert_true(pln_heap_set(&heap, &timers[16], 3));
    assert_ptr_equal(pln_heap_pop(&heap, 3), &timers[3]);
    assert_ptr_equal(pln_heap_pop(&heap, 3), &timers[4]);
    assert_ptr_equal(pln_heap_pop(&heap, 3), &timers[16]);
    pln_heap_fini(&heap);
}

typedef struct owner {
    int before;
    pln_timer timer;
} owner;

static void test_a_timer_leads_to_its_owner(void **state) {
    (void)state;
    owner o = {.before = 1};
    assert_ptr_equal(PLN_TIMER_OWNER(&o.timer, owner, timer), &o);
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

static void test_append_fills_the_tail_first(void **state) {
    (void)state;
    pln_chunkq q = {0};
    assert_int_equal(pln_chunkq_append(&q, (const uint8_t *)"abc", 3, 8), 0);
    assert_int_equal(pln_chunkq_append(&q, (const uint8_t *)"defghij", 7, 8), 0);
    assert_int_equal(q.count, 2);
    assert_int_equal(q.bytes, 10);
    assert_int_equal(pln_chunk_size(q.head), 8);
    assert_int_equal(pln_chunk_size(q.tail), 2);
    uint8_t out[16];
    assert_int_equal(pln_chunkq_read(&q, out, 9), 9);
    assert_memory_equal(out, "abcdefghi", 9);
    assert_int_equal(q.count, 1);
    assert_int_equal(pln_chunkq_read(&q, out, 9), 1);
    assert_int_equal(out[0], 'j');
    assert_int_equal(q.count, 0);
    assert_int_equal(pln_chunkq_read(&q, out, 9), 0);
}

static void test_append_of_nothing_is_nothing(void **state) {
    (void)state;
    pln_chunkq q = {0};
    assert_int_equal(pln_chunkq_append(&q, NULL, 0, 8), 0);
    assert_int_equal(q.count, 0);
    assert_null(pln_chunkq_pop(&q));
}

static void test_append_without_memory_appends_nothing(void **state) {
    (void)state;
    pln_chunkq q = {0};
    assert_int_equal(pln_chunkq_append(&q, (const uint8_t *)"abc", 3, 4), 0);
    fail_mem_arm(1);
    int result = pln_chunkq_append(&q, (const uint8_t *)"defg", 4, 4);
    assert_true(fail_mem_disarm());
    assert_int_equal(result, -1);
    assert_int_equal(q.bytes, 3);
    assert_int_equal(pln_chunk_size(q.tail), 3);
    fail_mem_arm(1);
    result = pln_chunkq_append(&q, (const uint8_t *)"d", 1, 4); /* Still fits. */
    assert_false(fail_mem_disarm());
    assert_int_equal(result, 0);
    pln_chunkq_clear(&q);
    assert_int_equal(q.bytes, 0);
}

static void test_chunks_move_whole(void **state) {
    (void)state;
    long live = fail_mem_live();
    pln_chunkq q = {0};
    pln_chunk *a = pln_chunk_create(4);
    pln_chunk *empty = pln_chunk_create(0);
    assert_non_null(a);
    assert_non_null(empty);
    memcpy(a->data, "abcd", 4);
    a->begin = 1;
    a->end = 4;
    pln_chunkq_push(&q, a);
    pln_chunkq_push(&q, empty);
    assert_int_equal(q.bytes, 3);
    assert_int_equal(q.count, 2);
    assert_ptr_equal(pln_chunkq_pop(&q), a);
    assert_null(a->next);
    assert_int_equal(q.bytes, 0);
    pln_chunk_destroy(a);
    pln_chunkq_clear(&q);
    assert_null(pln_chunk_create(SIZE_MAX));
    pln_chunk_destroy(NULL);
    assert_int_equal(fail_mem_live(), live);
}

/* ---- Hash tables ----------------------------------------------------------------------------- */

typedef struct item {
    uint32_t id;
    UT_hash_handle hh;
} item;

static const pln_hash_key secret = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static void test_hash_is_siphash(void **state) {
    (void)state;
    /* Appendix A of the SipHash paper: key 00..0f, message 00..0e, 0xa129ca6149be45e5. */
    uint8_t message[15];
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    assert_int_equal(pln_hash(&secret, message, sizeof(message)), 0x49be45e5u);
    pln_hash_key other = secret;
    other.bytes[0] ^= 1;
    assert_int_not_equal(pln_hash(&other, message, sizeof(message)), 0x49be45e5u);
}

static item *find(item *head, uint32_t id) {
    item *found = NULL;
    PLN_MAP_FIND(&secret, head, &id, sizeof(id), found);
    return found;
}

static void test_maps_find_what_was_added(void **state) {
    (void)state;
    long live = fail_mem_live();
    item *head = NULL;
    item items[500] = {{0}};
    assert_null(find(head, 0));
    for (uint32_t i = 0; i < 500; i++) {
        items[i].id = i * 3;
        PLN_MAP_ADD(&secret, head, id, sizeof(items[i].id), &items[i]);
        assert_true(PLN_MAP_ADDED(&items[i]));
    }
    for (uint32_t i = 0; i < 1500; i++) {
        assert_ptr_equal(find(head, i), i % 3 == 0 ? &items[i / 3] : NULL);
    }
    assert_int_equal(HASH_COUNT(head), 500);
    for (uint32_t i = 0; i < 500; i++) {
        HASH_DEL(head, &items[i]);
        assert_null(find(head, i * 3));
    }
    assert_null(head);
    assert_int_equal(fail_mem_live(), live);
}

/* Adds all items while the n-th allocation fails; whoever stayed outside is tried again. */
static bool add_all_with_failure(item *items, uint32_t count, size_t n) {
    item *head = NULL;
    size_t outside = 0;
    fail_mem_arm(n);
    for (uint32_t i = 0; i < count; i++) {
        items[i].id = i;
        PLN_MAP_ADD(&secret, head, id, sizeof(items[i].id), &items[i]);
        if (!PLN_MAP_ADDED(&items[i])) {
            outside++;
            assert_null(find(head, i));
            assert_int_equal(HASH_COUNT(head), i);
            PLN_MAP_ADD(&secret, head, id, sizeof(items[i].id), &items[i]);
        }
        assert_true(PLN_MAP_ADDED(&items[i]));
    }
    bool failed = fail_mem_disarm();
    assert_int_equal(outside, failed ? 1 : 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_ptr_equal(find(head, i), &items[i]);
    }
    HASH_CLEAR(hh, head);
    return failed;
}

static void test_maps_survive_lack_of_memory(void **state) {
    (void)state;
    item items[700] = {{0}};
    long live = fail_mem_live();
    size_t n = 1;
    while (add_all_with_failure(items, 700, n)) {
        assert_int_equal(fail_mem_live(), live);
        n++;
    }
    assert_true(n >= 4); /* The table, its buckets, and at least one larger set of buckets. */
    assert_int_equal(fail_mem_live(), live);
}

/* ---- Randomness ------------------------------------------------------------------------------ */

static void test_a_seed_gives_one_sequence(void **state) {
    (void)state;
    pln_rng_seeded s1;
    pln_rng_seeded s2;
    pln_rng_seeded s3;
    pln_rng a = pln_rng_from_seed(&s1, 42);
    pln_rng b = pln_rng_from_seed(&s2, 42);
    pln_rng c = pln_rng_from_seed(&s3, 43);
    uint8_t one[21];
    uint8_t two[21];
    pln_rng_fill(&a, one, sizeof(one));
    pln_rng_fill(&b, two, sizeof(two));
    assert_memory_equal(one, two, sizeof(one));
    pln_rng_fill(&c, two, sizeof(two));
    assert_memory_not_equal(one, two, sizeof(one));
    assert_true(pln_rng_u64(&a) == pln_rng_u64(&b));
}

static void test_seed_0_is_xoshiro_256_starstar(void **state) {
    (void)state;
    /* The published algorithm from the state {1, 2, 3, 4}. */
    pln_rng_seeded s;
    pln_rng rng = pln_rng_from_seed(&s, 0);
    assert_true(s.s[0] == 0xe220a8397b1dcdafu); /* SplitMix64 of 0. */
    s = (pln_rng_seeded){{1, 2, 3, 4}};
    assert_true(pln_rng_u64(&rng) == 11520);
    assert_true(pln_rng_u64(&rng) == 0);
    assert_true(pln_rng_u64(&rng) == 1509978240);
    assert_true(pln_rng_u64(&rng) == 1215971899390074240u);
}

static void test_below_stays_below_and_reaches_all(void **state) {
    (void)state;
    pln_rng_seeded s;
    pln_rng rng = pln_rng_from_seed(&s, 7);
    unsigned seen[7] = {0};
    for (int i = 0; i < 7000; i++) {
        uint64_t value = pln_rng_below(&rng, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(seen[i], 850, 1150); /* Five standard deviations around 1000. */
    }
    assert_true(pln_rng_below(&rng, 1) == 0);
    for (int i = 0; i < 100; i++) {
        assert_true(pln_rng_below(&rng, (1ull << 63) + 1) <= 1ull << 63);
    }
}

static void fill_zero(void *ctx, uint8_t *bytes, size_t count) {
    (void)ctx;
    memset(bytes, 0, count);
}

static void test_below_ends_even_when_the_generator_is_stuck(void **state) {
    (void)state;
    pln_rng rng = {.fill = fill_zero};
    assert_true(pln_rng_below(&rng, 3) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_saturate),
        cmocka_unit_test(test_timers_leave_at_their_instant),
        cmocka_unit_test(test_equal_deadlines_leave_in_the_order_set),
        cmocka_unit_test(test_never_cancels),
        cmocka_unit_test(test_moving_and_cancelling_need_no_memory),
        cmocka_unit_test(test_a_timer_leads_to_its_owner),
        cmocka_unit_test(test_append_fills_the_tail_first),
        cmocka_unit_test(test_append_of_nothing_is_nothing),
        cmocka_unit_test(test_append_without_memory_appends_nothing),
        cmocka_unit_test(test_chunks_move_whole),
        cmocka_unit_test(test_hash_is_siphash),
        cmocka_unit_test(test_maps_find_what_was_added),
        cmocka_unit_test(test_maps_survive_lack_of_memory),
        cmocka_unit_test(test_a_seed_gives_one_sequence),
        cmocka_unit_test(test_seed_0_is_xoshiro_256_starstar),
        cmocka_unit_test(test_below_stays_below_and_reaches_all),
        cmocka_unit_test(test_below_ends_even_when_the_generator_is_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
