/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound on what a remote party, a file or a user can make us hold or do, with its reason.
 * What strangers can cause draws on smaller numbers than what members can.
 */
#ifndef PLN_BASE_LIMITS_H
#define PLN_BASE_LIMITS_H

#include "base/time.h"

/* ---- Messages -------------------------------------------------------------------------------- */

/* An envelope travels in one DATAGRAM frame, and none is larger than a jumbo Ethernet payload; what
 * the transport parameter advertises (16383, as the reference) is a promise to parse, not to hold
 * more. */
enum { PLN_ENVELOPE_BYTES_MAX = 16383 };

/* Aim of a gossip batch: fits the first packets of every path (1243 usable at 1280), with head
 * room. */
enum { PLN_ENVELOPE_BYTES_TARGET = 1100 };

/* A join token with 30 bootstrap peers of 4 addresses is below 6 KiB; larger is no token of ours.
 */
enum { PLN_TOKEN_BYTES_MAX = 16 * 1024 };

/* A membership certificate is 354 bytes; unknown fields of a newer version may add to it. */
enum { PLN_CERT_BYTES_MAX = 4 * 1024 };

enum { PLN_BOOTSTRAP_MAX = 64 };       /* Peers in one token. */
enum { PLN_ADDRS_MAX = 16 };           /* Addresses of one peer. */
enum { PLN_ADDR_TEXT_MAX = 255 };      /* As long as a DNS name may be (RFC 1035, 2.3.4). */
enum { PLN_GOSSIP_EVENTS_MAX = 1024 }; /* Events in one batch: 16 bytes is the smallest. */
enum { PLN_GOSSIP_IPS_MAX = 64 };      /* Interface addresses that a node may tell of itself. */
enum { PLN_CLOCK_ENTRIES_MAX = 256 };  /* Entries of one vector clock: 68 bytes each at least. */
enum { PLN_SERVICE_NAME_MAX = 64 };    /* As the control protocol of the reference. */

/* ---- Files ----------------------------------------------------------------------------------- */

/* A settings file names at most PLN_BOOTSTRAP_MAX peers of PLN_ADDRS_MAX addresses: 300 KiB. */
enum { PLN_CONFIG_TEXT_MAX = 1024 * 1024 };

/* As many peers as we may know, of half a KiB each, and as much again for all the rest. */
enum { PLN_STATE_TEXT_MAX = 128 * 1024 * 1024 };

/* 128 Ki redeemed invites, each with an answer of 1 KiB in base64. */
enum { PLN_LEDGER_TEXT_MAX = 256 * 1024 * 1024 };

/* Our files are four levels deep; what is unknown in them may be somewhat deeper. */
enum { PLN_YAML_DEPTH_MAX = 16 };

/* A node is a scalar, list or map: 16 for each peer, and as many again for all the rest.  Keys are
 * looked for one after the other, so they are few. */
enum { PLN_YAML_NODES_MAX = 4 * 1024 * 1024 };
enum { PLN_YAML_KEYS_MAX = 64 };

/* ---- Connections ----------------------------------------------------------------------------- */

enum { PLN_CONNS_MAX = 16384 };        /* 28 KiB each: 448 MiB when all are used. */
enum { PLN_HANDSHAKES_MAX = 512 };     /* Inbound and unfinished: strangers can cause them. */
enum { PLN_RETRY_AT_HANDSHAKES = 64 }; /* From here on a Retry proves the address first. */
enum { PLN_INVITE_CONNS_MAX = 64 };    /* Authenticated by nothing but a throw-away key. */
enum { PLN_STREAMS_MAX = 100 };        /* Per connection and direction, as the reference. */
enum { PLN_DATAGRAM_SENDQ_MAX = 256 }; /* Per connection; then POLLEN_EAGAIN. */
enum {
    PLN_DATAGRAM_RECVQ_MAX = 1024
}; /* Per peer, waiting for Recv; then the newest is dropped. */
enum { PLN_GARBAGE_DATAGRAMS_MAX = 64 }; /* Undecodable ones of a session before it is closed. */
enum { PLN_DIAL_ADDRS_MAX = 16 };        /* Addresses raced for one peer. */
/* Dials of one race under way: each address once, or few of them again and again. */
enum { PLN_DIAL_ATTEMPTS_MAX = 16 };
enum { PLN_SESSIONS_PER_PEER_MAX = 4 }; /* Live at once during a tie-break or a rotation. */
enum { PLN_WAITERS_MAX = 1024 };        /* Calls waiting for a session, in all. */
/* Streams of a peer whose port has not come yet.  It comes along with the stream, unless the peer
 * is one that keeps silent. */
