/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/nat_words.h"

#include <stddef.h>
#include <string.h>

typedef struct word {
    const char *name;
    const char *meaning;
} word;

static const word mappings[] = {
    {"none", "no NAT: peers see this node at an address of its own"},
    {"easy", "a NAT that shows one port to everybody: holes can be punched to anybody"},
    {"hard", "a NAT that shows each peer another port: holes lead to easy ones, seldom to hard"},
    {"unknown", "two connected peers, outside and not behind one address, are needed to tell"},
};

static const word doubts[] = {
    {"nobody", "no connected peer has told where it sees this node"},
    {"all_inside", "all peers that see this node sit on this side of its NAT; two outside, at "
                   "different addresses, would tell"},
    {"one", "one peer alone sees this node from outside; a second one, at another address, would "
            "tell"},
    {"one_address", "those who see this node from outside share one address; a peer at another "
                    "one would tell"},
    {"one_socket", "no two peers outside look at the same socket of this node; one more would "
                   "tell"},
    {"odd_one", "of three peers outside two see the same and one does not, and any of them may be "
                "wrong; a fourth, at another address, would tell"},
    {"split", "peers outside contradict each other, so that more than one must be wrong"},
};

static const word allocations[] = {
    {"preserving", "the port of the socket itself"},
    {"sequential", "in small steps, which can be guessed"},
    {"random", "any"},
    {"unknown", "not enough is seen to tell"},
};

/* An easy one shows one port, however it was chosen; of a hard one there is more to say. */
static const word unknown_allocations[] = {
    {"easy", "another port than the socket's"},
    {"hard", "some ports lie near each other, some do not; one more peer would tell"},
};

static const word roles[] = {
    {"counted", "counts"},
    {"inside", "sits on this side of the NAT: does not count"},
    {"same_address", "another one behind its address counts"},
    {"other_socket", "looks at another socket: does not count"},
    {"other_family", "sees it by the other kind of IP: does not count"},
    {"old", "too old to count"},
    {"outvoted", "contradicts all others: does not count"},
};

static const word port_mappings[] = {
    {"off", "nobody asked the router for it: pln up --port-mapping pcp"},
    {"no_router", "no router leads from this machine to the world by IPv4"},
    {"asking", "the router is being asked"},
    {"mapped", "the router forwards what comes there"},
    {"nested", "the router is itself behind a NAT, so that few can use it"},
    {"refused", "the router says no; it is asked again later"},
    {"silent", "the router does not answer; it is asked again later"},
};

static const char *meaning(const word *words, size_t count, const char *name) {
    for (size_t i = 0; name != NULL && i < count; i++) {
        if (strcmp(words[i].name, name) == 0) {
            return words[i].meaning;
        }
    }
    return "";
}

#define MEANING(words, name) meaning(words, sizeof(words) / sizeof((words)[0]), name)

const char *pln_nat_doubt_words(const char *doubt) {
    return MEANING(doubts, doubt);
}

const char *pln_nat_mapping_words(const char *mapping, const char *doubt) {
    const char *words = strcmp(mapping, "unknown") == 0 ? pln_nat_doubt_words(doubt) : "";
    return words[0] != '\0' ? words : MEANING(mappings, mapping);
}

const char *pln_nat_allocation_words(const char *mapping, const char *allocation) {
    const char *words =
        strcmp(allocation, "unknown") == 0 ? MEANING(unknown_allocations, mapping) : "";
    return words[0] != '\0' ? words : MEANING(allocations, allocation);
}

const char *pln_nat_role_words(const char *role) {
    return MEANING(roles, role);
}

const char *pln_port_mapping_words(const char *state) {
    return MEANING(port_mappings, state);
}