enum { PLN_STREAM_HEADERS_MAX = 64 };
/* Streams waiting for AcceptStream: of a peer as many as its session carries, since all of them may
 * come before anybody has had time to accept one; and in all those of ten such peers. */
enum { PLN_ACCEPTQ_MAX = 1024, PLN_ACCEPTQ_PEER_MAX = PLN_STREAMS_MAX };

/* What streams had received when their session ended waits for its reader, though the peer may be
 * back with more: so much in all, beyond the 1 MiB that each may hold anyway. */
enum { PLN_LEFT_BYTES_MAX = 64 * 1024 * 1024 };

/* Known peers: a third above the largest cluster aimed at, 100,000; up to 0.8 KiB each. */
enum { PLN_PEERS_MAX = 128 * 1024 };

/* Handshakes of one source, which is an IPv4 address or an IPv6 /64.  20 a second as WireGuard; the
 * burst is larger, because nodes behind one NAT restart together. */
enum { PLN_ADMIT_PER_SECOND = 20, PLN_ADMIT_BURST = 40 };

/* Connections gone but for a stored close.  Handshakes that fail leave one each, so that strangers
 * could pile them up; the oldest make room.  1.5 KiB each. */
enum { PLN_LINGER_MAX = 1024 };

enum { PLN_STRAYS_MAX = 256 };         /* Answers to strangers, waiting to be sent. */
enum { PLN_EARLY_PACKETS_MAX = 8 };    /* Held for a dialler that is not ready for them. */
enum { PLN_CERT_EXTENSIONS_MAX = 64 }; /* We send four; each is compared with all others. */

/* RFC 9000, 10.3: a reset is rate limited so that two endpoints cannot keep each other busy. */
#define PLN_RESET_INTERVAL PLN_MS(20)

/* ---- State ----------------------------------------------------------------------------------- */

/* Items of each kind in a digest; ours hold half as many, so that they fit a gossip batch's aim. */
enum { PLN_DIGEST_ITEMS_MAX = 32 };

/* Of one author, withdrawn ones included; beyond, those with the lowest counters are forgotten,
 * which comes to the same everywhere.  A node that serves or reaches more tells of so many. */
enum { PLN_STATE_SERVICES_MAX = 256, PLN_STATE_REACHABLE_MAX = 1024 };

/* Addresses that we tell of ourselves: an event of so many fits every path. */
enum { PLN_STATE_OWN_IPS_MAX = 16 };

/* Members that nothing but another member's word speaks for: any member can invent them.  A real
 * cluster of 32 Ki nodes with the usual few dozen events each fits. */
enum { PLN_STATE_HEARSAY_MAX = 32 * 1024 };
#define PLN_STATE_HEARSAY_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* Everything known of all members.  400 nodes that all reach each other take 16 MiB. */
#define PLN_STATE_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum { PLN_STATE_CONNECTIONS_MAX = 1024 }; /* Desired ones of this node, kept for its owner. */

/* A counter beyond is refused, and so is one that leaps too far beyond what is known of its
 * author: whoever takes a counter as high as this has none left.  At a million events a second
 * the leap lasts an hour. */
#define PLN_STATE_COUNTER_MAX ((uint64_t)1 << 62)
#define PLN_STATE_COUNTER_LEAP ((uint64_t)1 << 32)

/* Answers to one session, and events taken from it: a bucket that fills at the rate.  The whole
 * state of 100 nodes is 1.4 MiB. */
enum { PLN_GOSSIP_ANSWER_BYTES_PER_S = 256 * 1024, PLN_GOSSIP_ANSWER_BURST = 1024 * 1024 };
enum { PLN_GOSSIP_EVENTS_PER_S = 4 * 1024, PLN_GOSSIP_EVENTS_BURST = 64 * 1024 };
enum { PLN_GOSSIP_FORGERY_COST = 128 }; /* In events: checking a false signature takes 0.1 ms. */

/* A datagram queue holds PLN_DATAGRAM_SENDQ_MAX; one answer leaves a quarter to others. */
enum { PLN_GOSSIP_ANSWER_ENVELOPES_MAX = 192 };

/* With more sessions the views of all are not compared with everybody at once: when a hundred nodes
 * come together, that alone would be gigabytes. */
enum { PLN_GOSSIP_FEW_SESSIONS = 8 };

/* What a clock that is too small for all members may make the reference send again, each round on
 * average. */
enum { PLN_GOSSIP_RESENT_BYTES = 64 * 1024 };

/* Every so many rounds the reference is asked for one author anew, in case a batch was lost. */
enum { PLN_GOSSIP_REPAIR_ROUNDS = 16 };

/* Subjects whose last renewal is remembered, so that asking again costs no signature: 1 MiB. */
enum { PLN_ISSUED_MAX = 1024 };

/* ---- Hole punching --------------------------------------------------------------------------- */

enum { PLN_PUNCHES_MAX = 32 }; /* At once; a node that joins a large cluster takes turns. */

/* Of these, such as only others asked for: a member that triggers all day leaves some to us. */
enum { PLN_PUNCHES_UNASKED_MAX = 24 };
enum { PLN_PUNCH_TARGETS_MAX = 16 }; /* As PLN_ADDRS_MAX. */

/* Addresses that probes are sent to from the main socket, and further sources of the peer's that
 * are heard and answered in kind.  Each takes an entry of our NAT, and eight are what a pair of
 * easy NATs is worth. */
enum { PLN_PUNCH_TRIED_MAX = 6, PLN_PUNCH_LEARNED_MAX = 2 };

/* The same for peers that may come from any port, on the main socket and on all others together. */
enum { PLN_PUNCH_LEARNED_ANY_PORT_MAX = 4, PLN_PUNCH_LEARNED_SOCKETS_MAX = 8 };

enum { PLN_SOCKETS_MAX = 512 }; /* Beside the main one, those lent to sessions included. */

/* With 256 sockets on the hard side, 1280 different ports meet one of them with 99.4 %: 1 minus the
 * product of 1 - 256 / (64512 - i).  The next 768 would add half a percent, and home routers hold
 * few thousand flows for the whole household. */
enum { PLN_BIRTHDAY_SOCKETS = 256, PLN_BIRTHDAY_PORTS = 1280 };

/* When the spray is over, its holes wait for whom they fit: so many sockets are given up for new
 * ones, each of which fits with 2 %, and then the chance that none ever did is one in 10,000. */
enum { PLN_BIRTHDAY_RENEWALS = 384, PLN_BIRTHDAY_RENEWALS_PER_S = 250 };

/* A side whose NAT is unknown does both, with as many flows together: 99.8 %. */
enum { PLN_BIRTHDAY_BOTH_PORTS = 768, PLN_BIRTHDAY_BOTH_RENEWALS = 256 };

/* Routers drop new flows that keep on coming much faster; a quarter of a second's worth at once is
 * what the reference, or a page with many pictures, asks of them as well.  Half of all birthdays
 * end with the first 174 ports. */
enum { PLN_BIRTHDAY_PORTS_PER_S = 1000 };
enum { PLN_BIRTHDAY_BURST = 256, PLN_BIRTHDAY_BURST_PER_S = 2000 };
/* The 256 sockets are no more than that burst, and are all to be there before it comes. */
enum { PLN_BIRTHDAY_SOCKETS_PER_S = 8000 };

/* The sockets of the reference send at the first moment, and what is not open by the time that
 * arrives stays shut: as many ports as it tries itself follow each other at once.  The 255 holes
 * that it leaves stay open for longer, so that many new sockets are worth trying. */
enum { PLN_BIRTHDAY_ONE_SHOT_PORTS = 512, PLN_BIRTHDAY_ONE_SHOT_BURST = 256 };
enum { PLN_BIRTHDAY_ONE_SHOT_PER_S = 32000 };
enum { PLN_BIRTHDAY_ONE_SHOT_RENEWALS = 512 };

/* Between two birthdays with one peer, doubled with each that failed, and with any peer at one
 * address, whoever names it. */
#define PLN_BIRTHDAY_INTERVAL PLN_S(20)
#define PLN_BIRTHDAY_INTERVAL_MAX PLN_S(600)
#define PLN_BIRTHDAY_ADDRESS_INTERVAL PLN_S(5)

/* One that is cancelled with fewer sockets and ports than this does not count. */
enum { PLN_BIRTHDAY_UNDONE_MAX = 64 };

/* Two sequential NATs: each side aims so far ahead of the port last seen, with so many sockets,
 * that fifteen flows of others on either side do not matter, nor the nineteen that a newcomer
 * begins itself before it knows what its own NAT is. */
enum { PLN_SCATTER_SOCKETS = 40, PLN_SCATTER_AHEAD = 35 };

/* Once more, when that did not meet: behind the flows of the first time, with as many others in
 * between as a busy household begins in some seconds. */
enum { PLN_SCATTER_AGAIN_SOCKETS = 60, PLN_SCATTER_AGAIN_AHEAD = 95 };
enum { PLN_PREDICTED_PORTS = 8 };

/* Hops of an opener, which is to pass our NAT and to end before the peer's. */
enum { PLN_OPENER_TTL = 2 };

/* So long after its opener the first full request goes along a way: no packet may be at the peer's
 * NAT before the peer's own opener, and coordinators have both sides fire within 20 ms of each
 * other.  Twice that leaves room for what two round trips vary while they are measured; the path
 * between the two NATs comes on top. */
#define PLN_OPENER_LEAD PLN_MS(40)

/* So long a side without a NAT of its own leaves it to the other one to come: its trigger may have
 * been lost, and what we send would then be there before it has sent anything. */
#define PLN_PUNCH_PATIENCE PLN_S(1)

/* For a pair that nothing can help; a few probes, in case what was said of the NATs is wrong. */
enum { PLN_HOPELESS_PROBES_MAX = 32 };

/* Probes to one peer, and of the node: a birthday with everything, and then what thirty punches
 * without one take.  A member that triggers punches all day causes no more. */
enum { PLN_PROBES_PEER_BURST = 2600, PLN_PROBES_PEER_PER_S = 100 };
enum { PLN_PROBES_BURST = 4000, PLN_PROBES_PER_S = 1000 };

/* For punches that only others asked for, or with peers that are hearsay, to one IPv4 address or
 * IPv6 /64, whatever peers are said to be there: a birthday at once, and then less than what it
 * takes to ask for it. */
enum { PLN_PROBES_TARGET_BURST = 2600, PLN_PROBES_TARGET_PER_S = 26 };

/* What a handshake costs of that: its first packet and two repetitions. */
enum { PLN_PROBES_FOR_TRY = 100 };

/* Birthdays that one coordinator may cause unasked: a newcomer behind a hard NAT that it introduces
 * to a dozen others, and then one each ten seconds, until the newcomer is known and wanted. */
enum { PLN_BIRTHDAYS_UNASKED_BURST = 12 };
#define PLN_BIRTHDAYS_UNASKED_INTERVAL PLN_S(10)

/* Answers to requests from where a punch aims, for each punch. */
enum { PLN_PROBE_ANSWERS_BURST = 64, PLN_PROBE_ANSWERS_PER_S = 200 };
enum { PLN_PROBE_ANSWERS_WAITING_MAX = 64 };

/* And to requests of strangers, who may be peers whose trigger is late: for each source, which is
 * an IPv4 address or an IPv6 /64, and for all.  An answer is as large as its request. */
enum { PLN_PROBE_STRANGERS_MAX = 64 };
enum { PLN_PROBE_STRANGER_BURST = 4, PLN_PROBE_STRANGER_PER_S = 2 };
enum { PLN_PROBE_STRANGERS_BURST = 64, PLN_PROBE_STRANGERS_PER_S = 32 };

enum { PLN_PUNCH_HOLES_MAX = 8 }; /* Ways that a handshake is tried along, for each punch. */

/* And before it is known that they are open: the addresses of the peer's that are tried, and as
 * many again where it was heard.  A handshake costs 1,200 bytes, and whoever forges the peer's
 * address can name some ports there. */
enum { PLN_PUNCH_TRIES_MAX = 12 };
enum { PLN_PUNCH_MEMORY_MAX = 1024 }; /* Peers whose budgets are kept; 120 bytes each. */

/* Peers whose reports are kept; two that agree make a verdict, and more do not make it better. */
enum { PLN_NAT_OBSERVATIONS_MAX = 32 };
enum { PLN_NAT_LOCALS_MAX = 16 };
#define PLN_NAT_OBSERVATION_LIFE PLN_S(3600) /* What was seen before says little of today's NAT. */

/* What a member may ask of a coordinator: one that joins a large cluster needs every other once or
 * twice.  Each costs four datagrams of 300 bytes. */
enum { PLN_COORDINATIONS_PER_S = 20, PLN_COORDINATIONS_BURST = 64 };
enum { PLN_COORDINATIONS_ALL_PER_S = 500, PLN_COORDINATIONS_ALL_BURST = 1000 };
enum { PLN_COORDINATOR_HELD_MAX = 1024 };

/* Neighbours that a newcomer is introduced to: no more than it takes unasked from one coordinator,
 * and what it costs does not grow with the cluster; of the others gossip tells a moment later. */
enum { PLN_INTRODUCED_MAX = 12 };
enum { PLN_INTRODUCTIONS_PER_S = 64, PLN_INTRODUCTIONS_BURST = 256 };

/* Introductions of one member, that may come back all the time; and how often what it says of
 * itself meanwhile is passed on to those it was introduced to. */
enum { PLN_INTRODUCED_BURST = 3, PLN_INTRODUCTION_WORDS_MAX = 6 };
#define PLN_INTRODUCED_INTERVAL PLN_S(10)

/* Punches that one coordinator may ask of us unasked, and all together: each may cost a spray of
 * some thousand packets towards an address that we have to take the coordinator's word for. */
enum { PLN_TRIGGERS_PER_S = 2, PLN_TRIGGERS_BURST = 16 };
enum { PLN_TRIGGERS_ALL_PER_S = 8, PLN_TRIGGERS_ALL_BURST = 64 };
/* Beyond these, from whom we asked, for each time that we did: one for our request, one for the
 * peer's. */
enum { PLN_TRIGGERS_PER_ASK = 2 };
/* Where a neighbour says it sees us: it says so when a session starts or moves.  What is new is
 * told to all others. */
enum { PLN_OBSERVED_PER_S = 2, PLN_OBSERVED_BURST = 16 };

/* Peers that we may be asking coordination for, and holes that are being dialled. */
enum { PLN_ERRANDS_MAX = 256, PLN_HOLES_MAX = 64 };

/* Dials of one IPv4 address or IPv6 /64 for peers that are hearsay: as many as know each other
 * behind one router at once, and then less than what it takes to invent them. */
enum { PLN_HEARSAY_DIALS_BURST = 64, PLN_HEARSAY_DIALS_PER_S = 2 };

/* Of the holes, such as only others asked for. */
enum { PLN_HOLES_UNASKED_MAX = 48 };

/* After a punch all neighbours are told anew how far a NAT that counts has counted: a member that
 * triggers punches has us do it so often. */
enum { PLN_RETELLINGS_PER_S = 1, PLN_RETELLINGS_BURST = 8 };

/* ---- Port mapping ---------------------------------------------------------------------------- */

/* How long a mapping is asked for, in seconds.  A router that restarts has forgotten us until the
 * next renewal, which is at half of this, and a node that was killed leaves its mapping behind for
 * as long: RFC 6886 recommends two hours, which is long for either. */
enum { PLN_PORTMAP_LIFETIME_S = 1200 };

/* What is granted counts up to two hours, whatever a router promises; one that grants less than a
 * minute would have to be asked all the time, and passes for one that refuses. */
enum { PLN_PORTMAP_GRANTED_MIN_S = 60, PLN_PORTMAP_GRANTED_MAX_S = 7200 };

#define PLN_PORTMAP_INTERVAL PLN_S(4) /* Between renewals, at least (RFC 6887, 11.2.1). */

/* When a router that did not answer, or refused, is asked again: half a minute is what PCP has
 * routers say of errors that pass, and within an hour somebody may have changed its settings. */
#define PLN_PORTMAP_RETRY PLN_S(600)
enum { PLN_PORTMAP_REFUSED_MIN_S = 30, PLN_PORTMAP_REFUSED_MAX_S = 3600 };

/* Sendings of one request.  PCP's waits begin with three seconds (RFC 6887, 8.1.1), NAT-PMP's with
 * a quarter of one (RFC 6886, 3.1), and each is twice the one before: 21 and 16 seconds in all,
 * while the RFCs would have us wait for ever and for two minutes. */
enum { PLN_PORTMAP_PCP_SENDINGS = 3, PLN_PORTMAP_PMP_SENDINGS = 6 };
#define PLN_PORTMAP_PCP_WAIT PLN_S(3)
#define PLN_PORTMAP_PMP_WAIT PLN_MS(250)
enum { PLN_PORTMAP_RELEASE_SENDINGS = 2 }; /* At NAT-PMP's pace: somebody waits for our end. */

/* ---- Times ----------------------------------------------------------------------------------- */

#define PLN_IDLE_TIMEOUT PLN_S(30) /* As the reference. */
/* Less than half of the idle timeout, because PINGs can be lost; more than two members are silent
 * at most while they gossip, so that these send none. */
#define PLN_KEEP_ALIVE PLN_S(13)
#define PLN_HANDSHAKE_TIMEOUT PLN_S(10)
#define PLN_HANDSHAKE_YIELD PLN_S(1) /* Then an inbound one gives way when there are too many. */
#define PLN_DIAL_STAGGER PLN_MS(100) /* RFC 8305, 5: 100 ms to 2 s; peers are near. */
#define PLN_TIE_GRACE PLN_MS(1500)   /* Life of a peer's surplus sessions: >= 2 RTT. */
#define PLN_STREAM_HEADER_TIMEOUT PLN_S(5) /* For the two-byte port of an accepted stream. */
#define PLN_INVITE_RETRANSMIT PLN_MS(300)  /* Redeem request, while no answer came. */
#define PLN_INVITE_CONN_TIMEOUT PLN_S(10)  /* The whole life of an invite connection. */
/* Held back at most, so that a wrong round trip does no more harm than none. */
#define PLN_COORDINATOR_HOLD_MAX PLN_MS(500)
/* Each trigger goes twice, so that one side does not fire alone when a packet is lost: what reaches
 * a NAT before the node behind it has sent may spoil it.  Less than the opener's lead. */
#define PLN_TRIGGER_COPY_AFTER PLN_MS(10)
/* A session's whereabouts come within a round trip of its start, or are news of their own. */
#define PLN_INTRODUCTION_TIME PLN_S(1)
#define PLN_ROUND_TRIP_TOLD_MAX PLN_S(2) /* A longer one is no sooner waited for. */
/* Life of sockets that a session may still be found on, once another one is: >= PLN_TIE_GRACE. */
#define PLN_PUNCH_LINGER PLN_S(2)
#define PLN_PUNCH_SETTLE PLN_S(1) /* For a handshake along a hole, before more is tried. */
#define PLN_SKEW_SECONDS 60       /* Allowed clock difference on both ends of a validity. */

#endif
